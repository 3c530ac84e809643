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

  /// Whether a NUL or slash is among the bytes, of which eight are looked at at once: it is done for
  /// every name of every listing.
  @inline(__always)
  private static func hasSeparator(_ name: UnsafeRawBufferPointer) -> Bool {
    let last = name.count - 8
    guard last >= 0 else { return name.contains { $0 == 0 || $0 == UInt8(ascii: "/") } }
    var index = 0
    while index < last {
      if hasSeparator(name.loadUnaligned(fromByteOffset: index, as: UInt64.self)) { return true }
      index += 8
    }
    // The last eight overlap those before them where the length is no multiple of eight.
    return hasSeparator(name.loadUnaligned(fromByteOffset: last, as: UInt64.self))
  }

  @inline(__always)
  private static func hasSeparator(_ eight: UInt64) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let slashes = eight ^ (ones &* UInt64(UInt8(ascii: "/")))
    // Taking 1 from each byte sets the highest bit, where it was not set before, only of a byte that
    // was 0, or stands above one that was.
    return ((eight &- ones) & ~eight | (slashes &- ones) & ~slashes) & (ones << 7) != 0
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
