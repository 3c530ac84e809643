// Who closes a file: the kernel names the thread that asks, and a process has many.

import Glibc
import System

/// The process that a thread belongs to.
enum ThreadGroup {
  /// Whether two threads are known to belong to different processes; those that are gone, or of
  /// another process namespace, are not known.
  static func differ(_ one: pid_t, _ other: pid_t) -> Bool {
    guard one != other, let first = leader(of: one), let second = leader(of: other) else {
      return false
    }
    return first != second
  }

  /// The thread's Tgid. proc_pid_status(5).
  private static func leader(of thread: pid_t) -> pid_t? {
    guard let bytes = try? SourceFile.read("/proc/\(thread)/status") else { return nil }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    let line = lines.first { $0.hasPrefix("Tgid:") }
    return line.flatMap { pid_t($0.dropFirst("Tgid:\t".count)) }
  }
}
