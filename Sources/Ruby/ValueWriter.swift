import CMRuby

/// Writes a value, with all that is in it, as JSON, a stretch at a time.
public final class ValueWriter {
  /// How to write.
  public struct Style {
    public var indent: [UInt8] = []
    public var space: [UInt8] = []
    public var objectNewline: [UInt8] = []
    public var arrayNewline: [UInt8] = []
    /// How deep the value stands already, and how deep it may become; 0 for any.
    public var depth = 0
    public var maximumDepth = 0
    public var allowsNaN = false
    /// A String, Array or Hash is written as one even if its class is none of Ruby's own.
    public var isOfAnyClass = false

    public init() {}
  }

  public typealias IsUTF8 = @convention(c) (UnsafePointer<CChar>?, Int) -> Bool
  /// Writes a finite number in at most 40 bytes, and returns in how many.
  public typealias WriteNumber = @convention(c) (Double, UnsafeMutablePointer<CChar>) -> Int

  /// How far the writing has come.
  public enum Step {
    case paused
    case complete(Value)
    /// An object that only Ruby can write, and how deep it stands: `add` is next.
    case asksText(Value, depth: Int)
    /// A name that only Ruby can say.
    case asksName(Value)
    case tooDeep(Int)
    case notText
    case notNumber(Double)
  }

  private let raw: OpaquePointer
  /// The bytes of the style, of which C has the addresses.
  private let texts: UnsafeMutableRawBufferPointer

  /// Throws NoMemoryError.
  public init(
    _ style: Style, isUTF8: IsUTF8, writeNumber: WriteNumber, in vm: VM
  ) throws(RubyException) {
    let parts = [style.indent, style.space, style.objectNewline, style.arrayNewline]
    let texts = UnsafeMutableRawBufferPointer.allocate(
      byteCount: parts.reduce(0) { $0 + $1.count }, alignment: 1)
    texts.copyBytes(from: parts.joined())
    var start = 0
    let lent = parts.map { part in
      defer { start += part.count }
      return cmr_bytes(UnsafeRawBufferPointer(rebasing: texts[start..<(start + part.count)]))
    }
    var writing = cmr_writing(
      indent: lent[0], space: lent[1], object_nl: lent[2], array_nl: lent[3],
      depth: max(style.depth, 0), maximum_depth: max(style.maximumDepth, 0),
      allows_nan: style.allowsNaN, takes_any_class: style.isOfAnyClass, is_utf8: isUTF8,
      write_number: writeNumber)
    guard let raw = cmr_writer_make(&writing) else {
      texts.deallocate()
      throw vm.exception("NoMemoryError", "Out of memory")
    }
    self.raw = raw
    self.texts = texts
  }

  deinit {
    cmr_writer_free(raw)
    texts.deallocate()
  }

  /// What everything hangs on that is being written, to be kept from now on, and given to `goOn`.
  public func begin(_ value: Value, in vm: VM) throws(RubyException) -> Value {
    try vm.check(cmr_writer_begin(vm.raw, raw, value.raw))
  }

  /// Writes for about so many nanoseconds.
  public func goOn(
    in vm: VM, on list: Value, nanoseconds: UInt64
  ) throws(RubyException) -> Step {
    try step(cmr_writer_go_on(vm.raw, raw, list.raw, nanoseconds), vm)
  }

  /// Adds what was asked for: an object's text, or a name. Where that cannot be, the step says why.
  public func add(_ bytes: UnsafeRawBufferPointer, in vm: VM) throws(RubyException) -> Step {
    try step(cmr_writer_add(vm.raw, raw, cmr_bytes(bytes)), vm)
  }

  private func step(_ written: cmr_written, _ vm: VM) throws(RubyException) -> Step {
    let value = try vm.check(written.result)
    return switch written.kind {
    case CMR_WRITTEN: .complete(value)
    case CMR_WRITTEN_ASKS where cmr_writer_asks_name(raw): .asksName(value)
    case CMR_WRITTEN_ASKS: .asksText(value, depth: cmr_writer_depth(raw))
    case CMR_WRITTEN_TOO_DEEP: .tooDeep(value.integer ?? 0)
    case CMR_WRITTEN_NO_TEXT: .notText
    case CMR_WRITTEN_NO_NUMBER: .notNumber(value.double ?? 0)
    default: .paused
    }
  }
}
