import Glibc
import System

/// The name of a file as bytes, on its way to a library that looks for the NUL behind it.
enum FileName {
  /// The longest name that Linux knows, in bytes.
  static var maximumLength: Int { Int(NAME_MAX) }

  /// Whether a directory can hold it: 1 to 255 bytes without NUL or slash.
  @inline(__always)
  static func isValid(_ name: UnsafeRawBufferPointer) -> Bool {
    1...maximumLength ~= name.count && !hasSeparator(name)
  }

  /// Throws ENAMETOOLONG for more than 255 bytes, and EINVAL for none, or a NUL or slash among them.
  @inline(__always)
  static func check(_ name: UnsafeRawBufferPointer) throws(Errno) {
    guard isValid(name) else {
      throw Errno(name.count > maximumLength ? ENAMETOOLONG : EINVAL)
    }
  }

  @inline(__always)
  private static func hasSeparator(_ name: UnsafeRawBufferPointer) -> Bool {
    guard let start = name.baseAddress else { return false }
    return memchr(start, 0, name.count) != nil
      || memchr(start, Int32(UInt8(ascii: "/")), name.count) != nil
  }

  /// Lends a copy of the name that ends with NUL.
  ///
  /// Throws as `check` does.
  @inline(__always)
  static func withTerminated<Result>(
    _ name: UnsafeRawBufferPointer, _ body: (UnsafePointer<CChar>) -> Result
  ) throws(Errno) -> Result {
    try check(name)
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: maximumLength + 1) { copy in
      UnsafeMutableRawBufferPointer(copy).copyMemory(from: name)
      copy[name.count] = 0
      return body(UnsafePointer(copy.baseAddress.unsafelyUnwrapped))
    }
  }
}
