// Idle fibers, by what they call.
//
// A fiber calls one method, with one number of arguments, again and again (Prelude/turn.rb): making
// one costs more than a call, and a method's own fiber calls it for less than a fiber for all would.

import Ruby

/// The idle fibers of one kind.
final class FiberShelf {
  /// A Proc that makes a fiber; nil where it could not be had.
  private let maker: VM.Root?
  private let failure: RubyException?
  private var idle: [VM.Root] = []
  private let callName: Name

  fileprivate init(_ method: Name, _ count: Int, _ host: Host) {
    let vm = host.vm
    callName = host.names.call
    do throws(RubyException) {
      let scope = vm.openScope()
      defer { vm.closeScope(scope) }
      maker = try vm.retain(
        try vm.send(
          vm[host.classes.fuse], "__fiber_maker", [method.value, try vm.integer(count)]))
      failure = nil
    } catch {
      maker = nil
      failure = error
    }
  }

  /// An idle fiber, or a new one.
  func take(from vm: VM) throws(RubyException) -> VM.Root {
    if let fiber = idle.popLast() { return fiber }
    guard let maker else { throw failure ?? vm.exception("NoMemoryError", "no fiber") }
    return try vm.retain(try vm.send(vm[maker], callName))
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
  private var hooks = [[FiberShelf?]](repeating: [], count: Hook.allCases.count)

  /// The shelf of the fibers that call a hook with so many arguments.
  mutating func shelf(_ hook: Hook, _ count: Int, _ host: Host) -> FiberShelf {
    if count < hooks[hook.rawValue].count, let shelf = hooks[hook.rawValue][count] { return shelf }
    let shelf = shelf(host.hookNames[hook.rawValue], count, host)
    while hooks[hook.rawValue].count <= count { hooks[hook.rawValue].append(nil) }
    hooks[hook.rawValue][count] = shelf
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
