// What simdjson does not tell: where a text is wrong, and which numbers are too large for it.
//
// Invariant: no recursion, and each byte is looked at once or twice.

import Glibc

/// The grammar of RFC 8259, for texts that simdjson has refused.
enum JSONGrammar {
  /// What is wrong first, and where: `unexpected ']' at line 1 column 4`; nil where nothing is.
  static func fault(in text: UnsafeRawBufferPointer, maximumDepth: Int) -> JSONFault? {
    var scanner = JSONScanner(text: text, maximumDepth: maximumDepth)
    let found = scanner.scan()
    if scanner.isTooDeep { return .tooDeep }
    guard let reason = found ?? notUnicode(text, &scanner.place) else { return nil }
    let before = text[..<scanner.place]
    let line = before.reduce(1) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) }
    let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    return .refused("\(reason) at line \(line) column \(scanner.place - start + 1)")
  }

  private static func notUnicode(_ text: UnsafeRawBufferPointer, _ place: inout Int) -> String? {
    var decoder = UTF8()
    var bytes = text.makeIterator()
    place = 0
    while true {
      switch decoder.decode(&bytes) {
      case .scalarValue(let scalar): place += UTF8.width(scalar)
      case .error: return "bytes that are not UTF-8"
      case .emptyInput: return nil
      }
    }
  }

  /// The text with ".0" behind each integer that needs more than 64 bits; nil where there is none.
  static func widened(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
    var widened: [UInt8] = []
    var taken = 0
    var index = 0
    while index < text.count {
      let start = index
      index += 1
      if text[start] == UInt8(ascii: "\"") {
        while index < text.count, text[index] != UInt8(ascii: "\"") {
          index += text[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        index = min(index + 1, text.count)
      } else if text[start] == UInt8(ascii: "-") || isDigit(text[start]) {
        while index < text.count, isOfNumber(text[index]) { index += 1 }
        let number = text[start..<index]
        guard number.count > 18, number.dropFirst().allSatisfy(isDigit),
          Int(String(decoding: number, as: UTF8.self)) == nil
        else { continue }
        widened += text[taken..<index]
        widened += ".0".utf8
        taken = index
      }
    }
    return taken == 0 ? nil : widened + text[taken...]
  }

  static func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }

  static func isOfNumber(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
      || byte == UInt8(ascii: ".") || byte | 0x20 == UInt8(ascii: "e")
  }
}
