// Idle fibers, by what they call.
//
// A fiber calls one method, with one number of arguments, again and again (RubyLibrary/Ruby/turn.rb): making
// one costs more than a call, and a method's own fiber calls it for less than a fiber for all would.

import Ruby

/// The idle fibers of one kind.
private struct FiberShelf {
  let method: Name
  let count: Int
  /// The method that makes the maker.
  let kind: String
  /// A Proc that makes a fiber, once one was needed.
  var maker: VM.Root?
  var idle: [VM.Root] = []
}

/// All shelves. A hook's is found without hashing, and none is ever taken away.
struct Fibers {
  /// Which shelf a fiber is from.
  typealias Shelf = Int

  private struct Kind: Hashable {
    let method: Name
    let count: Int
  }
  private static let width = Arguments.most + 1
  /// Where the shelves of the hooks begin, by numbers of arguments, and those of the newcomers.
  private static let newcomers = Hook.allCases.count * width
  private var shelves: [FiberShelf]
  private var others: [Kind: Shelf] = [:]
  private let fuse: VM.Root

  init(_ hookNames: [Name], fuse: VM.Root) {
    self.fuse = fuse
    func row(_ name: Name, _ kind: String) -> [FiberShelf] {
      (0..<Fibers.width).map { FiberShelf(method: name, count: $0, kind: kind) }
    }
    shelves = hookNames.flatMap { row($0, "__fiber_maker") }
    shelves += row(hookNames[Hook.getattr.rawValue], "__newcomer_maker")
  }

  /// The shelf of the fibers that call a hook with so many arguments.
  static func shelf(_ hook: Hook, _ count: Int) -> Shelf { hook.rawValue * width + count }

  /// The shelf of the fibers that make an instance with so many arguments, and call its on_getattr.
  static func newcomers(_ count: Int) -> Shelf { newcomers + count }

  /// The shelf of the fibers that call any other method.
  mutating func shelf(_ method: Name, _ count: Int) -> Shelf {
    let kind = Kind(method: method, count: count)
    if let shelf = others[kind] { return shelf }
    shelves.append(FiberShelf(method: method, count: count, kind: "__fiber_maker"))
    others[kind] = shelves.count - 1
    return shelves.count - 1
  }

  /// An idle fiber of a shelf, or a new one.
  mutating func take(from shelf: Shelf, _ vm: VM) throws(RubyException) -> VM.Root {
    if let fiber = shelves[shelf].idle.popLast() { return fiber }
    return try vm.retain(try vm.send(vm[try maker(of: shelf, vm)], "call"))
  }

  private mutating func maker(of shelf: Shelf, _ vm: VM) throws(RubyException) -> VM.Root {
    if let maker = shelves[shelf].maker { return maker }
    let kind = shelves[shelf]
    let proc = try vm.send(vm[fuse], kind.kind, [kind.method.value, try vm.integer(kind.count)])
    let maker = try vm.retain(proc)
    shelves[shelf].maker = maker
    return maker
  }

  /// Takes a fiber back that is through with its call.
  mutating func put(_ fiber: VM.Root, on shelf: Shelf, _ vm: VM) {
    if shelves[shelf].idle.count < Host.idleKept {
      shelves[shelf].idle.append(fiber)
    } else {
      vm.release(fiber)
    }
  }
}
