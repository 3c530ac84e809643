import Glibc

/// Writes all of some bytes, waiting where the descriptor waits. write(2).
///
/// Returns 0, or the errno of what could not be written.
@discardableResult
package func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
  var rest = bytes
  while let base = rest.baseAddress, rest.count > 0 {
    let count = write(descriptor, base, rest.count)
    if count < 0 && errno != EINTR { return errno }
    rest = UnsafeRawBufferPointer(rebasing: rest[max(count, 0)...])
  }
  return 0
}

/// Writes all of some bytes.
@discardableResult
package func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
  bytes.withUnsafeBytes { writeAll($0, to: descriptor) }
}

/// Writes a text as UTF-8.
@discardableResult
package func writeAll(_ text: String, to descriptor: Int32) -> Int32 {
  var text = text
  return text.withUTF8 { writeAll(UnsafeRawBufferPointer($0), to: descriptor) }
}
