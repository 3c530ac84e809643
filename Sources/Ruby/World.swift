// The world of a script: its classes and what they consist of, to be taken down and put back.

import CMRuby

/// What all classes and modules consisted of at one moment: their methods, constants, variables and
/// ancestors, and the global variables. Objects are not part of it.
public final class World {
  fileprivate let raw: OpaquePointer
  private let vm: VM

  /// Takes the world down as it is, after a full collection.
  ///
  /// Throws `VM.OutOfMemory`.
  public init(of vm: VM) throws(VM.OutOfMemory) {
    guard let raw = cmr_world_save(vm.raw) else { throw VM.OutOfMemory() }
    self.raw = raw
    self.vm = vm
  }

  deinit { cmr_world_free(vm.raw, raw) }

  /// Something that differs between two worlds.
  public struct Change: Equatable {
    /// How it differs.
    public enum Kind: Int { case changed, added, removed }
    /// Of a method `Class#method`, `Class.method`, or `method` for one of a singleton of no class.
    public let name: String
    public let kind: Kind

    public init(name: String, kind: Kind) {
      self.name = name
      self.kind = kind
    }
  }

  /// The methods that differ from those of an earlier world. Attribute readers and writers of the
  /// same name do not differ, nor do methods that compile to the same code.
  public func changes(since earlier: World) throws(RubyException) -> [Change] {
    try vm.check(cmr_world_changes(vm.raw, earlier.raw, raw)).elements?.compactMap { pair in
      guard let name = pair[0].text, let kind = pair[1].integer.flatMap(Change.Kind.init)
      else { return nil }
      return Change(name: name, kind: kind)
    } ?? []
  }
}

extension VM {
  /// Puts everything back as it was; `now` is the world of this moment.
  public func restore(_ world: World, now: World) throws(RubyException) {
    try check(cmr_world_restore(raw, world.raw, now.raw))
  }

  /// Takes away all methods and included modules that were not there in `base`, and puts back what was;
  /// `now` is the world of this moment. Constants and variables stay.
  public func clear(to base: World, now: World) throws(RubyException) {
    try check(cmr_world_clear(raw, base.raw, now.raw))
  }

  /// Takes away the constants of `earlier` that are not in `base`, not among `names`, and have the
  /// same value still.
  public func prune(
    base: World, earlier: World, except names: [Name]
  ) throws(RubyException) {
    let symbols = try array(names.map(\.value))
    try check(cmr_world_prune(raw, base.raw, earlier.raw, symbols.raw))
  }

  /// The names of the constants that a source assigns; `const_set` among them says that there may be
  /// others. Empty where it does not parse.
  public func definitions(in source: [UInt8], file: String) throws(RubyException) -> [Name] {
    try check(source.withBytes { cmr_definitions(raw, $0, file) }).elements?.compactMap(\.symbol)
      ?? []
  }
}
