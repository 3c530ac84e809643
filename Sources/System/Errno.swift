import CLinux
import Glibc

/// The number of a Linux error, as errno(3) lists them.
///
/// The numbers themselves are taken from the C library: `Errno(EACCES)`.
public struct Errno: RawRepresentable, Error, Hashable, Sendable, CustomStringConvertible {
  /// The number, positive, as the C library knows it.
  public let rawValue: Int32

  /// Takes any number; whether it means something is for `name` to say.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// Takes a number such as `EACCES`.
  public init(_ number: Int32) { rawValue = number }

  /// The largest number that the kernel takes from a filesystem; those above are its own.
  public static let largest: Int32 = 511

  /// What the last failed call of the C library left behind on this thread.
  public static var last: Errno { Errno(Glibc.errno) }

  /// The symbolic name, such as "EACCES"; nil where the number has none. See strerrorname_np(3).
  public var name: String? { strerrorname_np(rawValue).map { String(cString: $0) } }

  /// The sentence for people, such as "Permission denied". See strerror(3).
  public var message: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      guard let base = buffer.baseAddress,
        strerror_r(rawValue, base, buffer.count) == 0
      else { return "Unknown error \(rawValue)" }
      return String(cString: base)
    }
  }

  /// The message with the name behind it, such as "Permission denied (EACCES)".
  public var description: String { name.map { "\(message) (\($0))" } ?? message }

  /// Every error that has a name on this system, in the order of its number.
  ///
  /// Second names of one number (EWOULDBLOCK, EDEADLOCK, ENOTSUP) are not in it.
  public static let all: [Errno] = (1...133).map { Errno($0) }.filter { $0.name != nil }
}
