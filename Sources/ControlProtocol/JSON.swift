// Messages between a mount and its clients are JSON, one object a line.

import Formats

/// A JSON value, as messages are made of.
package enum JSON: Equatable, Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSON])
  case object([String: JSON])

  /// How deep messages are at most.
  private static let deepest = 64

  /// Reads one JSON text; nil where it is none, or deeper than messages are.
  package init?(parsing text: some Sequence<UInt8>) {
    do throws(JSONFault) {
      let bytes = Array(text)
      let parser = try JSONParser()
      parser.makeRoom(for: bytes.count)
      bytes.withUnsafeBytes { parser.take($0, at: 0) }
      try parser.parse(maximumDepth: JSON.deepest)
      guard let tape = parser.tape else { return nil }
      var place = 1
      self = JSON(tape, &place)
    } catch {
      return nil
    }
  }

  /// The value that begins at `place`, which then is the next one's.
  private init(_ tape: JSONParser.Tape, _ place: inout Int) {
    let word = tape.words[place]
    place += 1
    switch UInt8(word >> 56) {
    case UInt8(ascii: "{"):
      var members: [String: JSON] = [:]
      while tape.words[place] >> 56 != UInt64(UInt8(ascii: "}")) {
        let name = tape.string(at: place)
        place += 1
        members[name] = JSON(tape, &place)
      }
      place += 1
      self = .object(members)
    case UInt8(ascii: "["):
      var values: [JSON] = []
      while tape.words[place] >> 56 != UInt64(UInt8(ascii: "]")) {
        values.append(JSON(tape, &place))
      }
      place += 1
      self = .array(values)
    case UInt8(ascii: "\""): self = .string(tape.string(at: place - 1))
    case UInt8(ascii: "l"):
      self = .integer(Int(Int64(bitPattern: tape.words[place])))
      place += 1
    case UInt8(ascii: "u"):
      self = .number(Double(tape.words[place]))
      place += 1
    case UInt8(ascii: "d"):
      self = .number(Double(bitPattern: tape.words[place]))
      place += 1
    case UInt8(ascii: "t"): self = .bool(true)
    case UInt8(ascii: "f"): self = .bool(false)
    default: self = .null
    }
  }

  // MARK: Looking inside

  /// A member of an object; nil where there is none, and for anything else.
  package subscript(name: String) -> JSON? {
    if case .object(let members) = self { members[name] } else { nil }
  }
  package var string: String? { if case .string(let text) = self { text } else { nil } }
  package var integer: Int? { if case .integer(let number) = self { number } else { nil } }
  package var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
  package var array: [JSON]? { if case .array(let values) = self { values } else { nil } }
  /// A number of either kind.
  package var double: Double? {
    switch self {
    case .integer(let number): Double(number)
    case .number(let number): number
    default: nil
    }
  }

  // MARK: Writing

  /// The text, on one line, with the names of an object in alphabetical order.
  package var text: [UInt8] {
    var out: [UInt8] = []
    write(to: &out)
    return out
  }

  private func write(to out: inout [UInt8]) {
    switch self {
    case .null: out += "null".utf8
    case .bool(let flag): out += (flag ? "true" : "false").utf8
    case .integer(let number): out += "\(number)".utf8
    // JSON has no words for what is no number.
    case .number(let number): out += (number.isFinite ? "\(number)" : "null").utf8
    case .string(let text): JSON.write(text.utf8, to: &out)
    case .array(let values):
      out.append(UInt8(ascii: "["))
      for (index, value) in values.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        value.write(to: &out)
      }
      out.append(UInt8(ascii: "]"))
    case .object(let members):
      out.append(UInt8(ascii: "{"))
      for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        JSON.write(member.key.utf8, to: &out)
        out.append(UInt8(ascii: ":"))
        member.value.write(to: &out)
      }
      out.append(UInt8(ascii: "}"))
    }
  }

  /// Writes a string in quotes; the bytes must be UTF-8. Control characters, also those of C1, are escaped.
  package static func write(_ bytes: some Sequence<UInt8>, to out: inout [UInt8]) {
    let digits = Array("0123456789abcdef".utf8)
    func escape(_ byte: UInt8) {
      out += "\\u00".utf8
      out.append(digits[Int(byte >> 4)])
      out.append(digits[Int(byte & 15)])
    }
    out.append(UInt8(ascii: "\""))
    // U+0080 to U+009F are C2 and the number itself.
    var isAfterC2 = false
    for byte in bytes {
      if isAfterC2 {
        isAfterC2 = false
        if byte < 0xA0 {
          escape(byte)
          continue
        }
        out.append(0xC2)
      }
      switch byte {
      case 0xC2: isAfterC2 = true
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        out.append(UInt8(ascii: "\\"))
        out.append(byte)
      case UInt8(ascii: "\n"): out += "\\n".utf8
      case 0..<0x20, 0x7F: escape(byte)
      default: out.append(byte)
      }
    }
    out.append(UInt8(ascii: "\""))
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral, ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral
{
  package init(stringLiteral text: String) { self = .string(text) }
  package init(booleanLiteral flag: Bool) { self = .bool(flag) }
  package init(integerLiteral number: Int) { self = .integer(number) }
  package init(arrayLiteral values: JSON...) { self = .array(values) }
  package init(dictionaryLiteral members: (String, JSON)...) {
    self = .object(Dictionary(members) { _, last in last })
  }
}
