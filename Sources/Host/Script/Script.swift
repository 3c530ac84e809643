// The script's own life: parsed, run in a task, resumed after the mount, and its exit status.

import FUSE
import Glibc
import Reports
import Ruby
import System

/// How a script came to its end.
enum Ending {
  case returned
  case exited(Int32)
  case failed
}

/// The script that is run, and the task that it runs in.
final class Script {
  private let configuration: HostConfiguration
  private let interpreter: Interpreter
  private let scheduler: Scheduler
  private let reporter: Reporter
  private let lifecycle: Lifecycle
  private let vm: VM
  /// What waits in FUSE.run for the end of the mount; nil before and after the script.
  private var task: ScriptTask?
  /// How the script ended; nil while it has not.
  private(set) var ending: Ending?
  /// What there was in the VM before the script.
  private(set) var base: World?

  init(
    _ configuration: HostConfiguration, _ interpreter: Interpreter, _ scheduler: Scheduler,
    _ reporter: Reporter, _ lifecycle: Lifecycle
  ) {
    self.configuration = configuration
    self.interpreter = interpreter
    self.scheduler = scheduler
    self.reporter = reporter
    self.lifecycle = lifecycle
    vm = interpreter.vm
  }

  /// The file, and its name without the directories before it.
  var path: String { configuration.script }
  var name: Substring { configuration.scriptName }
  /// The files that the script consists of.
  var sourceFiles: [String] { [path] + loadedFiles }
  /// The files that the script required or loaded.
  var loadedFiles: [String] {
    vm.scope {
      let list = try? vm.send(vm[interpreter.fuse], "__sources")
      return list?.elements?.compactMap(\.text) ?? []
    }
  }

  // MARK: From the beginning to the end

  /// Runs the script until it calls FUSE.run, or to its end where it does not.
  func load() throws(HostError) {
    let source = try read()
    do throws(RubyException) {
      try vm.scope { () throws(RubyException) in
        try setArguments()
        try vm.send(vm[interpreter.fuse], "__begin_loading")
      }
    } catch {
      throw HostError(vm.describe(error).message)
    }
    do throws(VM.OutOfMemory) { base = try World(of: vm) } catch {
      throw HostError("there is not enough memory")
    }
    do throws(RubyException) {
      task = try evaluate(source) { [self] result in ending = ending(of: result) }
    } catch {
      throw HostError(vm.describe(error).message)
    }
    // One that has come to its end already has no task to go on with.
    if !lifecycle.wantsMount { task = nil }
    reporter.remember(sourceFiles)
  }

  /// Goes on with the script behind FUSE.run, which returns the status of the mount, and then with what
  /// it gave to at_exit; returns the exit status, or nil where there was neither a mount nor another.
  func finish(mountStatus: Int32?) -> Int32? {
    if let task = task.take(), let mountStatus {
      vm.scope { scheduler.resume(task, with: integer(mountStatus)) }
    }
    let atExit = runAtExit()
    switch ending {
    case .exited(let status): return atExit ?? status
    case .failed: return atExit ?? 1
    case .returned, nil: return atExit ?? mountStatus
    }
  }

  /// Lets go of a script that is not to go on behind FUSE.run.
  func abandon() { if let task = task.take() { scheduler.abandon(task) } }

  /// A small number is a value without an allocation, so this cannot fail.
  private func integer(_ number: Int32) -> Value { (try? vm.integer(Int(number))) ?? .nil }

  /// What a script's end means; an exception is reported.
  private func ending(of result: HookResult) -> Ending {
    guard case .raised(let exception) = result.content else { return .returned }
    if let status = interpreter.exitStatus(exception) { return .exited(status) }
    reporter.report(script: vm.describe(exception), hint: interpreter.hint(exception))
    return .failed
  }

  /// Reads the script and parses it.
  private func read() throws(HostError) -> [UInt8] {
    let source: [UInt8]
    do throws(SystemError) { source = try SourceFile.read(path) } catch {
      throw HostError("cannot read the script \(path): \(error)")
    }
    if let error = vm.syntaxError(in: source, file: path) { throw HostError("\(error)") }
    return source
  }

  /// Sets ARGV and $0.
  func setArguments() throws(RubyException) {
    let arguments = try vm.array([])
    for argument in configuration.arguments {
      try vm.push(try vm.string(RawText.bytes(of: argument)), onto: arguments)
    }
    try vm.setConstant("ARGV", to: arguments)
    try vm.send(vm[interpreter.fuse], "__begin_script", [try vm.string(RawText.bytes(of: path))])
  }

  /// Evaluates source in a task of its own, which then is at FUSE.run, or over; returns it.
  private func evaluate(
    _ source: [UInt8], atEnd: @escaping (HookResult) -> Void
  ) throws(RubyException) -> ScriptTask {
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    let arguments: Arguments = [
      .value(try vm.string(source)), .value(try vm.string(RawText.bytes(of: path))),
    ]
    let task = scheduler.begin(.script)
    task.isScript = true
    scheduler.run(task, vm[interpreter.fuse], vm.name("__run_script"), arguments) {
      [self] result in
      atEnd(result)
      scheduler.end(task)
    }
    return task
  }

  /// Runs what at_exit was given; returns the status that one of them asked for.
  private func runAtExit() -> Int32? {
    let task = scheduler.begin(.script)
    var status: Int32?
    scheduler.run(task, vm[interpreter.fuse], vm.name("__run_at_exit")) { [self] result in
      if case .value(let value) = result.content {
        status = value.integer.map { Int32(truncatingIfNeeded: $0 & 0xFF) }
      }
      scheduler.end(task)
    }
    return status
  }

  // MARK: Once more

  /// Evaluates new source up to FUSE.run, in a task that takes the place of the one that waits there.
  ///
  /// Returns false where the source does not come to FUSE.run; throws what it raises. The script's task is
  /// as before then.
  func evaluateAgain(_ source: [UInt8]) throws(RubyException) -> Bool {
    var raised: RubyException?
    var new: ScriptTask?
    let comesToRun = try lifecycle.reloading { () throws(RubyException) in
      new = try evaluate(source) { [self] result in
        if !lifecycle.isReloading {
          // It went on, after the unmount.
          ending = ending(of: result)
        } else if case .raised(let exception) = result.content {
          raised = exception
        }
      }
    }
    if let raised { throw raised }
    candidate = comesToRun ? new : nil
    return comesToRun
  }

  /// The task of the source that was evaluated again, until it is known which is to stay.
  private var candidate: ScriptTask?

  /// Puts the new task in the place of the old one.
  func takeNew() {
    guard let new = candidate.take() else { return }
    if let old = task { scheduler.abandon(old) }
    task = new
  }

  /// Lets the old task stay.
  func keepOld() { if let new = candidate.take() { scheduler.abandon(new) } }
}
