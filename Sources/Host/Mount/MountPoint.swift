// The mount point: whether it can be one, and what to do about a dead mount that is in the way.

import CLinux
import FUSE
import Glibc
import System

/// The directory over which a filesystem is mounted.
struct MountPoint {
  /// Absolute, with no symbolic links in it.
  let path: String

  /// Looks at the directory.
  ///
  /// Throws one clear line where it is absent, no directory, a dead mount, or mounted already.
  init(_ given: String, force: Bool) throws(HostError) {
    guard !given.isEmpty else { throw HostError("the mount point is an empty name") }
    let place = Path.resolvingParent(of: given) ?? given
    var information = stat()
    var code = MountPoint.mount(at: place) == nil ? 0 : MountPoint.ask(place)
    if code == nil { try MountPoint.refuse(given, mountedAt: place) }
    let isDead = code == ENOTCONN || code == ECONNABORTED
    // Of a dead mount the kernel may still know the attributes.
    if !isDead { code = stat(RawText.cString(given), &information) == 0 ? 0 : errno }
    if let code, code != 0 {
      switch code {
      case ENOENT:
        throw HostError("the mount point \(given) does not exist; mkdir \(given) makes it")
      case ENOTCONN, ECONNABORTED:
        guard force else {
          throw HostError(
            "the mount point \(given) is a dead mount (Transport endpoint is not connected): "
              + "'fusermount3 -u \(given)' clears it, and so does fusuma --force")
        }
        try MountPoint.clear(given, mountedAt: place)
        guard stat(RawText.cString(given), &information) == 0 else {
          throw HostError("the mount point \(given): \(String(cString: strerror(errno)))")
        }
      default:
        // A live mount whose script fails, or of another user, which lets no other in.
        let reason = String(cString: strerror(code))
        try MountPoint.refuse(given, mountedAt: place)
        throw HostError("the mount point \(given): \(reason)")
      }
    }
    guard information.st_mode & S_IFMT == S_IFDIR else {
      throw HostError("the mount point \(given) is not a directory")
    }
    guard let resolved = Path.resolving(given) else {
      throw HostError("the mount point \(given): \(String(cString: strerror(errno)))")
    }
    path = resolved
    try MountPoint.refuse(given, mountedAt: path)
  }

  /// The FUSE filesystem that is mounted at a path.
  private static func mount(at path: String) -> MountTable.Mount? {
    MountTable.last(at: path).flatMap { $0.type.hasPrefix("fuse") ? $0 : nil }
  }

  /// Asks a mount for what the kernel never has cached, which is statvfs(3); returns 0 or an errno, or nil
  /// where there is no reply, as the script holds it up.
  private static func ask(_ path: String) -> Int32? {
    // Asked by a child: one that is held up in the kernel cannot be ended, and a thread would keep this
    // process from ending, too.
    let name = RawText.cString(path)
    let child = clinux_fork()
    if child == 0 {
      for number in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] { close(number) }
      var information = statvfs()
      _exit(statvfs(name, &information) == 0 ? 0 : errno)
    }
    guard child > 0 else { return 0 }
    let deadline = monotonicNanoseconds() + patience
    var status: Int32 = 0
    while waitpid(child, &status, WNOHANG) != child {
      guard monotonicNanoseconds() < deadline else {
        kill(child, SIGKILL)
        return nil
      }
      usleep(1000)
    }
    return status & 0x7F == 0 ? status >> 8 & 0xFF : EIO
  }

  /// How long a mount that is in the way may take to answer, in nanoseconds.
  private static let patience: UInt64 = 2_000_000_000

  /// Throws where a FUSE filesystem is mounted already.
  private static func refuse(_ given: String, mountedAt path: String) throws(HostError) {
    guard let mount = mount(at: path) else { return }
    throw HostError(
      "the mount point \(given) is busy: \(mount.source) (\(mount.type)) is mounted there; "
        + "'fusermount3 -u \(given)' unmounts it")
  }

  /// Takes a dead mount of ours away.
  private static func clear(_ given: String, mountedAt path: String) throws(HostError) {
    guard let mount = mount(at: path), mount.userID == nil || mount.userID == getuid() else {
      throw HostError("the dead mount at \(given) is not ours, and was left as it is")
    }
    if umount2(RawText.cString(path), Linux.unmountDetach) == 0 { return }
    guard Program.run(["fusermount3", "-u", "-z", path]) == 0 else {
      throw HostError("the dead mount at \(given) could not be cleared")
    }
  }

  /// Unmounts as anybody else would: fails with EBUSY where a file stays open. To be called on a thread
  /// of its own, as the kernel may have something to ask of the filesystem before it goes.
  ///
  /// A file may be held open for no more than a moment: by a child of the process that closed it, say, that
  /// is about to execute another program.
  ///
  /// What else is mounted there stays.
  static func unmount(_ place: MountedPlace) -> Int32 {
    for _ in 0..<attempts {
      let number = tryToUnmount(place)
      if number != EBUSY { return number }
      usleep(pause)
    }
    return tryToUnmount(place)
  }
  /// How often that is tried again, and after how many microseconds.
  private static let attempts = 10
  private static let pause: UInt32 = 30_000

  private static func tryToUnmount(_ place: MountedPlace) -> Int32 {
    guard place.isOurs else { return 0 }
    let path = place.path
    if umount2(RawText.cString(path), 0) == 0 { return 0 }
    let number = errno
    if number != EPERM { return number }
    return Program.run(["fusermount3", "-u", "-q", path]) == 0 ? 0 : EBUSY
  }
}
