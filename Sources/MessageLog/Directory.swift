import Glibc

/// The directory that an outbox is in, opened once: what is mounted over it later, and what the process
/// changes its working directory to, makes no difference.
final class Directory {
  let descriptor: Int32
  private let path: String

  /// The directory of a file, and the file's name in it.
  static func containing(_ file: String) throws(LogFailure) -> (Directory, name: String) {
    let slash = file.lastIndex(of: "/")
    let name = slash.map { String(file[file.index(after: $0)...]) } ?? file
    let path = slash.map { String(file[...$0]) } ?? "."
    guard !name.isEmpty, name != ".", name != ".." else {
      throw LogFailure("\(file) is a directory", EISDIR)
    }
    return (try Directory(path), name)
  }

  private init(_ path: String) throws(LogFailure) {
    self.path = path
    descriptor = uninterrupted { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    guard descriptor >= 0 else { throw LogFailure(path) }
  }

  deinit { close(descriptor) }

  func path(of name: String) -> String {
    path.hasSuffix("/") ? path + name : "\(path)/\(name)"
  }

  /// Which file a name leads to.
  struct Identity: Equatable {
    let device: dev_t
    let inode: ino_t

    init(_ status: stat) {
      device = status.st_dev
      inode = status.st_ino
    }
  }

  /// The file of a name, which may be a symbolic link itself; nil where there is none. fstatat(2)
  func identity(of name: String) throws(LogFailure) -> Identity? {
    var status = stat()
    if fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 { return Identity(status) }
    if errno == ENOENT { return nil }
    throw LogFailure(path(of: name))
  }

  /// Puts on disk which names there are. fsync(2)
  func synchronize() throws(LogFailure) {
    // EINVAL: a filesystem that does not offer it.
    if uninterrupted({ fsync(descriptor) }) != 0, errno != EINVAL { throw LogFailure(path) }
  }

  /// Removes a name, which need not be there. unlinkat(2)
  func remove(_ name: String) throws(LogFailure) {
    if unlinkat(descriptor, name, 0) != 0, errno != ENOENT { throw LogFailure(path(of: name)) }
  }
}
