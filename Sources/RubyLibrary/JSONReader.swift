import CJansson
import Ruby

/// Reads one JSON text into Ruby objects.
struct JSONReader {
  let vm: VM
  /// Whether names become Symbols.
  let symbolizes: Bool
  /// How deep arrays and objects may be nested; 0 leaves it to Jansson, which allows 2048.
  let maximumDepth: Int

  /// Throws JSON::ParserError or JSON::NestingError.
  func read(_ text: [UInt8]) throws(RubyException) -> Value {
    var failure = json_error_t()
    var root = Self.load(text, &failure)
    if root == nil, failure.code == json_error_numeric_overflow {
      root = Self.load(Self.widened(text), &failure)
    }
    guard let root else {
      let kind = failure.code == json_error_stack_overflow ? "NestingError" : "ParserError"
      throw error(kind, "\(failure.message) at line \(failure.line) column \(failure.column)")
    }
    defer { json_decref(root) }
    return try object(root, depth: 0)
  }

  private static func load(
    _ text: [UInt8], _ failure: inout json_error_t
  ) -> UnsafeMutablePointer<json_t>? {
    text.withUnsafeBytes { bytes in
      // Jansson takes no address for no argument, and an empty text has none.
      guard let start = bytes.baseAddress else { return json_loadb("", 0, flags, &failure) }
      return json_loadb(start.assumingMemoryBound(to: CChar.self), bytes.count, flags, &failure)
    }
  }

  private static let flags = Int(JSON_DECODE_ANY | JSON_ALLOW_NUL)

  // MARK: Objects

  private func object(
    _ json: UnsafeMutablePointer<json_t>, depth: Int
  ) throws(RubyException) -> Value {
    switch json.pointee.type {
    case JSON_OBJECT: return try hash(json, depth: depth + 1)
    case JSON_ARRAY: return try array(json, depth: depth + 1)
    case JSON_STRING:
      let bytes = UnsafeRawBufferPointer(
        start: json_string_value(json), count: json_string_length(json))
      return try vm.string(bytes)
    case JSON_INTEGER: return try vm.integer(Int(json_integer_value(json)))
    case JSON_REAL: return try vm.float(json_real_value(json))
    case JSON_TRUE: return .true
    case JSON_FALSE: return .false
    default: return .nil
    }
  }

  private func array(
    _ json: UnsafeMutablePointer<json_t>, depth: Int
  ) throws(RubyException) -> Value {
    try check(depth)
    let array = try vm.array([])
    for index in 0..<json_array_size(json) {
      guard let element = json_array_get(json, index) else { continue }
      // Once it is in the array the element needs no place in the arena.
      try vm.scope { () throws(RubyException) in
        try vm.push(try object(element, depth: depth), onto: array)
      }
    }
    return array
  }

  private func hash(
    _ json: UnsafeMutablePointer<json_t>, depth: Int
  ) throws(RubyException) -> Value {
    try check(depth)
    let hash = try vm.hash()
    var place = json_object_iter(json)
    while let current = place {
      if let element = json_object_iter_value(current), let name = json_object_iter_key(current) {
        try vm.scope { () throws(RubyException) in
          let bytes = UnsafeRawBufferPointer(start: name, count: json_object_iter_key_len(current))
          let key =
            symbolizes
            ? vm.name(String(decoding: bytes, as: UTF8.self)).value : try vm.string(bytes)
          try vm.set(key, to: try object(element, depth: depth), in: hash)
        }
      }
      place = json_object_iter_next(json, current)
    }
    return hash
  }

  private func check(_ depth: Int) throws(RubyException) {
    guard maximumDepth == 0 || depth <= maximumDepth else {
      throw error("NestingError", "nesting of \(depth) is too deep")
    }
  }

  private func error(_ kind: String, _ message: String) -> RubyException {
    do throws(RubyException) {
      let arguments = [vm.name(kind).value, try vm.string(message)]
      try vm.send(try vm.constant("JSON"), "__fail", arguments)
    } catch {
      return error
    }
    return vm.exception("RuntimeError", message)
  }

  // MARK: Numbers

  /// The text with ".0" behind each integer that needs more than 64 bits, so that it reads as a
  /// real number. Only looked for where Jansson has found one.
  private static func widened(_ text: [UInt8]) -> [UInt8] {
    var widened: [UInt8] = []
    var index = 0
    while index < text.count {
      let byte = text[index]
      var end = index + 1
      if byte == UInt8(ascii: "\"") {
        while end < text.count, text[end] != byte { end += text[end] == UInt8(ascii: "\\") ? 2 : 1 }
        end = min(end + 1, text.count)
      } else if byte == UInt8(ascii: "-") || isDigit(byte) {
        end = text[end...].firstIndex { !"0123456789+-.eE".utf8.contains($0) } ?? text.count
      }
      let token = text[index..<end]
      widened += token
      if isDigit(token[token.endIndex - 1]), token.dropFirst().allSatisfy(isDigit),
        Int(String(decoding: token, as: UTF8.self)) == nil
      {
        widened += ".0".utf8
      }
      index = end
    }
    return widened
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }
}

extension json_error_t {
  /// What kind of error it is, which Jansson keeps in the last byte of the text.
  fileprivate var code: json_error_code {
    withUnsafeBytes(of: text) { json_error_code(UInt32($0.last ?? 0)) }
  }

  /// Jansson's sentence about it.
  fileprivate var message: String {
    withUnsafeBytes(of: text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
