// Words of the command line and names of files are any bytes, and a String is not: so a byte that is no
// UTF-8 stands in it as a character of its own, and is that byte again where the system, or Ruby, is
// handed the name.

/// Strings that stand for any bytes.
package enum RawText {
  /// The characters of the bytes 0x80 to 0xFF begin here, at the end of what is for private use.
  private static let first: UInt32 = 0x10FF00

  /// The byte that a character stands for; nil for those that are themselves.
  static func byte(_ scalar: Unicode.Scalar) -> UInt8? {
    scalar.value >= first + 0x80 ? UInt8(truncatingIfNeeded: scalar.value) : nil
  }

  /// The text of some bytes. All of it can be had back.
  package static func text(of bytes: some Collection<UInt8>) -> String {
    var result = String.UnicodeScalarView()
    var rest = bytes[...]
    while let lead = rest.first {
      let length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
      let character = String(validating: rest.prefix(length), as: UTF8.self)?.unicodeScalars
      if let scalar = character?.first, character?.count == 1, byte(scalar) == nil {
        result.append(scalar)
        rest = rest.dropFirst(length)
      } else {
        if let scalar = Unicode.Scalar(first + UInt32(lead)) { result.append(scalar) }
        rest = rest.dropFirst()
      }
    }
    return String(result)
  }

  /// The text of a C string.
  package static func text(of name: UnsafePointer<CChar>) -> String {
    text(of: UnsafeBufferPointer(start: name, count: length(name)).map { UInt8(bitPattern: $0) })
  }

  private static func length(_ name: UnsafePointer<CChar>) -> Int {
    var end = name
    while end.pointee != 0 { end += 1 }
    return end - name
  }

  /// The bytes of a text.
  package static func bytes(of text: String) -> [UInt8] {
    guard text.unicodeScalars.contains(where: { byte($0) != nil }) else { return Array(text.utf8) }
    return text.unicodeScalars.flatMap { scalar in
      byte(scalar).map { [$0] } ?? Array(String(scalar).utf8)
    }
  }

  /// The bytes of a text as the C library takes them.
  package static func cString(_ text: String) -> [CChar] {
    bytes(of: text).map { CChar(bitPattern: $0) } + [0]
  }
}
