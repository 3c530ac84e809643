// Ruby values as Swift sees them.
//
// Invariant: a Value is a borrowed word. It is good inside the stretch that made it, or for as long as
// a Root (or an object that one holds) refers to it; nothing here copies or counts it.
//
// What is asked of every hook result is public, since only that is inlined into a host, which still cannot
// name what is in CMRuby.

import CMRuby

/// A Ruby object, as one word that belongs to its VM's garbage collector.
public struct Value: Equatable, Sendable {
  let word: UInt

  init(_ raw: cmr_value) { word = raw.word }
  var raw: cmr_value { cmr_value(word: word) }

  public static var `nil`: Value { Value(cmr_nil()) }
  public static var `true`: Value { Value(cmr_bool(true)) }
  public static var `false`: Value { Value(cmr_bool(false)) }

  /// Ruby's `true` or `false`.
  public init(_ bool: Bool) { self = bool ? .true : .false }

  /// The types that a host tells apart.
  public enum Kind {
    case `nil`, `false`, `true`, integer, float, symbol, string, array, hash, exception, `class`
    case proc, other
  }

  /// What the object is.
  public var kind: Kind {
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

  public var isNil: Bool { word == cmr_nil().word }
  /// Everything but nil and false.
  public var isTruthy: Bool { cmr_truthy(raw) }
  /// The value of an Integer; nil for anything else.
  public var integer: Int? {
    if cmr_is_small(raw) { return Int(cmr_small(raw)) }
    return kind == .integer ? Int(cmr_integer_of(raw)) : nil
  }
  /// The value of a Float or an Integer; nil for anything else.
  public var double: Double? {
    switch kind {
    case .float: cmr_float_of(raw)
    case .integer: Double(cmr_integer_of(raw))
    default: nil
    }
  }
  /// The name that a Symbol stands for; nil for anything else.
  public var symbol: Name? { kind == .symbol ? Name(cmr_symbol_of(raw)) : nil }

  /// A copy of a String's bytes; nil for anything else.
  public var bytes: [UInt8]? { withBytes { [UInt8]($0) } }
  /// A String's bytes as text, with replacement characters for what is not UTF-8.
  public var text: String? { withBytes { String(decoding: $0, as: UTF8.self) } }

  /// A String's own bytes, which are good until Ruby runs again; nil for anything else.
  public var borrowedBytes: UnsafeRawBufferPointer? {
    guard kind == .string else { return nil }
    let bytes = cmr_string_of(raw)
    return UnsafeRawBufferPointer(start: bytes.start, count: bytes.count)
  }

  /// Lends a String's own bytes, as `borrowedBytes` has them; nil for anything else.
  public func withBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R? {
    guard let bytes = borrowedBytes else { return nil }
    return try body(bytes)
  }

  /// The number of elements of an Array; nil for anything else.
  public var count: Int? { kind == .array ? Int(cmr_array_count(raw)) : nil }
  /// An Array's element, or Ruby's nil outside of it and for anything that is no Array.
  public subscript(index: Int) -> Value { Value(cmr_array_at(raw, Int64(index))) }
  /// A copy of an Array's elements; nil for anything else.
  public var elements: [Value]? { count.map { (0..<$0).map { self[$0] } } }
}

/// An interned Ruby name (a Symbol): comparing two is comparing two integers.
public struct Name: Hashable, Sendable {
  let id: cmr_symbol
  init(_ id: cmr_symbol) { self.id = id }
  /// The Symbol as an object.
  public var value: Value { Value(cmr_symbol_value(id)) }
}

/// An element of a list of names.
public struct Listed {
  /// The element itself.
  public let value: Value
  /// The name's own bytes, which are good until Ruby runs again, or for a Symbol until the next one is
  /// asked for; nil where the element is no name.
  public let name: UnsafeRawBufferPointer?
  /// What came with the name, or nil.
  public let stat: Value

  init(_ raw: cmr_listed) {
    value = Value(raw.element)
    name = raw.name.start.map { UnsafeRawBufferPointer(start: $0, count: raw.name.count) }
    stat = Value(raw.stat)
  }
}

/// A Ruby exception on its way through Swift; natives throw it, and calls that raise throw it.
public struct RubyException: Error {
  /// The exception object.
  public let value: Value
  public init(value: Value) { self.value = value }
}
