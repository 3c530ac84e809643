// Invariant: whatever a text holds, it ends as an object or as a JSON error: depth, size of numbers
// and bytes are all checked, by Jansson or here.

import CJansson
import Ruby

/// The natives of json.rb: reading JSON and writing its strings, with Jansson.
enum JSONModule {
  /// Defines them in `vm`.
  ///
  /// Throws where there is no memory for that.
  static func install(in vm: VM) throws(RubyException) {
    try vm.define("FUSE", "__json_parse") { [unowned vm] call throws(RubyException) in
      let reader = JSONReader(
        vm: vm, symbolizes: call[1].isTruthy, maximumDepth: call[2].integer ?? 0)
      return try reader.read(call[0].bytes ?? [])
    }
    try vm.define("FUSE", "__json_string") { [unowned vm] call throws(RubyException) in
      guard let quoted = call[0].withBytes(quote) ?? nil else { return .nil }
      return try vm.string(quoted)
    }
    try vm.define("FUSE", "__json_number") { [unowned vm] call throws(RubyException) in
      try vm.string(decimal(call[0].double ?? 0))
    }
  }

  /// The text in quotes, escaped where it must be; nil where it is not UTF-8. json_dump_callback().
  private static func quote(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
    // An empty buffer may have no address, which Jansson takes for no string.
    guard let start = bytes.baseAddress else { return Array(#""""#.utf8) }
    let text = json_stringn(start.assumingMemoryBound(to: CChar.self), bytes.count)
    guard let text else { return nil }
    defer { json_decref(text) }
    var quoted: [UInt8] = []
    quoted.reserveCapacity(bytes.count + 2)
    let code = withUnsafeMutablePointer(to: &quoted) {
      json_dump_callback(
        text,
        { piece, count, context in
          guard let piece, let context else { return -1 }
          context.assumingMemoryBound(to: [UInt8].self).pointee
            .append(contentsOf: UnsafeRawBufferPointer(start: piece, count: count))
          return 0
        }, $0, Int(JSON_ENCODE_ANY))
    }
    return code == 0 ? quoted : nil
  }

  /// The shortest text that mruby reads as the same number, with a point or an exponent in it.
  ///
  /// A word-boxed Float lacks the last two bits of its mantissa, so 0.1 is a little less than the
  /// nearest double, and what is shortest for that one is not what the script wrote.
  private static func decimal(_ number: Double) -> [UInt8] {
    var text: [CChar] = []
    for digits in 15...17 {
      text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 40) { buffer in
        let count = withVaList([Int32(digits), number]) {
          vsnprintf(buffer.baseAddress, buffer.count, "%.*g", $0)
        }
        return Array(buffer.prefix(Int(count))) + [0]
      }
      if boxed(strtod(text, nil)) == boxed(number) { break }
    }
    let bytes = text.dropLast().map { UInt8(bitPattern: $0) }
    return bytes.allSatisfy { $0 == UInt8(ascii: "-") || isDigit($0) }
      ? bytes + Array(".0".utf8) : bytes
  }

  /// What is left of a double's bits in a word that also says that it is a Float.
  private static func boxed(_ number: Double) -> UInt64 { number.bitPattern & ~3 }

  private static func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }
}
