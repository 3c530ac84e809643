// Making Ruby objects, and asking them things.

import CMRuby

extension VM {
  /// Interns a name (mrb_intern); the same text always gives the same Name.
  public func name(_ text: String) -> Name {
    var text = text
    // Interning fails only without memory; 0 is no symbol of Ruby's, so no method bears it.
    let result = text.withUTF8 { cmr_intern(raw, cmr_bytes(UnsafeRawBufferPointer($0))) }
    return result.raised ? Name(0) : Name(cmr_symbol_of(result.value))
  }

  /// The text of a name.
  public func text(_ name: Name) -> String {
    let bytes = cmr_symbol_name(raw, name.id)
    return String(
      decoding: UnsafeRawBufferPointer(start: bytes.start, count: bytes.count), as: UTF8.self)
  }

  public func integer(_ value: Int) throws(RubyException) -> Value {
    try check(cmr_integer(raw, Int64(value)))
  }

  public func float(_ value: Double) throws(RubyException) -> Value {
    try check(cmr_float(raw, value))
  }

  /// A String with a copy of `bytes`.
  public func string(_ bytes: UnsafeRawBufferPointer) throws(RubyException) -> Value {
    try check(cmr_string(raw, cmr_bytes(bytes)))
  }

  public func string(_ bytes: [UInt8]) throws(RubyException) -> Value {
    try check(bytes.withBytes { cmr_string(raw, $0) })
  }

  /// A String out of the reach of scripts, with the bytes that another one has now; without a copy where
  /// they are many.
  public func shared(_ string: Value) throws(RubyException) -> Value {
    guard string.kind == .string else { return .nil }
    return try check(cmr_share(raw, string.raw))
  }

  public func string(_ text: String) throws(RubyException) -> Value {
    var text = text
    return try check(
      text.withUTF8 { cmr_string(raw, cmr_bytes(UnsafeRawBufferPointer($0))) })
  }

  public func array(_ values: [Value]) throws(RubyException) -> Value {
    let words = values.map(\.raw)
    return try check(
      words.withUnsafeBufferPointer { cmr_array(raw, $0.baseAddress, Int64($0.count)) })
  }

  public func push(_ value: Value, onto array: Value) throws(RubyException) {
    try check(cmr_array_push(raw, array.raw, value.raw))
  }

  public func hash() throws(RubyException) -> Value { try check(cmr_hash(raw)) }

  public func set(_ key: Value, to value: Value, in hash: Value) throws(RubyException) {
    try check(cmr_hash_set(raw, hash.raw, key.raw, value.raw))
  }

  /// The value at `key` of a Hash, or nil; a default is not asked.
  public func get(_ key: Value, from hash: Value) throws(RubyException) -> Value {
    guard hash.kind == .hash else { return .nil }
    return try check(cmr_hash_get(raw, hash.raw, key.raw))
  }

  /// The keys of a Hash in their order.
  public func keys(of hash: Value) throws(RubyException) -> [Value] {
    guard hash.kind == .hash else { return [] }
    return try check(cmr_hash_keys(raw, hash.raw)).elements ?? []
  }

  /// The constant of that name, under `scope` or at the top level; raises NameError.
  public func constant(_ name: String, in scope: Value = .nil) throws(RubyException) -> Value {
    try check(cmr_constant(raw, scope.raw, name))
  }

  public func setConstant(
    _ name: String, to value: Value, in scope: Value = .nil
  ) throws(RubyException) {
    try check(cmr_constant_set(raw, scope.raw, name, value.raw))
  }

  /// Calls a method; a wait inside it is done in place, because C stands between.
  @discardableResult
  public func send(
    _ receiver: Value, _ method: Name, _ arguments: [Value] = []
  ) throws(RubyException) -> Value {
    let words = arguments.map(\.raw)
    return try check(
      words.withUnsafeBufferPointer {
        cmr_send(raw, receiver.raw, method.id, Int64($0.count), $0.baseAddress)
      })
  }

  @discardableResult
  public func send(
    _ receiver: Value, _ method: String, _ arguments: [Value] = []
  ) throws(RubyException) -> Value {
    try send(receiver, name(method), arguments)
  }

  /// Calls a Proc, as `send` calls a method; a lambda wants just as many arguments as parameters.
  @discardableResult
  public func call(_ proc: Value, _ arguments: [Value] = []) throws(RubyException) -> Value {
    let words = arguments.map(\.raw)
    return try check(
      words.withUnsafeBufferPointer {
        cmr_call_proc(raw, proc.raw, Int64($0.count), $0.baseAddress)
      })
  }

  /// How many positional arguments the object's method takes at most (`Int.max`: any number); nil
  /// where it has no such method.
  public func accepts(_ receiver: Value, _ method: Name) -> Int? {
    arity(cmr_accepts(raw, receiver.raw, method.id))
  }

  /// The same for the instances of a class.
  public func instances(of klass: Value, accept method: Name) -> Int? {
    arity(cmr_instances_accept(raw, klass.raw, method.id))
  }

  private func arity(_ count: Int32) -> Int? {
    count < 0 ? nil : count == CMR_ANY ? .max : Int(count)
  }

  /// Whether the object is an instance of the class or of one below it.
  public func isKind(_ value: Value, of klass: Value) -> Bool {
    cmr_kind_of(raw, value.raw, klass.raw)
  }

  /// The name of the object's class.
  public func className(of value: Value) -> String {
    let bytes = cmr_class_name(raw, value.raw)
    return String(
      decoding: UnsafeRawBufferPointer(start: bytes.start, count: bytes.count), as: UTF8.self)
  }

  /// What `inspect` says of the object; its class where `inspect` raises.
  public func inspect(_ value: Value) -> String {
    let result = cmr_inspect(raw, value.raw)
    guard !result.raised, let text = Value(result.value).bytes else {
      return "#<\(className(of: value))>"
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The same for people in a hurry: of a String no more than so many bytes, of an Array or Hash only
  /// the first elements, and of those within each other three. What is left out is never looked at,
  /// however large it is; it may contain itself.
  public func inspect(_ value: Value, limit: Int) -> String {
    inspect(value, limit: limit, depth: 3)
  }

  private func inspect(_ value: Value, limit: Int, depth: Int) -> String {
    scope {
      // What an `inspect` of the script's does may free what it is in.
      cmr_hold(raw, value.raw)
      switch value.kind {
      case .string:
        let total = value.withBytes(\.count) ?? 0
        guard total > limit,
          let start = value.withBytes({ [UInt8]($0.prefix(limit)) }),
          let string = try? string(start)
        else { break }
        return "\(inspect(string))... (\(total) bytes)"
      case .array:
        guard let count = value.count else { break }
        if depth == 0 { return "[...]" }
        let shown = (0..<min(count, 4)).map {
          inspect(value[$0], limit: limit, depth: depth - 1)
        }
        let rest = count > 4 ? ["... (\(count) elements)"] : []
        return "[\((shown + rest).joined(separator: ", "))]"
      case .hash:
        if depth == 0 { return "{...}" }
        guard let keys = try? keys(of: value) else { break }
        let shown = keys.prefix(4).map { key in
          let member = (try? get(key, from: value)) ?? .nil
          return inspect(key, limit: limit, depth: depth - 1) + "=>"
            + inspect(member, limit: limit, depth: depth - 1)
        }
        let rest = keys.count > 4 ? ["... (\(keys.count) elements)"] : []
        return "{\((shown + rest).joined(separator: ", "))}"
      default: break
      }
      let text = inspect(value)
      return text.utf8.count <= limit
        ? text : String(decoding: text.utf8.prefix(limit), as: UTF8.self) + "..."
    }
  }

  /// Where the code that runs is, as "file:line:in method", innermost first.
  public var backtrace: [String] {
    scope {
      let frames = cmr_backtrace(raw)
      return frames.raised ? [] : (Value(frames.value).elements ?? []).compactMap(\.text)
    }
  }

  /// An element of a list of names, each of which may be a String, a Symbol, or an Array of one of
  /// these and something else.
  public func listed(in array: Value, at index: Int) -> Listed {
    Listed(cmr_listed_at(raw, array.raw, Int64(index)))
  }

  // MARK: Exceptions

  /// A new exception of the named class, to throw from a native.
  public func exception(_ klass: String, _ message: String) -> RubyException {
    var message = message
    let result = message.withUTF8 {
      cmr_exception(raw, klass, cmr_bytes(UnsafeRawBufferPointer($0)))
    }
    return RubyException(value: Value(result.value))
  }

  /// An exception in plain Swift values.
  public struct ExceptionDescription: Sendable, Equatable {
    public var className: String
    public var message: String
    /// `file:line:in method`, innermost first.
    public var backtrace: [String]
  }

  /// What there is to say of an exception.
  public func describe(_ exception: RubyException) -> ExceptionDescription {
    scope {
      let value = exception.value
      let message = (try? send(value, "message"))?.text
      let frames = (try? send(value, "backtrace"))?.elements ?? []
      // mruby has one SystemStackError for all, which would keep the backtrace of its first use.
      if className(of: value) == "SystemStackError" { cmr_forget_backtrace(raw, value.raw) }
      return ExceptionDescription(
        className: className(of: value), message: message ?? "",
        backtrace: frames.compactMap(\.text))
    }
  }
}
