// Idle fibers, by what they call.
//
// A fiber calls one method, with one number of arguments, again and again (`VM.makerOfFibers`): making
// one costs more than a call, and a method's own fiber calls it for less than a fiber for all would.

import Ruby

/// The idle fibers of one kind.
private struct FiberShelf {
  let method: Name
  let count: Int
  /// It makes the instance first, whose hook it then calls.
  let isNewcomers: Bool
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

  init(_ hookNames: [Name]) {
    func row(_ name: Name, isNewcomers: Bool = false) -> [FiberShelf] {
      (0..<Fibers.width).map { FiberShelf(method: name, count: $0, isNewcomers: isNewcomers) }
    }
    shelves = hookNames.flatMap { row($0) }
    shelves += row(hookNames[Hook.getattr.rawValue], isNewcomers: true)
  }

  /// The shelf of the fibers that call a hook with so many arguments.
  static func shelf(_ hook: Hook, _ count: Int) -> Shelf { hook.rawValue * width + count }

  /// The shelf of the fibers that make an instance with so many arguments, and call its on_getattr.
  static func newcomers(_ count: Int) -> Shelf { newcomers + count }

  /// The shelf of the fibers that call any other method.
  mutating func shelf(_ method: Name, _ count: Int) -> Shelf {
    let kind = Kind(method: method, count: count)
    if let shelf = others[kind] { return shelf }
    shelves.append(FiberShelf(method: method, count: count, isNewcomers: false))
    others[kind] = shelves.count - 1
    return shelves.count - 1
  }

  /// An idle fiber of a shelf, or a new one.
  mutating func take(from shelf: Shelf, _ vm: VM) throws(RubyException) -> VM.Root {
    if let fiber = shelves[shelf].idle.popLast() { return fiber }
    return try vm.retain(try vm.makeFiber(by: vm[try maker(of: shelf, vm)]))
  }

  private mutating func maker(of shelf: Shelf, _ vm: VM) throws(RubyException) -> VM.Root {
    if let maker = shelves[shelf].maker { return maker }
    let kind = shelves[shelf]
    let method = vm.text(kind.method)
    let arguments = (0..<kind.count).map { "a\($0 + 1)" }.joined(separator: ", ")
    // Once an instance is made it takes the class's place as the receiver: there the host finds it, also
    // while its hook waits.
    let call =
      kind.isNewcomers
      ? "(object = receiver.allocate; object.initialize(\(arguments)); receiver = object).\(method)"
      : "receiver.\(method)(\(arguments))"
    let maker = try vm.retain(try vm.makerOfFibers(calling: call, count: kind.count))
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
