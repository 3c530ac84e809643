import Glibc

/// Other processes, as /proc tells of them.
package enum Process {
  /// The most bytes that a name has: the kernel's own have 15, those of its threads more.
  package static let longestName = 64

  /// The name that a process has now; nil where there is none. proc_pid_comm(5).
  package static func name(of pid: Int32) -> [UInt8]? {
    guard pid > 0 else { return nil }
    let descriptor = open("/proc/\(pid)/comm", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: longestName)
    let count = read(descriptor, &bytes, bytes.count)
    return count > 0 ? Array(bytes.prefix(count).prefix { $0 != UInt8(ascii: "\n") }) : nil
  }
}
