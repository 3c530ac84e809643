// The Ruby virtual machine.
//
// Invariants: only the thread that made a VM touches it (it is not Sendable, so the compiler keeps
// that), and no longjmp crosses a Swift frame (every call below ends in a guarded C function).

import CMRuby

/// What a native method returns to Ruby: a value, or the exception to raise.
public typealias Native = (Call) throws(RubyException) -> Value

/// An mruby state with everything that the default gem box of Debian's libmruby has.
public final class VM {
  let raw: OpaquePointer
  private var natives: [Native] = []
  private var freeRoots: [Int] = []
  private var rootCount = 0
  /// What the last stretch of a fiber had made of its receiver: the same, or what its fiber has put in
  /// its place.
  public internal(set) var made = Value.nil

  /// Opens a VM (mrb_open_allocf).
  ///
  /// Throws `OutOfMemory` when there is no memory for one.
  public init() throws(OutOfMemory) {
    // The context is filled in once `self` exists; natives are only called later.
    let box = DispatchBox()
    let context = Unmanaged.passRetained(box).toOpaque()
    guard
      let raw = cmr_open(
        { context, call in DispatchBox.dispatch(context, call.pointee) }, context)
    else {
      Unmanaged<DispatchBox>.fromOpaque(context).release()
      throw OutOfMemory()
    }
    self.raw = raw
    self.box = box
    box.vm = self
  }

  private let box: DispatchBox

  deinit {
    cmr_close(raw)
    Unmanaged.passUnretained(box).release()
  }

  /// There was no memory for a VM.
  public struct OutOfMemory: Error {}

  // MARK: Natives

  /// Makes `module.name` in Ruby call `native`; the module is made where it is missing.
  public func define(
    _ module: String = "FUSE", _ name: String, _ native: @escaping Native
  ) throws(RubyException) {
    natives.append(native)
    try check(cmr_define(raw, module, name, UInt32(natives.count - 1)))
  }

  fileprivate func call(_ raw: cmr_call) -> cmr_result {
    do throws(RubyException) {
      return cmr_result(value: try natives[Int(raw.index)](Call(raw)).raw, raised: false)
    } catch {
      return cmr_result(value: error.value.raw, raised: true)
    }
  }

  // MARK: Source

  /// Where and why a source does not parse.
  public struct SyntaxError: Error, Equatable, CustomStringConvertible {
    public let file: String
    public let line: Int
    public let column: Int
    public let message: String
    /// The source ends in the middle of something; a prompt would ask for another line.
    public let isIncomplete: Bool
    /// `file:line:column: message`.
    public var description: String { "\(file):\(line):\(column): \(message)" }
  }

  /// Parses `source` without running it (mrb_parse_nstring); nil when it is Ruby.
  public func syntaxError(in source: [UInt8], file: String) -> SyntaxError? {
    let found = source.withBytes { cmr_check(raw, $0, file) }
    guard found.failed else { return nil }
    return SyntaxError(
      file: file, line: Int(found.line), column: Int(found.column),
      message: withUnsafeBytes(of: found.message) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }, isIncomplete: found.incomplete)
  }

  /// The local variables that a source sets at its top level, as an Array of Symbols: what a prompt
  /// has to keep for the next line.
  public func localVariables(of source: [UInt8]) throws(RubyException) -> Value {
    try check(source.withBytes { cmr_locals(raw, $0) })
  }

  /// Runs `source` at the top level, with no Fiber underneath: what it waits for is done in place.
  @discardableResult
  public func evaluate(_ source: [UInt8], file: String) throws(RubyException) -> Value {
    try check(source.withBytes { cmr_evaluate(raw, $0, file) })
  }

  // MARK: Interrupts

  /// Lets another thread or process interrupt what runs, by setting a word: the next native method that
  /// is called raises Interrupt, and clears the word. nil ends that. Default: nothing can.
  public func allowInterrupts(by word: UnsafeMutablePointer<UInt64>?) {
    cmr_interrupt_at(raw, word)
  }

  // MARK: Memory

  /// What the VM holds.
  public struct Memory {
    /// Bytes allocated now, and all that ever were.
    public let live: Int
    public let total: Int
    /// Objects on mruby's heap.
    public let objects: Int
  }
  public var memory: Memory {
    let use = cmr_memory_use(raw)
    return Memory(live: Int(use.live), total: Int(use.total), objects: Int(use.objects))
  }
  /// Bytes over which an allocation is refused: a full collection, then NoMemoryError in the
  /// script. Default 0: none.
  public func limitMemory(bytes: Int) { cmr_memory_limit(raw, bytes) }
  /// Collects if many bytes have gone by; to be called between two stretches of tasks.
  public func collectIfDue() { cmr_collect_if_due(raw) }
  /// Collects everything that is garbage (mrb_full_gc).
  public func collect() { cmr_collect(raw) }

  /// Runs `body`; the values that it made and did not root are garbage afterwards.
  public func scope<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let arena = openScope()
    defer { closeScope(arena) }
    return try body()
  }

  /// The same in two halves, for where a closure is in the way: close what was opened, in order.
  public func openScope() -> Int32 { cmr_arena_save(raw) }
  public func closeScope(_ scope: Int32) { cmr_arena_restore(raw, scope) }

  // MARK: Roots

  /// A place in the VM's one rooted container: what is there stays alive.
  public struct Root: Hashable, Sendable {
    let index: Int
  }

  /// Keeps `value` alive until `release`. Constant time.
  public func retain(_ value: Value) throws(RubyException) -> Root {
    let index = freeRoots.popLast() ?? rootCount
    try check(cmr_root_set(raw, Int64(index), value.raw))
    if index == rootCount { rootCount += 1 }
    return Root(index: index)
  }

  /// Puts another value in the place of the one that is there.
  public func replace(_ root: Root, with value: Value) throws(RubyException) {
    try check(cmr_root_set(raw, Int64(root.index), value.raw))
  }

  /// Lets go of what is there; the root must not be used again.
  public func release(_ root: Root) {
    _ = cmr_root_set(raw, Int64(root.index), cmr_nil())
    freeRoots.append(root.index)
  }

  /// The value that is kept.
  public subscript(root: Root) -> Value { Value(cmr_root_at(raw, Int64(root.index))) }

  // MARK: The one conversion of errors

  @discardableResult
  func check(_ result: cmr_result) throws(RubyException) -> Value {
    let value = Value(result.value)
    if result.raised { throw RubyException(value: value) }
    return value
  }
}

/// What the C side calls back: it outlives nothing and owns nothing, it only leads to the VM.
private final class DispatchBox {
  unowned var vm: VM?

  static func dispatch(_ context: UnsafeMutableRawPointer?, _ call: cmr_call) -> cmr_result {
    guard let context,
      let vm = Unmanaged<DispatchBox>.fromOpaque(context)._withUnsafeGuaranteedRef({ $0.vm })
    else { return cmr_result(value: cmr_nil(), raised: false) }
    return vm.call(call)
  }
}

/// A call of a native method: good until the native returns.
public struct Call {
  let raw: cmr_call
  init(_ raw: cmr_call) { self.raw = raw }

  /// How many arguments were passed.
  public var count: Int { Int(raw.count) }
  /// The argument, or nil where there are fewer.
  public subscript(index: Int) -> Value {
    guard index < count, let arguments = raw.arguments else { return .nil }
    return Value(arguments[index])
  }
  /// The block, or nil.
  public var block: Value { Value(raw.block) }
}

extension [UInt8] {
  func withBytes<R>(_ body: (cmr_bytes) -> R) -> R {
    withUnsafeBytes { body(cmr_bytes($0)) }
  }
}

extension cmr_bytes {
  init(_ buffer: UnsafeRawBufferPointer) {
    self.init(
      start: buffer.baseAddress?.assumingMemoryBound(to: CChar.self), count: buffer.count)
  }
}
