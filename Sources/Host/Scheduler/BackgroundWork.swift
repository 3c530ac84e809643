// Background work: what runs beside the mount, before it and after it, with no request to reply to.

import FUSE
import Glibc
import Reports
import Ruby
import System
import Waiting

/// The blocks of FUSE.spawn and FUSE.at_unmount, and the methods that are called on the script's class.
final class BackgroundWork {
  private let interpreter: Interpreter
  private let scheduler: Scheduler
  private let reporter: Reporter
  private let lifecycle: Lifecycle
  private let vm: VM
  /// What waits for the mount, or for the loop to look.
  private var spawned: [Block] = []
  /// What is to be done after the unmount.
  private var atUnmount: [Block] = []

  /// A block that was asked for and has not begun.
  private struct Block {
    let block: VM.Root
    /// The script itself asked for it, not a hook.
    let isBegunByScript: Bool
  }

  init(
    _ interpreter: Interpreter, _ scheduler: Scheduler, _ reporter: Reporter, _ lifecycle: Lifecycle
  ) {
    self.interpreter = interpreter
    self.scheduler = scheduler
    self.reporter = reporter
    self.lifecycle = lifecycle
    vm = interpreter.vm
  }

  func defineNatives() throws(RubyException) {
    try vm.define("FUSE", "__spawn_turn") { [unowned self] call throws(RubyException) in
      spawned.append(try block(call[0]))
      if lifecycle.isServing { Wakeup.wake() }
      return .nil
    }
    try vm.define("FUSE", "__at_unmount") { [unowned self] call throws(RubyException) in
      atUnmount.append(try block(call[0]))
      return .nil
    }
  }

  private func block(_ value: Value) throws(RubyException) -> Block {
    Block(block: try vm.retain(value), isBegunByScript: scheduler.running?.isScript ?? false)
  }

  /// Whether there is work that has not begun.
  var isDue: Bool { !spawned.isEmpty }

  /// Starts the work that was asked for; what that asks for is begun at the next look.
  func startSpawned() {
    if spawned.isEmpty { return }
    let blocks = spawned
    spawned = []
    for block in blocks { start(block, of: "FUSE.spawn") }
  }

  /// Starts what FUSE.at_unmount was given; `done` is told once all of it is over.
  func callAtUnmount(_ done: @escaping () -> Void) {
    let blocks = atUnmount
    atUnmount = []
    var left = blocks.count
    if left == 0 { done() }
    for block in blocks {
      start(block, of: "FUSE.at_unmount") {
        left -= 1
        if left == 0 { done() }
      }
    }
  }

  /// Runs a block as a task of its own.
  private func start(_ work: Block, of method: String, done: @escaping () -> Void = {}) {
    let task = scheduler.begin(.background)
    task.isBegunByScript = work.isBegunByScript
    scheduler.run(task, vm[work.block], interpreter.names.call) { [self] result throws(Errno) in
      if case .raised(let exception) = result.content {
        report(exception, in: method, place: place(of: work.block))
      }
      vm.release(work.block)
      scheduler.end(task)
      done()
    }
  }

  /// Calls a method of the script's class, where it has it, as a task of its own.
  func callOnClass(_ method: String, _ done: @escaping (_ succeeded: Bool) -> Void) {
    let klass = vm[interpreter.klass]
    let name = vm.name(method)
    guard vm.accepts(klass, name) != nil else { return done(true) }
    let task = scheduler.begin(.background)
    scheduler.run(task, klass, name) { [self] result throws(Errno) in
      var succeeded = true
      if case .raised(let exception) = result.content {
        succeeded = !report(exception, in: "self.\(method)", place: nil)
      }
      scheduler.end(task)
      done(succeeded)
    }
  }

  /// Reports what ended background work, unless that was the end of the mount; returns whether it was
  /// a failure.
  ///
  /// There is no caller to be told an errno: an exception of those is reported as any other is. `exit`
  /// means what it says.
  @discardableResult
  private func report(_ exception: RubyException, in method: String, place: String?) -> Bool {
    if interpreter.isToldToEnd(exception) { return false }
    if let status = interpreter.exitStatus(exception) {
      lifecycle.stop(status: status)
      return status != 0
    }
    reporter.report(vm.describe(exception), in: method, path: place)
    return true
  }

  /// Where a block stands, as "file:line"; nil where Ruby does not know.
  private func place(of block: VM.Root) -> String? {
    guard let place = try? vm.send(vm[block], "source_location"), place.count == 2,
      let file = place[0].text, let line = place[1].integer
    else { return nil }
    return "\(file):\(line)"
  }

  // MARK: Reload

  /// How much was asked for before the script is evaluated again.
  struct Mark {
    fileprivate let spawned: Int
    fileprivate let atUnmount: Int
  }
  var mark: Mark { Mark(spawned: spawned.count, atUnmount: atUnmount.count) }

  /// How many blocks of the script's own have yet to begin.
  var countOfScripts: Int { spawned.count(where: \.isBegunByScript) }

  /// Forgets what was asked for since.
  func forget(since mark: Mark) {
    for work in spawned[mark.spawned...] + atUnmount[mark.atUnmount...] { vm.release(work.block) }
    spawned.removeSubrange(mark.spawned...)
    atUnmount.removeSubrange(mark.atUnmount...)
  }

  /// Forgets what the script asked to be done after the unmount when it was loaded before.
  func forgetAtUnmount(before mark: Mark) {
    let old = atUnmount.prefix(mark.atUnmount)
    for work in old where work.isBegunByScript { vm.release(work.block) }
    atUnmount = old.filter { !$0.isBegunByScript } + atUnmount.dropFirst(mark.atUnmount)
  }
}
