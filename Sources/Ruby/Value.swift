// Ruby values as Swift sees them.
//
// Invariant: a Value is a borrowed word. It is good inside the turn that made it, or for as long as
// a Root (or an object that one holds) refers to it; nothing here copies or counts it.

import CMRuby

/// A Ruby object, as one word that belongs to its VM's garbage collector.
package struct Value: Equatable, Sendable {
  let word: UInt

  init(_ raw: cmr_value) { word = raw.word }
  var raw: cmr_value { cmr_value(word: word) }

  package static var `nil`: Value { Value(cmr_nil()) }
  package static var `true`: Value { Value(cmr_bool(true)) }
  package static var `false`: Value { Value(cmr_bool(false)) }

  /// Ruby's `true` or `false`.
  package init(_ bool: Bool) { self = bool ? .true : .false }

  /// The types that a host tells apart.
  package enum Kind {
    case `nil`, `false`, `true`, integer, float, symbol, string, array, hash, exception, `class`
    case proc, other
  }

  /// What the object is.
  package var kind: Kind {
    switch cmr_type_of(raw) {
    case CMR_NIL: .nil
    case CMR_FALSE: .false
    case CMR_TRUE: .true
    case CMR_INTEGER: .integer
    case CMR_FLOAT: .float
    case CMR_SYMBOL: .symbol
    case CMR_STRING: .string
    case CMR_ARRAY: .array
    case CMR_HASH: .hash
    case CMR_EXCEPTION: .exception
    case CMR_CLASS: .class
    case CMR_PROC: .proc
    default: .other
    }
  }

  package var isNil: Bool { word == cmr_nil().word }
  /// Everything but nil and false.
  package var isTruthy: Bool { cmr_truthy(raw) }
  /// The value of an Integer; nil for anything else.
  package var integer: Int? { kind == .integer ? Int(cmr_integer_of(raw)) : nil }
  /// The value of a Float or an Integer; nil for anything else.
  package var double: Double? {
    switch kind {
    case .float: cmr_float_of(raw)
    case .integer: Double(cmr_integer_of(raw))
    default: nil
    }
  }
  /// The name that a Symbol stands for; nil for anything else.
  package var symbol: Name? { kind == .symbol ? Name(cmr_symbol_of(raw)) : nil }

  /// A copy of a String's bytes; nil for anything else.
  package var bytes: [UInt8]? { withBytes { [UInt8]($0) } }
  /// A String's bytes as text, with replacement characters for what is not UTF-8.
  package var text: String? { withBytes { String(decoding: $0, as: UTF8.self) } }

  /// Lends a String's own bytes, which are good until Ruby runs again; nil for anything else.
  package func withBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R? {
    guard kind == .string else { return nil }
    let bytes = cmr_string_of(raw)
    return try body(UnsafeRawBufferPointer(start: bytes.start, count: bytes.count))
  }

  /// The number of elements of an Array; nil for anything else.
  package var count: Int? { kind == .array ? Int(cmr_array_count(raw)) : nil }
  /// An Array's element, or nil outside of it. The receiver must be an Array.
  package subscript(index: Int) -> Value { Value(cmr_array_at(raw, Int64(index))) }
  /// A copy of an Array's elements; nil for anything else.
  package var elements: [Value]? { count.map { (0..<$0).map { self[$0] } } }
}

/// An interned Ruby name (a Symbol): comparing two is comparing two integers.
package struct Name: Hashable, Sendable {
  let id: cmr_symbol
  init(_ id: cmr_symbol) { self.id = id }
  /// The Symbol as an object.
  package var value: Value { Value(cmr_symbol_value(id)) }
}

/// A Ruby exception on its way through Swift; natives throw it, and calls that raise throw it.
package struct RubyException: Error {
  /// The exception object.
  package let value: Value
  package init(value: Value) { self.value = value }
}
