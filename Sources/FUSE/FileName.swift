import Glibc

/// The name of a file as bytes, on its way to a library that looks for the NUL behind it.
enum FileName {
  /// The longest name that Linux knows, in bytes.
  static var maximumLength: Int { Int(NAME_MAX) }

  /// Throws ENAMETOOLONG for more than 255 bytes, and EINVAL for none, or a NUL or slash among them.
  @inline(__always)
  static func check(_ name: UnsafeRawBufferPointer) throws(Errno) {
    guard name.count <= maximumLength else { throw Errno(ENAMETOOLONG) }
    guard let base = name.baseAddress, name.count > 0,
      memchr(base, 0, name.count) == nil, memchr(base, Int32(UInt8(ascii: "/")), name.count) == nil
    else { throw Errno(EINVAL) }
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
