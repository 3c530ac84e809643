// Background work: what runs beside the mount, before it and after it, with no request to answer.

import FUSE
import Glibc
import Reports
import Ruby
import System
import Waiting

extension Host {
  func installBackgroundNatives() throws(RubyException) {
    try vm.define("FUSE", "__spawn_turn") { [unowned self] call throws(RubyException) in
      spawned.append(Spawned(block: try vm.retain(call[0]), isScripts: running === scriptTurn))
      if isServing { Wakeup.wake() }
      return .nil
    }
    try vm.define("FUSE", "__at_unmount") { [unowned self] call throws(RubyException) in
      atUnmount.append(Spawned(block: try vm.retain(call[0]), isScripts: running === scriptTurn))
      return .nil
    }
    try vm.define("FUSE", "__ticket") { [unowned self] _ throws(RubyException) in
      try vm.integer(Int(makeTicket().rawValue))
    }
    try vm.define("FUSE", "__wake") { [unowned self] call in
      if let number = call[0].integer.flatMap({ UInt64(exactly: $0) }) {
        waiter.complete(Ticket(number), .ready([]))
      }
      return .nil
    }
  }

  /// Starts the background work that was asked for; what that asks for is begun at the next look.
  func startSpawned() {
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

  /// Runs a block as a turn of its own.
  private func start(_ work: Spawned, of method: String, done: @escaping () -> Void = {}) {
    let turn = begin(.background)
    turn.isScripts = work.isScripts
    run(turn, vm[work.block], names.call) { [self] answer throws(Errno) in
      if case .raised(let exception) = answer.result {
        report(exception, in: method, place: place(of: work.block))
      }
      vm.release(work.block)
      end(turn)
      done()
    }
  }

  /// Forgets what the script asked for when it was loaded before.
  func forgetAtUnmount(first count: Int) {
    for work in atUnmount.prefix(count) where work.isScripts { vm.release(work.block) }
    atUnmount = atUnmount.prefix(count).filter { !$0.isScripts } + atUnmount.dropFirst(count)
  }

  /// Calls a method of the script's class, where it has it, as a turn of its own.
  func callOnClass(_ method: String, _ done: @escaping (_ succeeded: Bool) -> Void) {
    let klass = vm[classes.klass]
    let name = vm.name(method)
    guard vm.accepts(klass, name) != nil else { return done(true) }
    let turn = begin(.background)
    run(turn, klass, name) { [self] answer throws(Errno) in
      var succeeded = true
      if case .raised(let exception) = answer.result {
        succeeded = !report(exception, in: "self.\(method)", place: nil)
      }
      end(turn)
      done(succeeded)
    }
  }

  /// Whether an exception only says that the mount ends, or that background work has begun again.
  func isToldToEnd(_ exception: RubyException) -> Bool {
    ["FUSE::Unmounted", "FUSE::Reloaded"].contains(vm.className(of: exception.value))
  }

  /// Reports what ended background work, unless that was the end of the mount; answers whether it was
  /// a failure.
  ///
  /// Nobody is there to be told an errno: an exception of those is reported as any other is. `exit`
  /// means what it says.
  @discardableResult
  private func report(_ exception: RubyException, in method: String, place: String?) -> Bool {
    if isToldToEnd(exception) { return false }
    if let status = exitStatus(exception) {
      stop(status: status)
      return status != 0
    }
    reporter.report(vm.describe(exception), in: method, path: place)
    return true
  }

  /// Where a block stands, as "file:line"; nil where Ruby does not know.
  private func place(of block: VM.Root) -> String? {
    guard let place = try? vm.send(vm[block], "source_location"), let file = place[0].text,
      let line = place[1].integer
    else { return nil }
    return "\(file):\(line)"
  }
}

/// A block that was asked for as background work and has not begun.
struct Spawned {
  let block: VM.Root
  /// The script itself asked for it, not a hook.
  let isScripts: Bool
}
