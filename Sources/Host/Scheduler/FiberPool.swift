// The fiber pool: idle fibers, by what they call.
//
// A fiber calls one method, with one number of arguments, again and again (`VM.makerOfFibers`): making
// one costs more than a call, and a fiber of a method's own calls it at less cost than one for all would.

import Ruby

/// The idle fibers of all kinds. A hook's are found without hashing.
struct FiberPool {
  /// A kind of fibers: those that call one method with one number of arguments. None is ever taken away.
  typealias Kind = Int

  private struct IdleFibers {
    let method: Name
    let count: Int
    /// It makes the instance first, whose hook it then calls.
    let makesInstance: Bool
    /// A Proc that makes a fiber, once one was needed.
    var maker: VM.Root?
    var idle: [VM.Root] = []
  }
  private struct Call: Hashable {
    let method: Name
    let count: Int
  }

  /// The kinds of one method, by their numbers of arguments, stand beside each other.
  private static let width = Arguments.most + 1
  private static let firstCalls = Hook.allCases.count * width
  private var kinds: [IdleFibers]
  private var others: [Call: Kind] = [:]

  init(_ hookNames: [Name]) {
    func row(_ name: Name, makesInstance: Bool) -> [IdleFibers] {
      (0..<FiberPool.width).map {
        IdleFibers(method: name, count: $0, makesInstance: makesInstance)
      }
    }
    kinds = hookNames.flatMap { row($0, makesInstance: false) }
    kinds += row(hookNames[Hook.getattr.rawValue], makesInstance: true)
  }

  /// The kind that calls a hook with so many arguments.
  static func kind(_ hook: Hook, _ count: Int) -> Kind { hook.rawValue * width + count }

  /// The kind that makes an instance with so many arguments, and calls its on_getattr.
  static func firstCall(_ count: Int) -> Kind { firstCalls + count }

  /// The kind that calls any other method.
  mutating func kind(_ method: Name, _ count: Int) -> Kind {
    let call = Call(method: method, count: count)
    if let kind = others[call] { return kind }
    kinds.append(IdleFibers(method: method, count: count, makesInstance: false))
    others[call] = kinds.count - 1
    return kinds.count - 1
  }

  /// An idle fiber of a kind, or a new one.
  mutating func take(_ kind: Kind, _ vm: VM) throws(RubyException) -> VM.Root {
    if let fiber = kinds[kind].idle.popLast() { return fiber }
    return try vm.retain(try vm.makeFiber(by: vm[try maker(of: kind, vm)]))
  }

  private mutating func maker(of kind: Kind, _ vm: VM) throws(RubyException) -> VM.Root {
    if let maker = kinds[kind].maker { return maker }
    let made = kinds[kind]
    let method = vm.text(made.method)
    let arguments = (0..<made.count).map { "a\($0 + 1)" }.joined(separator: ", ")
    // Once an instance is made it takes the class's place as the receiver: there the host finds it, also
    // while its hook waits.
    let call =
      made.makesInstance
      ? "(object = receiver.allocate; object.initialize(\(arguments)); receiver = object).\(method)"
      : "receiver.\(method)(\(arguments))"
    let maker = try vm.retain(try vm.makerOfFibers(calling: call, count: made.count))
    kinds[kind].maker = maker
    return maker
  }

  /// Takes a fiber back that is through with its call.
  mutating func put(_ fiber: VM.Root, _ kind: Kind, _ vm: VM) {
    if kinds[kind].idle.count < IdleTasks.most {
      kinds[kind].idle.append(fiber)
    } else {
      vm.release(fiber)
    }
  }
}
