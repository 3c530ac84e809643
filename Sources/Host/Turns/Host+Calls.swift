// Calling hooks: from a turn into the script's method, through a fiber, and on with its answer.

import ControlProtocol
import FUSE
import Glibc
import Ruby
import System
import Waiting

extension Host {
  /// Whether the class of a node's instance has a hook; asked of the script's class where there is
  /// no instance yet.
  func has(_ hook: Hook, _ node: Node) -> Bool {
    if let instance = node.instance {
      return vm.accepts(vm[instance], hookNames[hook.rawValue]) != nil
    }
    return vm.instances(of: vm[classes.klass], accept: hookNames[hook.rawValue]) != nil
  }

  /// Calls a hook on a node's instance, which is made where there is none; then `next` is told the
  /// answer, now or after the hook has waited. What `next` throws is what the turn fails with.
  func call(
    _ turn: Turn, _ hook: Hook, on node: Node, _ arguments: borrowing Arguments = Arguments(),
    next: consuming @escaping Continuation
  ) {
    assert(node.isRoot || node.holds > 0, "the turn keeps no node that it does not hold")
    turn.isNewcomer = false
    turn.hook = hook
    turn.node = node
    turn.next = next
    turn.record?.beginHook()
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    guard let instance = node.instance else {
      return makeInstance(turn, hook, node, arguments)
    }
    let receiver = vm[instance]
    guard let accepted = vm.accepts(receiver, hookNames[hook.rawValue]) else {
      return proceed(turn, .missing)
    }
    let count = min(accepted, arguments.count)
    run(turn, receiver, Fibers.shelf(hook, count), arguments, count: count)
  }

  /// Makes a node's instance, and goes on with the hook.
  private func makeInstance(
    _ turn: Turn, _ hook: Hook, _ node: Node, _ arguments: borrowing Arguments
  ) {
    guard let next = turn.next else { return end(turn) }
    // The hook's arguments must outlive `initialize`, which may wait: bytes of a request do not.
    let kept = arguments.kept(by: vm)
    turn.next = { [self] answer throws(Errno) in
      guard case .value(let instance) = answer.result else {
        throw errno(of: answer, in: Answer.initializer)
      }
      try adopt(instance, by: node)
      call(turn, hook, on: node, kept.arguments, next: next)
      kept.release(from: vm)
    }
    let begun: Void? = node.withPath { path in
      let klass = vm[classes.klass]
      let count = argumentCountOfNew
      if count <= Arguments.most {
        return run(turn, klass, names.new, argumentsOfNew(path, count))
      }
      run(turn, klass, names.newWithMany, [.bytes(path), .value(vm[classes.arguments])])
    }
    // It lost its path and its instance: there is nobody to ask any more.
    if begun == nil { fail(turn, Errno(ESTALE)) }
  }

  /// How many arguments `new` of the script's class is handed: the path, and those of FUSE.run.
  private var argumentCountOfNew: Int { (vm[classes.arguments].count ?? 0) + 1 }

  /// As many of these arguments.
  private func argumentsOfNew(_ path: UnsafeRawBufferPointer, _ count: Int) -> Arguments {
    var arguments = Arguments()
    arguments.append(.bytes(path))
    let rest = vm[classes.arguments]
    for index in 0..<count - 1 { arguments.append(.value(rest[index])) }
    return arguments
  }

  /// Asks on_getattr of a name that has no node, on an instance made for it, in one go: a name that
  /// turns out to be absent leaves nothing behind. Answers false where the class wants it otherwise.
  ///
  /// The answer has a node, held by the turn, unless it is that there is no such file.
  func greet(_ turn: Turn, _ place: Node.Place, next: @escaping Continuation) -> Bool {
    let klass = vm[classes.klass]
    let count = argumentCountOfNew
    guard count <= Arguments.most,
      vm.makesPlainly(klass, with: hookNames[Hook.getattr.rawValue])
    else { return false }
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    let shelf = Fibers.newcomers(count)
    guard let fiber = try? fibers.take(from: shelf, vm) else { return false }
    turn.isNewcomer = true
    turn.hook = .getattr
    turn.node = nil
    turn.next = next
    turn.fiber = fiber
    turn.shelf = shelf
    note(turn, place)
    turn.record?.beginHook()
    let known = place.parent.children.count
    let outer = enter(turn)
    let called = place.withPath { path in
      vm.call(vm[fiber], klass, argumentsOfNew(path, count), count: count)
    }
    guard let outcome = called else {
      // A directory above it was unlinked while it was asked for.
      leave(turn, .returned(.nil), to: outer)
      return true
    }
    // Whoever asks for the path in the middle of it has made a node.
    if !outcome.isNil || place.parent.children.count != known {
      turn.node = findOrAdd(place, in: turn)
      adoptMade(turn)
    }
    leave(turn, outcome, to: outer)
    return true
  }

  /// Gives the node of a newcomer the instance that was made in the stretch that is over.
  ///
  /// None is made yet as long as the class stands there, which is another one after a reload.
  private func adoptMade(_ turn: Turn) {
    guard let node = turn.node, vm.isKind(vm.made, of: vm[classes.klass]) else { return }
    // Without memory it has none, and is made again for the next operation.
    do throws(Errno) { try adopt(vm.made, by: node) } catch {}
  }

  /// Gives a node its instance, unless somebody else was faster while `initialize` waited: one path,
  /// one instance.
  private func adopt(_ instance: Value, by node: Node) throws(Errno) {
    guard node.instance == nil else { return }
    do throws(RubyException) { node.instance = try vm.retain(instance) } catch {
      throw errno(of: error, in: "new", node: node)
    }
  }

  /// Calls any method as a turn: the script itself, on_init, background work.
  func run(
    _ turn: Turn, _ receiver: Value, _ method: Name, _ arguments: borrowing Arguments = Arguments(),
    next: @escaping Continuation
  ) {
    turn.next = next
    turn.node = nil
    turn.isNewcomer = false
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    run(turn, receiver, method, arguments)
  }

  private func run(
    _ turn: Turn, _ receiver: Value, _ method: Name, _ arguments: borrowing Arguments
  ) {
    let shelf = fibers.shelf(method, arguments.count)
    run(turn, receiver, shelf, arguments, count: arguments.count)
  }

  /// Runs a stretch of a turn from the beginning, with the first `count` of the arguments.
  private func run(
    _ turn: Turn, _ receiver: Value, _ shelf: Fibers.Shelf, _ arguments: borrowing Arguments,
    count: Int
  ) {
    let fiber: VM.Root
    do throws(RubyException) { fiber = try fibers.take(from: shelf, vm) } catch {
      return proceed(turn, .raised(error))
    }
    turn.fiber = fiber
    turn.shelf = shelf
    let outer = enter(turn)
    let outcome = vm.call(vm[fiber], receiver, arguments, count: count)
    leave(turn, outcome, to: outer)
  }

  /// Goes on with a turn that waited.
  func resume(_ turn: Turn, with outcome: Value) {
    guard let fiber = turn.fiber else { return }
    turn.ticket = nil
    turn.waitsFor = nil
    turn.record?.resume()
    let outer = enter(turn)
    let outcome = vm.proceed(vm[fiber], with: outcome)
    if turn.isNewcomer { adoptMade(turn) }
    leave(turn, outcome, to: outer)
  }

  /// Ruby is about to run for a turn; answers the one that it interrupts.
  private func enter(_ turn: Turn) -> Unmanaged<Turn>? {
    let outer = entered
    entered = .passUnretained(turn)
    if outer == nil {
      notices.enter(turn.operation, hook: turn.hook.rawValue, pid: turn.context.pid)
    }
    if turn.console != nil { vm.allowInterrupts(by: notices.interruptWord) }
    turn.record?.enterRuby()
    return outer
  }

  private func leave(_ turn: Turn, _ outcome: TurnOutcome, to outer: Unmanaged<Turn>?) {
    turn.record?.leaveRuby()
    if turn.console != nil { vm.allowInterrupts(by: nil) }
    if outer == nil { notices.leave() }
    entered = outer
    // What it began to wait for and did not wait for is nothing to go on with.
    if turn.ticket != nil, !outcome.isParked { forgetWait(of: turn) }
    switch outcome {
    case .parked:
      // As if it waited, but for nothing: it would never go on.
      if turn.ticket == nil, !(wantsMount && turn === scriptTurn) {
        if let fiber = turn.fiber.take() { vm.release(fiber) }
        proceed(turn, .raised(vm.exception("FiberError", "the method gave its fiber away")))
      }
    case .returned(let value):
      putBack(turn)
      proceed(turn, .value(value))
    case .raised(let exception):
      putBack(turn)
      proceed(turn, .raised(exception))
    case .ended(let exception):
      if let fiber = turn.fiber.take() { vm.release(fiber) }
      proceed(turn, .raised(exception))
    }
  }

  /// A fiber that is through with its method is there for the next call of it.
  private func putBack(_ turn: Turn) {
    guard let fiber = turn.fiber.take() else { return }
    fibers.put(fiber, on: turn.shelf, vm)
  }

  private func proceed(_ turn: Turn, _ result: Answer.Result) {
    guard let next = turn.next.take() else { return end(turn) }
    if turn.record != nil, turn.node != nil { measure(turn, result) }
    do throws(Errno) {
      try next(Answer(turn: turn, hook: turn.hook, node: turn.node, result: result))
    } catch {
      fail(turn, error)
    }
  }

  /// Lets go of a turn that waits and is never to go on: not even its ensure clauses run.
  func abandon(_ turn: Turn) {
    turn.next = nil
    liveTurns -= 1
    if let fiber = turn.fiber.take() { vm.release(fiber) }
  }
}
