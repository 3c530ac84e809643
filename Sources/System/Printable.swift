// What others say, as it is shown: names, messages and whole lines come from scripts, files, programs and
// clients, and may hold what a terminal obeys or what forges a line of a log.

/// Text without anything that a terminal, or the reader of a log, would take for something else.
package enum Printable {
  /// One line: every control character, also those of C1 (U+0080 to U+009F), line ends and what
  /// turns the direction of text are spelled as \xNN or \uNNNN; what is no UTF-8 is U+FFFD.
  package static func line(_ text: some StringProtocol) -> String { escaped(text) { _ in false } }

  /// The same for bytes.
  package static func line(_ bytes: some Collection<UInt8>) -> String {
    line(String(decoding: bytes, as: UTF8.self))
  }

  /// The same, but lines and tabs stay.
  package static func lines(_ text: some StringProtocol) -> String {
    escaped(text) { $0 == "\n" || $0 == "\t" }
  }

  /// Whether bytes are shown as they are; true of nothing but plain ASCII.
  package static func isPlain(_ bytes: some Sequence<UInt8>) -> Bool {
    bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
  }

  private static func escaped(
    _ text: some StringProtocol, _ isKept: (Unicode.Scalar) -> Bool
  ) -> String {
    if isPlain(text.utf8) { return String(text) }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case _ where isKept(scalar): result.append(scalar)
      case 0..<0x20, 0x7F: result.append(contentsOf: "\\x\(hex(scalar, digits: 2))".unicodeScalars)
      // C1, and the marks that separate lines or turn the direction of text.
      case 0x80..<0xA0, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069:
        result.append(contentsOf: "\\u\(hex(scalar, digits: 4))".unicodeScalars)
      default:
        // A byte of a name that is no UTF-8.
        if let byte = RawText.byte(scalar) {
          result.append(contentsOf: "\\x\(String(byte, radix: 16))".unicodeScalars)
        } else {
          result.append(scalar)
        }
      }
    }
    return String(result)
  }

  private static func hex(_ scalar: Unicode.Scalar, digits: Int) -> String {
    let text = String(scalar.value, radix: 16)
    return String(repeating: "0", count: digits - text.count) + text
  }
}
