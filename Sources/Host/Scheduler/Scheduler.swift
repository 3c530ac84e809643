// The scheduler: tasks from beginning to end, and the stretches of Ruby that they run in between.
//
// Invariants: only this calls Ruby on behalf of a task, always in a fiber of the task's own, and no
// exception leaves that. Each task ends once, with its request replied to and its nodes unpinned.

import ControlProtocol
import FUSE
import Reports
import Ruby
import System

/// Runs tasks on the VM's thread, one stretch after the other; a task that waits lets others run.
final class Scheduler {
  let interpreter: Interpreter
  let waits: Waits
  let lifecycle: Lifecycle
  let reporter: Reporter
  private let vm: VM
  private let tree: Tree
  private let tracer: Tracer
  private var fiberPool: FiberPool
  private var idleTasks = IdleTasks()
  private var liveTasks = 0
  /// Where other processes can read what is going on.
  private var status = StatusWriter()
  // Not counted: the caller that lets a task run keeps it meanwhile.
  private var entered: Unmanaged<ScriptTask>?

  init(
    _ interpreter: Interpreter, waits: Waits, tree: Tree, tracer: Tracer, lifecycle: Lifecycle,
    reporter: Reporter
  ) {
    self.interpreter = interpreter
    self.waits = waits
    self.tree = tree
    self.tracer = tracer
    self.lifecycle = lifecycle
    self.reporter = reporter
    vm = interpreter.vm
    fiberPool = FiberPool(interpreter.hookNames)
  }

  /// The task that Ruby runs for; nil where it does for none.
  var running: ScriptTask? { entered?.takeUnretainedValue() }

  /// Tells other processes from now on what runs.
  func publish(on status: StatusWriter) { self.status = status }

  // MARK: Beginning and ending

  /// Begins a task for a request of the kernel's.
  func begin(_ operation: Operation, _ request: consuming Request) -> ScriptTask {
    let task = begin(operation, request.context)
    task.request = consume request
    return task
  }

  /// Begins a task.
  func begin(_ operation: Operation, _ context: Context = Context()) -> ScriptTask {
    let task = idleTasks.take()
    task.begin(operation, context)
    liveTasks += 1
    if tracer.isOn { tracer.watch(task) }
    return task
  }

  /// Ends a task: its request was replied to, or it has none.
  func end(_ task: ScriptTask) {
    task.next = nil
    task.node = nil
    task.request = nil
    if task.whenOver != nil { task.endBusiness() }
    if task.record != nil { task.record = nil }
    task.unpinAll(in: tree)
    liveTasks -= 1
    idleTasks.put(task)
  }

  /// Lets go of a task that waits and is never to go on: not even its ensure clauses run.
  func abandon(_ task: ScriptTask) {
    task.next = nil
    task.request = nil
    task.whenOver = nil
    liveTasks -= 1
    if let fiber = task.fiber.take() { vm.release(fiber) }
  }

  /// Replies to the task's request and ends the task.
  ///
  /// `result` is what a trace shows of the reply, such as a number of bytes.
  @inline(__always)
  func reply(
    _ task: ScriptTask, result: Result<Int, Errno> = .success(0),
    _ send: (consuming Request) -> Void
  ) {
    task.record?.end(task.operation)
    if let request = task.request.take() { send(request) }
    if task.record != nil { tracer.tell(task, result) }
    end(task)
  }

  /// Fails the task's request and ends the task.
  func fail(_ task: ScriptTask, _ error: Errno) {
    reply(task, result: .failure(error)) { $0.fail(error) }
  }

  // MARK: Running

  /// Calls any method as a task: the script itself, on_init, background work.
  func run(
    _ task: ScriptTask, _ receiver: Value, _ method: Name,
    _ arguments: borrowing Arguments = Arguments(), next: @escaping Continuation
  ) {
    task.next = next
    task.node = nil
    task.isFirstCall = false
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    run(task, receiver, method, arguments)
  }

  /// Calls a method on behalf of a task, whose continuation is set.
  func run(
    _ task: ScriptTask, _ receiver: Value, _ method: Name, _ arguments: borrowing Arguments
  ) {
    let kind = fiberPool.kind(method, arguments.count)
    run(task, receiver, kind, arguments, count: arguments.count)
  }

  /// Runs a stretch of a task from the beginning, with the first `count` of the arguments.
  func run(
    _ task: ScriptTask, _ receiver: Value, _ kind: FiberPool.Kind, _ arguments: borrowing Arguments,
    count: Int
  ) {
    let fiber: VM.Root
    do throws(RubyException) { fiber = try fiberPool.take(kind, vm) } catch {
      return proceed(task, .raised(error))
    }
    task.fiber = fiber
    task.fiberKind = kind
    let outer = enter(task)
    let outcome = vm.call(vm[fiber], receiver, arguments, count: count)
    leave(task, outcome, to: outer)
  }

  /// The same for a task whose first call makes the instance, too; false where there is no fiber for it.
  ///
  /// `call` runs Ruby in the fiber, or returns nil where that cannot be; `made` is called before what came
  /// of it is looked at.
  @inline(__always)
  func runFirstCall(
    _ task: ScriptTask, _ kind: FiberPool.Kind, _ call: (_ fiber: Value) -> TurnOutcome?,
    made: (TurnOutcome) -> Void
  ) -> Bool {
    guard let fiber = try? fiberPool.take(kind, vm) else { return false }
    task.fiber = fiber
    task.fiberKind = kind
    let outer = enter(task)
    let outcome = call(vm[fiber])
    if let outcome { made(outcome) }
    leave(task, outcome ?? .returned(.nil), to: outer)
    return true
  }

  /// Goes on with a task that waited.
  func resume(_ task: ScriptTask, with outcome: Value) {
    guard let fiber = task.fiber else { return }
    task.record?.resume()
    let outer = enter(task)
    let outcome = vm.proceed(vm[fiber], with: outcome)
    if task.isFirstCall, let node = task.node { interpreter.adoptMade(by: node) }
    leave(task, outcome, to: outer)
  }

  /// Goes on with a task whose hook has come to a result.
  func proceed(_ task: ScriptTask, _ content: HookResult.Content) {
    guard let next = task.next.take() else { return end(task) }
    if task.record != nil, task.node != nil { tracer.measure(task, content) }
    do throws(Errno) {
      try next(HookResult(task: task, hook: task.hook, node: task.node, content: content))
    } catch {
      fail(task, error)
    }
  }

  /// Ruby is about to run for a task; returns the one that it interrupts.
  private func enter(_ task: ScriptTask) -> Unmanaged<ScriptTask>? {
    let outer = entered
    entered = .passUnretained(task)
    if outer == nil {
      status.enter(task.operation, hook: task.hook.rawValue, pid: task.context.pid)
    }
    if task.console != nil { vm.allowInterrupts(by: status.interruptWord) }
    task.record?.enterRuby()
    return outer
  }

  private func leave(
    _ task: ScriptTask, _ outcome: TurnOutcome, to outer: Unmanaged<ScriptTask>?
  ) {
    task.record?.leaveRuby()
    if task.console != nil { vm.allowInterrupts(by: nil) }
    if outer == nil { status.leave() }
    entered = outer
    // What it began to wait for and did not wait for is nothing to go on with.
    if task.ticket != nil, !outcome.isParked { _ = waits.cancel(task) }
    switch outcome {
    case .parked:
      guard task.ticket == nil, !(task.isScript && lifecycle.wantsMount) else { break }
      // As if it waited, but for nothing: it would never go on.
      if let fiber = task.fiber.take() { vm.release(fiber) }
      proceed(task, .raised(vm.exception("FiberError", "the method gave its fiber away")))
    case .returned(let value):
      putBack(task)
      proceed(task, .value(value))
    case .raised(let exception):
      putBack(task)
      proceed(task, .raised(exception))
    case .ended(let exception):
      if let fiber = task.fiber.take() { vm.release(fiber) }
      proceed(task, .raised(exception))
    }
  }

  /// A fiber that is through with its method is there for the next call of it.
  private func putBack(_ task: ScriptTask) {
    guard let fiber = task.fiber.take() else { return }
    fiberPool.put(fiber, task.fiberKind, vm)
  }

  /// Takes back what clients asked to be interrupted: before a console's line runs.
  func clearInterrupt() { status.clearInterrupt() }
}
