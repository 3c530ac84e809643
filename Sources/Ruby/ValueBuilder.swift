import CMRuby

/// Builds a value, with all that is in it, from a tape, a stretch at a time. `cmr_tape` of cmruby.h says
/// what a tape is.
public final class ValueBuilder {
  private let raw: OpaquePointer

  /// Begins with a tape, which has to stay as it is while the builder lives. Names in it become Strings,
  /// or Symbols; Arrays and Hashes may be `maximumDepth` deep in each other, or any depth where that is 0.
  ///
  /// Throws NoMemoryError.
  public init(
    words: UnsafeBufferPointer<UInt64>, strings: UnsafePointer<CChar>, symbolizes: Bool,
    maximumDepth: Int, in vm: VM
  ) throws(RubyException) {
    guard let start = words.baseAddress,
      let raw = cmr_builder_make(
        cmr_tape(words: start, count: words.count, strings: strings), symbolizes,
        max(maximumDepth, 0))
    else { throw vm.exception("NoMemoryError", "Out of memory") }
    self.raw = raw
  }

  deinit { cmr_builder_free(raw) }

  /// What everything hangs on that is built, to be kept from now on, and given to `goOn`.
  public func begin(in vm: VM) throws(RubyException) -> Value {
    try vm.check(cmr_builder_begin(vm.raw, raw))
  }

  /// How far the building has come.
  public enum Step {
    case paused
    case complete(Value)
    case tooDeep
  }

  /// Builds for about so many nanoseconds.
  public func goOn(
    in vm: VM, on list: Value, nanoseconds: UInt64
  ) throws(RubyException) -> Step {
    let built = cmr_builder_go_on(vm.raw, raw, list.raw, nanoseconds)
    let value = try vm.check(built.result)
    if built.is_too_deep { return .tooDeep }
    return built.is_complete ? .complete(value) : .paused
  }
}
