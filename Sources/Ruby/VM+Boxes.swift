// Boxes: Ruby objects that stand for one of the host's.

import CMRuby

extension VM {
  /// A Ruby object that keeps one of the host's until it is collected.
  ///
  /// What `object` does when it is let go of happens in the middle of a collection: it must not touch
  /// the VM.
  public func box(_ object: AnyObject) throws(RubyException) -> Value {
    try check(
      cmr_box(raw, Unmanaged.passRetained(object).toOpaque()) {
        Unmanaged<AnyObject>.fromOpaque($0).release()
      })
  }

  /// What is in a box; nil for anything else.
  public func boxed(_ value: Value) -> AnyObject? {
    cmr_boxed(value.raw).map { Unmanaged<AnyObject>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Keeps a value alive for as long as the box is, in the place of the one that it kept before.
  public func keep(_ value: Value, in box: Value) throws(RubyException) {
    try check(cmr_box_keep(raw, box.raw, value.raw))
  }

  /// What a box keeps alive, or nil.
  public func kept(in box: Value) throws(RubyException) -> Value {
    try check(cmr_box_kept(raw, box.raw))
  }

  /// The class of all boxes, which makes none for a script.
  public var boxClass: Value { Value(cmr_box_class(raw)) }
}
