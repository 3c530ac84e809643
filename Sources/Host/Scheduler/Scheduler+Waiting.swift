// How a task waits: its fiber yields, the loop goes on, and the outcome resumes it.
//
// FUSE.__park(kind, args) either begins a wait and returns PARKED, which the caller yields from its
// fiber, or, where the fiber cannot yield (C stands between, nothing is mounted, or no task runs, as
// while a script is checked), waits in place and returns the outcome.

import FUSE
import Glibc
import Ruby
import RubyLibrary
import System
import Waiting

extension Scheduler {
  /// Defines the methods that Ruby waits with.
  func defineWaiting(_ arguments: WaitArguments) throws(RubyException) {
    unowned let vm = interpreter.vm
    try vm.setConstant("PARKED", to: vm.parked, in: vm[interpreter.fuse])
    try vm.define("FUSE", "__park") {
      [unowned self, unowned arguments] call throws(RubyException) in
      try park(vm.text(call[0].symbol ?? vm.name("")), call[1], arguments)
    }
    try vm.define("FUSE", "__http_close") { [unowned arguments] call in
      arguments.closeStream(call[0])
      return .nil
    }
    try vm.define("FUSE", "__bury") { [unowned arguments] call in
      arguments.bury(call[0])
      return .nil
    }
    try vm.define("FUSE", "__ticket") { [unowned self] _ throws(RubyException) in
      try vm.integer(Int(waits.makeTicket().rawValue))
    }
    try vm.define("FUSE", "__wake") { [unowned self] call in
      if let number = call[0].integer.flatMap({ UInt64(exactly: $0) }) {
        waits.waiter.complete(Ticket(number), .ready([]))
      }
      return .nil
    }
  }

  private func park(
    _ kind: String, _ values: Value, _ arguments: WaitArguments
  ) throws(RubyException) -> Value {
    let vm = interpreter.vm
    let task = running
    if kind == "mount" { return try parkScript(task) }
    if kind == "http_stream" {
      return try arguments.makeStream(values)
    }
    let (wait, ticket) = try arguments.wait(kind, values)
    // Once: a hook that tries again after any error would never let other tasks run any more.
    if let task, !task.wasInterrupted, task.request?.isInterrupted == true {
      task.wasInterrupted = true
      throw vm.systemError("interrupted", EINTR)
    }
    guard lifecycle.mayPark, let task, let fiber = task.fiber, vm.canPark(vm[fiber]) else {
      if kind == "event", values[1].isNil {
        throw vm.exception(
          "RuntimeError", "would wait for ever: nothing else can run while this is waited for here")
      }
      if lifecycle.mayPark, let task { reportWaitInPlace(task) }
      let outcome = waits.waiter.runInPlace(wait, kind == "http_next" ? ticket : nil)
      return try arguments.value(of: outcome)
    }
    waits.park(task, for: wait, ticket)
    return vm.parked
  }

  /// Tells, once for each line, that nothing else is served while this is waited for.
  private func reportWaitInPlace(_ task: ScriptTask) {
    let frame = interpreter.vm.backtrace.first { !$0.hasPrefix("fusuma:") && !$0.hasPrefix("(") }
    let place = (frame ?? "").split(separator: ":in ", maxSplits: 1).first.map(String.init)
    reporter.report(
      "waits in a method or block that a C function of mruby's calls: nothing else is served meanwhile",
      in: task.node == nil ? task.operation.name : task.hook.name, path: place)
  }

  /// FUSE.run: the script's own task waits for the end of the mount.
  private func parkScript(_ task: ScriptTask?) throws(RubyException) -> Value {
    let vm = interpreter.vm
    guard let task, task.isScript, let fiber = task.fiber, vm.canPark(vm[fiber]) else {
      throw vm.exception(
        "RuntimeError", "FUSE.run must be called by the script itself, not by a hook or a block")
    }
    lifecycle.wantsMount = true
    return vm.parked
  }

  // MARK: The end of a wait

  /// Goes on with everything whose wait is over.
  func deliverOutcomes(_ arguments: WaitArguments) {
    waits.deliver { task, outcome in
      interpreter.vm.scope {
        do throws(RubyException) {
          resume(task, with: try arguments.value(of: outcome))
        } catch {
          resume(task, with: error.value)
        }
      }
    }
  }

  /// Ends the wait of a task with an exception, which is raised where it waits; does nothing where it
  /// does not wait.
  func endWait(of task: ScriptTask, raising exception: () -> Value) {
    guard waits.cancel(task) else { return }
    interpreter.vm.scope { resume(task, with: exception()) }
  }

  /// The caller of a request that waits is interrupted: its hook gets Errno::EINTR.
  func interrupt(_ ticket: Ticket) {
    // Told from inside `park`, before the wait has begun: isInterrupted is looked at there.
    guard let task = waits.task(ticket), task !== running, task.waitsFor?.isTask != true else {
      return
    }
    task.wasInterrupted = true
    endWait(of: task) { interpreter.vm.systemError("interrupted", EINTR).value }
  }

  /// Tells the background work that the script began that it has begun again.
  func endBackgroundWork() {
    for task in Array(waits.tasks) where task.isBegunByScript && task.waitsFor?.isTask != true {
      endWait(of: task) {
        interpreter.exception(ofFUSE: "Reloaded", "the script was loaded again")
      }
    }
  }

  /// Tells tasks that wait that the mount ends: an exception, once, that their ensure clauses see.
  func breakWaits(_ isMeant: (ScriptTask) -> Bool) {
    for task in Array(waits.tasks)
    where !task.wasToldOfEnd && isMeant(task) && task.waitsFor?.isTask != true {
      task.wasToldOfEnd = true
      endWait(of: task) {
        interpreter.exception(ofFUSE: "Unmounted", "the filesystem is being unmounted")
      }
    }
  }

  /// Lets go of tasks that would not end: their requests fail with EIO.
  func abandonParked() {
    for task in Array(waits.tasks) where waits.cancel(task) { abandon(task) }
  }
}
