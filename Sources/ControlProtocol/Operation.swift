/// The kernel's requests by their names in the trace, and the host's own work.
public enum Operation: Int, Sendable, CaseIterable {
  case lookup, getattr, setattr, readlink, mknod, mkdir, unlink, rmdir, symlink, rename, link
  case open, read, write, flush, release, fsync, opendir, readdir, releasedir, fsyncdir
  case statfs, setxattr, getxattr, listxattr, removexattr, access, create
  case getlk, setlk, flock, bmap, ioctl, poll, fallocate, lseek, copyFileRange
  case script, background, console

  private static let names = allCases.map { $0 == .copyFileRange ? "copy_file_range" : "\($0)" }

  /// Its name, as libfuse has it.
  package var name: String { Operation.names[rawValue] }

  /// The operation of that name; nil where there is none.
  package init?(name: some StringProtocol) {
    guard let index = Operation.names.firstIndex(where: { $0 == name }) else { return nil }
    self = Operation.allCases[index]
  }
}
