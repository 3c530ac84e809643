// Idle fibers, by what they call.
//
// A fiber calls one method, with one number of arguments, again and again (Prelude/turn.rb): making
// one costs more than a call, and a method's own fiber calls it for less than a fiber for all would.

import Ruby

/// The idle fibers of one kind.
final class FiberShelf {
  private let method: Name
  private let count: Int
  /// The method that makes the maker.
  private let kind: String
  private let fuse: VM.Root
  /// A Proc that makes a fiber, once one was needed.
  private var maker: VM.Root?
  private var idle: [VM.Root] = []

  fileprivate init(_ method: Name, _ count: Int, _ host: Host, kind: String = "__fiber_maker") {
    self.method = method
    self.count = count
    self.kind = kind
    fuse = host.classes.fuse
  }

  /// An idle fiber, or a new one.
  func take(from vm: VM) throws(RubyException) -> VM.Root {
    if let fiber = idle.popLast() { return fiber }
    return try vm.retain(try vm.send(vm[try maker(in: vm)], "call"))
  }

  private func maker(in vm: VM) throws(RubyException) -> VM.Root {
    if let maker { return maker }
    let proc = try vm.send(vm[fuse], kind, [method.value, try vm.integer(count)])
    let made = try vm.retain(proc)
    maker = made
    return made
  }

  /// Takes a fiber back that is through with its call.
  func put(_ fiber: VM.Root, in vm: VM) {
    if idle.count < Host.idleKept {
      idle.append(fiber)
    } else {
      vm.release(fiber)
    }
  }
}

/// All shelves: those of the hooks are found without hashing.
struct Fibers {
  private struct Kind: Hashable {
    let method: Name
    let count: Int
  }
  private var shelves: [Kind: FiberShelf] = [:]
  private static let width = Arguments.most + 1
  private var hooks = [FiberShelf?](repeating: nil, count: Hook.allCases.count * width)
  private var newcomers = [FiberShelf?](repeating: nil, count: width)

  /// The shelf of the fibers that call a hook with so many arguments.
  mutating func shelf(_ hook: Hook, _ count: Int, _ host: Host) -> FiberShelf {
    let index = hook.rawValue * Fibers.width + count
    if let shelf = hooks[index] { return shelf }
    let shelf = FiberShelf(host.hookNames[hook.rawValue], count, host)
    hooks[index] = shelf
    return shelf
  }

  /// The shelf of the fibers that make an instance with so many arguments, and call its on_getattr.
  mutating func newcomers(_ count: Int, _ host: Host) -> FiberShelf {
    if let shelf = newcomers[count] { return shelf }
    let shelf = FiberShelf(
      host.hookNames[Hook.getattr.rawValue], count, host, kind: "__newcomer_maker")
    newcomers[count] = shelf
    return shelf
  }

  /// The shelf of the fibers that call any other method.
  mutating func shelf(_ method: Name, _ count: Int, _ host: Host) -> FiberShelf {
    let kind = Kind(method: method, count: count)
    if let shelf = shelves[kind] { return shelf }
    let shelf = FiberShelf(method, count, host)
    shelves[kind] = shelf
    return shelf
  }
}
