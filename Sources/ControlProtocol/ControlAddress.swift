// Where a mount and its clients meet: a socket and a status page, in a directory that belongs to the
// user who mounts.
//
// Invariant: nothing is made in, and nothing is believed that lies in, a directory which is not the
// user's own or which others may enter; and a socket is believed only if the kernel says that the process
// behind it is that user's.

package import Glibc
package import System

/// The place of one mount's socket and status page.
package struct ControlAddress: Equatable, Sendable {
  /// The directory's path.
  package let directory: String
  /// What tells the mount from others: its device number, as the kernel gives it out.
  package let device: String
  /// Who mounts.
  package let owner: UInt32

  /// The socket's path.
  package var socket: String { "\(directory)/\(device).socket" }
  /// The status page's path.
  package var statusPage: String { "\(directory)/\(device).status" }

  /// The address for a new mount of this user's; makes the directory.
  ///
  /// Throws one line where no directory is safe.
  package static func make(device: String) throws(HostError) -> ControlAddress {
    let directory = candidates(user: getuid())[0]
    if mkdir(directory, 0o700) != 0, errno != EEXIST {
      throw HostError("\(directory): \(String(cString: strerror(errno)))")
    }
    guard isPrivate(directory, user: getuid()) else {
      throw HostError("\(directory) is not a directory that only its owner may enter")
    }
    return ControlAddress(directory: directory, device: device, owner: getuid())
  }

  /// The address of the live mount at a path.
  ///
  /// The path is looked up in the kernel's table of mounts: a filesystem that is held up is not asked.
  /// Throws one line where nothing is mounted there, or where there is no way to it.
  package static func find(mountPoint given: String) throws(HostError) -> ControlAddress {
    guard let path = resolve(given), let mount = MountTable.last(at: path) else {
      throw HostError("nothing is mounted at \(given)")
    }
    guard mount.type.hasPrefix("fuse") else {
      throw HostError("\(given) is a mount of type \(mount.type), not one of fusuma's")
    }
    let user = mount.userID ?? getuid()
    guard user == getuid() || getuid() == 0 else {
      throw HostError("\(given) is another user's mount")
    }
    // A mount is seen a moment before its socket is there.
    for _ in 0..<10 {
      for directory in candidates(user: user) where isPrivate(directory, user: user) {
        let address = ControlAddress(
          directory: directory, device: mount.device, owner: user)
        if access(address.socket, F_OK) == 0 { return address }
      }
      usleep(50_000)
    }
    throw HostError("\(given) is not a mount of fusuma's that answers")
  }

  /// Directories in which a user's sockets may be, the best first.
  private static func candidates(user: uid_t) -> [String] {
    var list: [String] = []
    if user == getuid(), let runtime = getenv("XDG_RUNTIME_DIR").map({ String(cString: $0) }),
      runtime.hasPrefix("/"), isOwn(runtime, user: user)
    {
      list.append("\(runtime)/fusuma")
    }
    if isOwn("/run/user/\(user)", user: user) { list.append("/run/user/\(user)/fusuma") }
    return list + ["/tmp/fusuma-\(user)"]
  }

  /// Whether a directory is the user's, in which no other user makes anything: another's, which root gets
  /// from su(1) and sudo(8) in its environment, is left alone.
  private static func isOwn(_ path: String, user: uid_t) -> Bool {
    var information = stat()
    return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
      && information.st_uid == user && information.st_mode & 0o022 == 0
  }

  private static func isPrivate(_ path: String, user: uid_t) -> Bool {
    var information = stat()
    return lstat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
      && information.st_uid == user && information.st_mode & 0o077 == 0
  }

  /// The path as the kernel's table of mounts has it: its last name is looked at only where nothing is
  /// mounted there.
  private static func resolve(_ given: String) -> String? {
    guard let path = Path.resolvingParent(of: given) else { return nil }
    // Not a mount point itself: a link to one, perhaps.
    return MountTable.last(at: path) != nil ? path : Path.resolving(path)
  }
}

extension sockaddr_un {
  /// The address of a socket at a path; nil for a path that is too long for one. unix(7).
  package init?(path: String) {
    self.init()
    sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    let room = withUnsafeMutableBytes(of: &sun_path) { room in
      // There must be a NUL behind it.
      guard bytes.count < room.count else { return false }
      room.copyBytes(from: bytes)
      return true
    }
    if !room { return nil }
  }

  /// Hands the address over as the socket calls want it.
  package mutating func withAddress<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    withUnsafePointer(to: &self) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
