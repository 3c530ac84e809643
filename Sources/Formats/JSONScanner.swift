import Glibc

/// Goes through a text up to the first place at which it is no JSON.
struct JSONScanner {
  let text: UnsafeRawBufferPointer
  /// The byte that is looked at; at the end, the one that is wrong.
  var place = 0
  /// For each array or object that is open, from outside inwards, whether it is an object.
  private var isObject: [Bool] = []

  private let maximumDepth: Int
  /// It was given up because arrays and objects are nested too deep.
  private(set) var isTooDeep = false

  init(text: UnsafeRawBufferPointer, maximumDepth: Int) {
    self.text = text
    self.maximumDepth = maximumDepth
  }

  /// What may come next.
  private enum Expected { case value, valueOrEnd, name, nameOrEnd, colon, commaOrEnd, nothing }

  /// What is wrong; nil where nothing is.
  mutating func scan() -> String? {
    var expected = Expected.value
    while true {
      while place < text.count, isSpace(text[place]) { place += 1 }
      guard place < text.count else {
        return expected == .nothing ? nil : "unexpected end of the text"
      }
      let byte = text[place]
      switch (expected, byte) {
      case (.valueOrEnd, UInt8(ascii: "]")), (.nameOrEnd, UInt8(ascii: "}")),
        (.commaOrEnd, UInt8(ascii: "]")) where isObject.last == false,
        (.commaOrEnd, UInt8(ascii: "}")) where isObject.last == true:
        isObject.removeLast()
        expected = isObject.isEmpty ? .nothing : .commaOrEnd
        place += 1
      case (.commaOrEnd, UInt8(ascii: ",")):
        expected = isObject.last == true ? .name : .value
        place += 1
      case (.colon, UInt8(ascii: ":")):
        expected = .value
        place += 1
      case (.name, UInt8(ascii: "\"")), (.nameOrEnd, UInt8(ascii: "\"")):
        if let fault = string() { return fault }
        expected = .colon
      case (.value, _), (.valueOrEnd, _):
        if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") {
          isObject.append(byte == UInt8(ascii: "{"))
          isTooDeep = isObject.count > maximumDepth
          if isTooDeep { return nil }
          expected = byte == UInt8(ascii: "{") ? .nameOrEnd : .valueOrEnd
          place += 1
        } else {
          if let fault = scalar(byte) { return fault }
          expected = isObject.isEmpty ? .nothing : .commaOrEnd
        }
      default: return unexpected
      }
    }
  }

  private var unexpected: String {
    guard place < text.count else { return "unexpected end of the text" }
    let byte = text[place]
    return byte > 0x20 && byte < 0x7F
      ? "unexpected '\(Character(Unicode.Scalar(byte)))'"
      : "unexpected byte 0x\(String(byte, radix: 16))"
  }

  private func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
  }

  // MARK: Scalars

  private mutating func scalar(_ byte: UInt8) -> String? {
    switch byte {
    case UInt8(ascii: "\""): string()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): number()
    case UInt8(ascii: "t"): word("true")
    case UInt8(ascii: "f"): word("false")
    case UInt8(ascii: "n"): word("null")
    default: unexpected
    }
  }

  private mutating func word(_ word: StaticString) -> String? {
    for index in 0..<word.utf8CodeUnitCount {
      guard place < text.count, text[place] == word.utf8Start[index] else { return unexpected }
      place += 1
    }
    return nil
  }

  private mutating func number() -> String? {
    let start = place
    if text[place] == UInt8(ascii: "-") { place += 1 }
    if place < text.count, text[place] == UInt8(ascii: "0") {
      place += 1
    } else if !digits() {
      return unexpected
    }
    if place < text.count, text[place] == UInt8(ascii: ".") {
      place += 1
      if !digits() { return unexpected }
    }
    if place < text.count, text[place] | 0x20 == UInt8(ascii: "e") {
      place += 1
      if place < text.count, text[place] == UInt8(ascii: "+") || text[place] == UInt8(ascii: "-") {
        place += 1
      }
      if !digits() { return unexpected }
    }
    // Also where another digit comes behind a leading zero.
    if place < text.count, JSONGrammar.isOfNumber(text[place]) { return unexpected }
    guard Double(String(decoding: text[start..<place], as: UTF8.self))?.isFinite == false else {
      return nil
    }
    place = start
    return "a number that is too large"
  }

  /// Goes over digits; false where there are none.
  private mutating func digits() -> Bool {
    let start = place
    while place < text.count, JSONGrammar.isDigit(text[place]) { place += 1 }
    return place > start
  }

  private mutating func string() -> String? {
    place += 1
    while place < text.count {
      switch text[place] {
      case UInt8(ascii: "\""):
        place += 1
        return nil
      case 0..<0x20: return "a control character in a string"
      case UInt8(ascii: "\\"): if let fault = escape() { return fault }
      default: place += 1
      }
    }
    return "unexpected end of the text"
  }

  private mutating func escape() -> String? {
    let start = place
    place += 1
    guard place < text.count else { return "unexpected end of the text" }
    guard text[place] == UInt8(ascii: "u") else {
      guard #""\/bfnrt"#.utf8.contains(text[place]) else { return unexpected }
      place += 1
      return nil
    }
    place += 1
    guard let unit = hexadecimal() else { return unexpected }
    if unit & 0xF800 != 0xD800 { return nil }
    // The first half of a pair, with the second behind it.
    if unit < 0xDC00, place + 1 < text.count, text[place] == UInt8(ascii: "\\"),
      text[place + 1] == UInt8(ascii: "u")
    {
      place += 2
      guard let second = hexadecimal() else { return unexpected }
      if second & 0xFC00 == 0xDC00 { return nil }
    }
    place = start
    return "half a surrogate pair"
  }

  private mutating func hexadecimal() -> Int? {
    var unit = 0
    for _ in 0..<4 {
      guard place < text.count,
        let digit = Character(Unicode.Scalar(text[place])).hexDigitValue, text[place] < 0x80
      else { return nil }
      unit = unit << 4 | digit
      place += 1
    }
    return unit
  }
}
