// The script's own life: parsed, run in a turn, resumed after the mount, and its exit status.

import FUSE
import Glibc
import Reports
import Ruby
package import System

/// How a script came to its end.
enum Ending {
  case returned
  case exited(Int32)
  case failed
}

extension Host {
  /// Runs the script to its end, with the mount in the middle; answers the exit status.
  ///
  /// Throws where there is nothing to run: one clear line.
  package func run() throws(HostError) -> Int32 {
    if configuration.watch { beginWatching() }
    try load()
    defer { scriptTurn = nil }
    var mountStatus: Int32?
    if wantsMount {
      wantsMount = false
      do throws(HostError) { mountStatus = try mountAndServe() } catch {
        reporter.say(error.description)
        mountStatus = error.status
      }
      // Not necessarily the turn that began: a reload puts another in its place.
      if let scriptTurn { vm.scope { resume(scriptTurn, with: integer(mountStatus ?? 0)) } }
    }
    let atExit = runAtExit()
    switch ending {
    case .exited(let status): return atExit ?? status
    case .failed: return atExit ?? 1
    case .returned, nil:
      if let status = atExit ?? mountStatus { return status }
      throw HostError(
        "\(configuration.script) never called FUSE.run, so there is nothing to mount")
    }
  }

  /// Runs the script until it calls FUSE.run, or to its end where it does not.
  func load() throws(HostError) {
    let source = try readSource(configuration.script)
    do throws(RubyException) {
      try vm.scope { () throws(RubyException) in
        try setArguments()
        try vm.send(vm[classes.fuse], "__begin_loading")
      }
    } catch {
      throw HostError(vm.describe(error).message)
    }
    do throws(VM.OutOfMemory) { base = try World(of: vm) } catch {
      throw HostError("there is not enough memory")
    }
    let turn = begin(.script)
    scriptTurn = turn
    do throws(RubyException) {
      try run(source, in: turn) { [self] answer in ending = end(of: answer) }
    } catch {
      throw HostError(vm.describe(error).message)
    }
    reporter.remember(sourceFiles)
  }

  /// Evaluates the script's source in a turn, which then is at FUSE.run, or over.
  func run(
    _ source: [UInt8], in turn: Turn, atEnd: @escaping (Answer) -> Void
  ) throws(RubyException) {
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    let arguments: Arguments = [
      .value(try vm.string(source)), .value(try vm.string(configuration.script)),
    ]
    run(turn, vm[classes.fuse], vm.name("__run_script"), arguments) { [self] answer in
      atEnd(answer)
      end(turn)
    }
  }

  /// A small number is a value without an allocation, so this cannot fail.
  private func integer(_ number: Int32) -> Value { (try? vm.integer(Int(number))) ?? .nil }

  /// What a script's end means; an exception is reported.
  func end(of answer: Answer) -> Ending {
    guard case .raised(let exception) = answer.result else { return .returned }
    if let status = exitStatus(exception) { return .exited(status) }
    reporter.report(script: vm.describe(exception), hint: hint(exception))
    return .failed
  }

  /// Reads a file of the script's and parses it.
  func readSource(_ path: String) throws(HostError) -> [UInt8] {
    let source: [UInt8]
    do throws(SystemError) { source = try SourceFile.read(path) } catch {
      throw HostError("cannot read the script \(path): \(error)")
    }
    if let error = vm.syntaxError(in: source, file: path) { throw HostError("\(error)") }
    return source
  }

  /// ARGV and $0.
  func setArguments() throws(RubyException) {
    let arguments = try vm.array([])
    for argument in configuration.arguments {
      try vm.push(try vm.string(argument), onto: arguments)
    }
    try vm.setConstant("ARGV", to: arguments)
    try vm.send(vm[classes.fuse], "__begin_script", [try vm.string(configuration.script)])
  }

  /// Runs what at_exit was given; answers the status that one of them asked for.
  private func runAtExit() -> Int32? {
    let turn = begin(.script)
    var status: Int32?
    run(turn, vm[classes.fuse], vm.name("__run_at_exit")) { [self] answer in
      if case .value(let value) = answer.result {
        status = value.integer.map { Int32(truncatingIfNeeded: $0 & 0xFF) }
      }
      end(turn)
    }
    return status
  }
}
