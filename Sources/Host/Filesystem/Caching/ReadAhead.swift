// How far the kernel reads ahead of a program that reads a file from beginning to end.

import Glibc

/// The read-ahead of one mount, which FUSE's own protocol can lower and not raise.
enum ReadAhead {
  /// What the kernel begins with, in bytes.
  static let kernels: UInt32 = 128 << 10
  /// What it is raised to, in bytes: as much as one read can be.
  static let longest: UInt32 = 1 << 20

  /// How far to read ahead where the user allows `limit` bytes; nil is as the kernel has it.
  static func size(limit: UInt32?) -> UInt32? {
    let size = min(limit ?? longest, longest)
    return size > kernels ? size : nil
  }

  /// Raises the read-ahead of the mount with a device number such as "0:57".
  ///
  /// To be called once the kernel's first request was replied to, which would lower it again. Only root
  /// may; for anybody else, or without sysfs, it stays as it is, without a word, because it is no more
  /// than a matter of speed.
  static func raise(device: String, limit: UInt32?) {
    guard let size = size(limit: limit) else { return }
    let file = open("/sys/class/bdi/\(device)/read_ahead_kb", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    defer { close(file) }
    let text = "\(size >> 10)"
    _ = write(file, text, text.utf8.count)
  }
}
