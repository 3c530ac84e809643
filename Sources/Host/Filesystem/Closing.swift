// Which close(2) of a file is the last one of the process that writes to it.
//
// The kernel tells of each descriptor that is closed: by a child, which has a copy of its parent's, by dup2(2),
// and by the shell between a redirection and the first byte. A content is complete once the process that
// opened the file has no descriptor of it left. proc_pid_fdinfo(5)

import Glibc
import System

/// Looks at the processes that have a file open.
enum Closing {
  /// Whether a thread that has closed a descriptor is through with the file: it is of the process that opened
  /// it, and has no other one of it. Where that cannot be known (another process namespace, another user's
  /// process) a content that was written to counts as complete.
  static func isLast(of handle: OpenHandle, by thread: pid_t, inode: UInt64) -> Bool {
    guard thread > 0, let process = leader(of: thread) else { return handle.pending.isWritten }
    if thread != handle.opener {
      guard let opener = leader(of: handle.opener) else {
        // The opener is gone: the release, which comes with the last descriptor of all, will tell.
        return false
      }
      if opener != process { return false }
    }
    return hasNone(process, inode) ?? handle.pending.isWritten
  }

  /// Whether a process has no descriptor through which it can write to a file with an inode number; nil where
  /// that cannot be known.
  private static func hasNone(_ process: pid_t, _ inode: UInt64) -> Bool? {
    guard let folder = opendir("/proc/\(process)/fdinfo") else { return nil }
    defer { closedir(folder) }
    var isKnown = false
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard name.first != ".", let text = try? SourceFile.read("/proc/\(process)/fdinfo/\(name)")
      else { continue }
      var flags: Int32 = 0
      var number: UInt64?
      for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
        let parts = line.split(separator: "\t")
        guard parts.count == 2 else { continue }
        if parts[0] == "flags:" { flags = Int32(parts[1], radix: 8) ?? 0 }
        if parts[0] == "ino:" { number = UInt64(parts[1]) }
      }
      guard let number else { continue }
      isKnown = true
      if number == inode, flags & O_ACCMODE != O_RDONLY { return false }
    }
    return isKnown ? true : nil
  }

  /// The process that a thread belongs to; nil where it is gone. proc_pid_status(5)
  private static func leader(of thread: pid_t) -> pid_t? {
    guard let bytes = try? SourceFile.read("/proc/\(thread)/status") else { return nil }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    let line = lines.first { $0.hasPrefix("Tgid:") }
    return line.flatMap { pid_t($0.dropFirst("Tgid:\t".count)) }
  }
}
