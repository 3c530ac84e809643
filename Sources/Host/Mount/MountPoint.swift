// The mount point: whether it can be one, and what to do about a dead mount that is in the way.

import FUSE
import Glibc

/// The directory over which a filesystem is mounted.
struct MountPoint {
  /// Absolute, with no symbolic links in it.
  let path: String

  /// Looks at the directory.
  ///
  /// Throws one clear line where it is absent, no directory, a dead mount, or mounted already.
  init(_ given: String, force: Bool) throws(HostError) {
    guard !given.isEmpty else { throw HostError("the mount point is an empty name") }
    let place = MountPoint.absolute(given)
    if MountPoint.mount(at: place) != nil, !MountPoint.answers(place) {
      try MountPoint.refuse(given, mountedAt: place)
    }
    var information = stat()
    if stat(given, &information) != 0 {
      switch errno {
      case ENOENT:
        throw HostError("the mount point \(given) does not exist; mkdir \(given) makes it")
      case ENOTCONN, ECONNABORTED:
        guard force else {
          throw HostError(
            "the mount point \(given) is a dead mount (Transport endpoint is not connected): "
              + "'fusermount3 -u \(given)' clears it, and so does fusuma --force")
        }
        try MountPoint.clear(given, mountedAt: place)
        guard stat(given, &information) == 0 else {
          throw HostError("the mount point \(given): \(String(cString: strerror(errno)))")
        }
      default:
        // A live mount whose script fails, or of somebody else who lets nobody in.
        let reason = String(cString: strerror(errno))
        try MountPoint.refuse(given, mountedAt: place)
        throw HostError("the mount point \(given): \(reason)")
      }
    }
    guard information.st_mode & S_IFMT == S_IFDIR else {
      throw HostError("the mount point \(given) is not a directory")
    }
    guard let resolved = realpath(given, nil) else {
      throw HostError("the mount point \(given): \(String(cString: strerror(errno)))")
    }
    defer { free(resolved) }
    path = String(cString: resolved)
    try MountPoint.refuse(given, mountedAt: path)
  }

  /// The FUSE filesystem that is mounted at a path.
  private static func mount(at path: String) -> MountTable.Mount? {
    MountTable.last(at: path).flatMap { $0.type.hasPrefix("fuse") ? $0 : nil }
  }

  /// Whether a mount can be asked: one that its script holds up answers nobody.
  private static func answers(_ path: String) -> Bool {
    // Asked on a thread, which is through by the time that the process may fork, or is left behind
    // with it.
    let hasAnswered = Atomic1(0)
    var thread = pthread_t()
    let code = startThread(isDetached: false, thread: &thread) {
      var information = stat()
      _ = stat(path, &information)
      hasAnswered.store(1)
    }
    guard code == 0 else { return true }
    let deadline = monotonicNanoseconds() + patience
    while hasAnswered.load() == 0 {
      guard monotonicNanoseconds() < deadline else { return false }
      usleep(1000)
    }
    pthread_join(thread, nil)
    return true
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
    if umount2(path, Linux.unmountDetach) == 0 { return }
    guard runProgram(["fusermount3", "-u", "-z", path]) == 0 else {
      throw HostError("the dead mount at \(given) could not be cleared")
    }
  }

  /// The absolute path of a mount point that cannot be asked itself: its parent's, and its name.
  private static func absolute(_ given: String) -> String {
    var path = given
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    let slash = path.lastIndex(of: "/")
    let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    guard let resolved = realpath(parent, nil) else { return path }
    defer { free(resolved) }
    let directory = String(cString: resolved)
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    return directory == "/" ? "/" + name : directory + "/" + name
  }

  /// Unmounts as anybody else would: fails with EBUSY where a file stays open. To be called on a thread
  /// of its own, as the kernel may have something to ask of the filesystem before it goes.
  ///
  /// A file may be held for no more than a moment: by a child of whoever has closed it, for one, that is
  /// about to execute another program.
  static func unmount(_ path: String) -> Int32 {
    for _ in 0..<attempts {
      let number = tryToUnmount(path)
      if number != EBUSY { return number }
      usleep(pause)
    }
    return tryToUnmount(path)
  }
  /// How often that is tried again, and after how many microseconds.
  private static let attempts = 10
  private static let pause: UInt32 = 30_000

  private static func tryToUnmount(_ path: String) -> Int32 {
    if umount2(path, 0) == 0 { return 0 }
    let number = errno
    if number != EPERM { return number }
    return runProgram(["fusermount3", "-u", "-q", path]) == 0 ? 0 : EBUSY
  }

  /// Runs a program and answers its exit status; -1 where it could not be run.
  private static func runProgram(_ words: [String]) -> Int32 {
    var process = pid_t()
    let arguments = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    guard posix_spawnp(&process, words[0], nil, nil, arguments, environ) == 0 else { return -1 }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 { if errno != EINTR { return -1 } }
    return status & 0x7F == 0 ? status >> 8 & 0xFF : -1
  }
}

/// The mounts that this process sees. proc_pid_mountinfo(5).
enum MountTable {
  struct Mount {
    /// The device number, "0:57": no other live mount has it.
    var device: String
    var point: String
    var type: String
    var source: String
    /// user_id of a FUSE mount: who mounted it.
    var userID: UInt32?
  }

  /// The topmost mount at a path.
  static func last(at path: String) -> Mount? { all().last { $0.point == path } }

  static func all() -> [Mount] {
    guard let bytes = try? SourceFile.read("/proc/self/mountinfo") else { return [] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
      let halves = line.split(separator: " ").map(String.init)
      guard let dash = halves.firstIndex(of: "-"), halves.count > dash + 3, dash > 4 else {
        return nil
      }
      let user = halves[dash + 3].split(separator: ",").first { $0.hasPrefix("user_id=") }
      return Mount(
        device: halves[2], point: unescape(halves[4]), type: halves[dash + 1],
        source: unescape(halves[dash + 2]),
        userID: user.flatMap { UInt32($0.dropFirst("user_id=".count)) })
    }
  }

  /// The kernel writes space, tab, newline and backslash as three octal digits.
  private static func unescape(_ text: String) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let first = rest.first {
      if first == UInt8(ascii: "\\"), rest.count >= 4,
        let code = UInt8(String(decoding: rest.dropFirst().prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(code)
        rest = rest.dropFirst(4)
      } else {
        bytes.append(first)
        rest = rest.dropFirst()
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
