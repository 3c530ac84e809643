// The script's own life: parsed, run in a turn, resumed after the mount, and its exit status.

import FUSE
import Glibc
import Ruby

extension Host {
  /// Runs the script to its end, with the mount in the middle; answers the exit status.
  ///
  /// Throws where there is nothing to run: one clear line.
  package func run() throws(HostError) -> Int32 {
    let source = try readScript()
    try prepare()
    var ending: Ending?
    guard let turn = begin(.script) else { throw HostError("there is not enough memory") }
    scriptTurn = turn
    defer { scriptTurn = nil }
    do throws(RubyException) {
      let scope = vm.openScope()
      defer { vm.closeScope(scope) }
      let arguments: [Argument] = [
        .value(try vm.string(source)), .value(try vm.string(configuration.script)),
      ]
      run(turn, vm[classes.fuse], vm.name("__run_script"), arguments) { [self] answer in
        ending = end(of: answer)
        finish(turn)
      }
    } catch {
      throw HostError(vm.describe(error).message)
    }
    var mountStatus: Int32?
    if wantsMount {
      wantsMount = false
      do throws(HostError) { mountStatus = try mountAndServe() } catch {
        reporter.say(error.description)
        mountStatus = error.status
      }
      vm.scope { resume(turn, with: integer(mountStatus ?? 0)) }
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

  /// A small number is a value without an allocation, so this cannot fail.
  private func integer(_ number: Int32) -> Value { (try? vm.integer(Int(number))) ?? .nil }

  private enum Ending {
    case returned
    case exited(Int32)
    case failed
  }

  private func end(of answer: Answer) -> Ending {
    guard case .raised(let exception) = answer.result else { return .returned }
    if let status = exitStatus(exception) { return .exited(status) }
    reporter.report(script: vm.describe(exception))
    return .failed
  }

  /// Reads the script and parses it.
  func readScript() throws(HostError) -> [UInt8] {
    let path = configuration.script
    let source: [UInt8]
    do throws(SystemError) { source = try SourceFile.read(path) } catch {
      throw HostError("cannot read the script \(path): \(error)")
    }
    if let error = vm.syntaxError(in: source, file: path) { throw HostError("\(error)") }
    return source
  }

  /// ARGV, $0, and where `require` looks.
  private func prepare() throws(HostError) {
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    do throws(RubyException) {
      let arguments = try vm.array([])
      for argument in configuration.arguments {
        try vm.push(try vm.string(argument), onto: arguments)
      }
      try vm.setConstant("ARGV", to: arguments)
      try vm.send(
        vm[classes.fuse], "__begin_script", [try vm.string(configuration.script)])
    } catch {
      throw HostError(vm.describe(error).message)
    }
  }

  /// Runs what at_exit was given; answers the status that one of them asked for.
  private func runAtExit() -> Int32? {
    guard let turn = begin(.script) else { return nil }
    var status: Int32?
    run(turn, vm[classes.fuse], vm.name("__run_at_exit")) { [self] answer in
      if case .value(let value) = answer.result {
        status = value.integer.map { Int32(truncatingIfNeeded: $0 & 0xFF) }
      }
      finish(turn)
    }
    return status
  }
}
