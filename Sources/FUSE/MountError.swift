import Glibc
public import System

/// Why a filesystem could not be mounted, in the words of libfuse or of fusermount3.
public struct MountError: Error, Sendable, CustomStringConvertible {
  /// What they said: one line, without their names before it.
  public let message: String
  /// The error that the failing call left, where there was one.
  public let errno: Errno?

  init(text: String, errno: Errno?) {
    let lines = text.split(separator: "\n").map { line in
      for prefix in ["fuse: ", "fusermount3: ", "error: "] where line.hasPrefix(prefix) {
        return String(line.dropFirst(prefix.count))
      }
      return String(line)
    }
    let known = errno.flatMap { $0.rawValue == 0 ? nil : $0 }
    self.errno = known
    message =
      lines.isEmpty ? known?.message ?? "libfuse does not say why" : lines.joined(separator: "; ")
  }

  /// The message.
  public var description: String { message }
}
