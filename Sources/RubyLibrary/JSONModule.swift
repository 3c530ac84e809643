// Invariant: whatever a text or a value holds, it ends as an object, a text or a JSON error, and no stretch of
// it takes long: depth, numbers and bytes are all checked, and nothing recurs.

import Formats
import Ruby

/// The natives of json.rb: reading and writing JSON.
enum JSONModule {
  /// Up to so many bytes a text is read at once: the rest of them go through another thread.
  private static let atOnce = 512 << 10

  /// Defines them in `vm`.
  ///
  /// Throws where there is no memory for that.
  static func install(in vm: VM) throws(RubyException) {
    try vm.setConstant("Box", to: vm.boxClass, in: try vm.constant("FUSE"))
    try installReading(in: vm)
    try installWriting(in: vm)
  }

  private static func installReading(in vm: VM) throws(RubyException) {
    // The parser of the last text that was read at once, with its memory.
    var spare: JSONParser?
    try vm.define("FUSE", "__json_read") { [unowned vm] call throws(RubyException) in
      let count = call[0].withBytes(\.count) ?? 0
      let parser: JSONParser
      do throws(JSONFault) {
        parser = if count <= atOnce, let last = spare.take() { last } else { try JSONParser() }
      } catch {
        throw vm.exception("NoMemoryError", "Out of memory")
      }
      let reading = JSONReading(
        parser, count: count, symbolizes: call[1].isTruthy, maximumDepth: call[2].integer ?? 0)
      guard count <= atOnce else {
        reading.copy(call[0])
        let box = try vm.box(reading)
        try vm.keep(try vm.shared(call[0]), in: box)
        return box
      }
      reading.copy(call[0])
      reading.parse()
      guard case .begun(let list) = try reading.goOn(in: vm, on: .nil, nanoseconds: 0) else {
        return .nil
      }
      let step = try reading.goOn(in: vm, on: list, nanoseconds: stretchNanoseconds)
      if case .complete(let value) = step {
        spare = parser
        return value
      }
      let box = try vm.box(reading)
      try vm.keep(list, in: box)
      return box
    }
    try vm.define("FUSE", "__json_build") { [unowned vm] call throws(RubyException) in
      let box = call[0]
      guard let reading = vm.boxed(box) as? JSONReading else {
        throw vm.exception("TypeError", "no JSON text")
      }
      let kept = try vm.kept(in: box)
      switch try reading.goOn(in: vm, on: kept, nanoseconds: stretchNanoseconds) {
      case .paused: return box
      case .begun(let list):
        try vm.keep(list, in: box)
        return box
      case .complete(let value): return value
      }
    }
  }

  private static func installWriting(in vm: VM) throws(RubyException) {
    try vm.define("FUSE", "__json_write") { [unowned vm] call throws(RubyException) in
      var style = ValueWriter.Style()
      style.depth = call[1].integer ?? 0
      // What contains itself comes to no end by itself.
      let bound = call[2].integer ?? 0
      style.maximumDepth = bound > 0 ? min(bound, JSONParser.deepest) : JSONParser.deepest
      style.allowsNaN = call[3].isTruthy
      style.isOfAnyClass = call[5].isTruthy
      if let layout = call[4].elements, layout.count == 4 {
        style.indent = layout[0].bytes ?? []
        style.space = layout[1].bytes ?? []
        style.objectNewline = layout[2].bytes ?? []
        style.arrayNewline = layout[3].bytes ?? []
      }
      let writer = try ValueWriter(
        style, isUTF8: JSONText.isUTF8, writeNumber: JSONText.writeNumber, in: vm)
      let list = try writer.begin(call[0], in: vm)
      let step = try writer.goOn(in: vm, on: list, nanoseconds: stretchNanoseconds)
      if case .complete(let text) = step { return text }
      let box = try vm.box(writer)
      try vm.keep(list, in: box)
      return try value(of: step, box, vm)
    }
    try vm.define("FUSE", "__json_go_on") { [unowned vm] call throws(RubyException) in
      let box = call[0]
      guard let writer = vm.boxed(box) as? ValueWriter else {
        throw vm.exception("TypeError", "no JSON text")
      }
      if let bytes = call[1].borrowedBytes {
        guard case .paused = try writer.add(bytes, in: vm) else {
          return try value(of: .notText, box, vm)
        }
      }
      let list = try vm.kept(in: box)
      let step = try writer.goOn(in: vm, on: list, nanoseconds: stretchNanoseconds)
      return try value(of: step, box, vm)
    }
  }

  /// What Ruby is told of a step: the text, the box alone, or with what is asked for.
  private static func value(
    of step: ValueWriter.Step, _ box: Value, _ vm: VM
  ) throws(RubyException) -> Value {
    switch step {
    case .paused: return box
    case .complete(let text): return text
    case .asksText(let object, let depth):
      return try vm.array([box, object, try vm.integer(depth)])
    case .asksName(let name): return try vm.array([box, name])
    case .tooDeep(let depth):
      throw vm.jsonError("NestingError", "nesting of \(depth) is too deep")
    case .notText:
      throw vm.jsonError("GeneratorError", "source sequence is illegal/malformed utf-8")
    case .notNumber(let number):
      let name = number.isNaN ? "NaN" : number > 0 ? "Infinity" : "-Infinity"
      throw vm.jsonError("GeneratorError", "\(name) not allowed in JSON")
    }
  }
}
