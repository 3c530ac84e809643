// Consoles: lines of Ruby that run in the live VM, each as a task like any other, so that it may
// wait while operations go on.

import ControlProtocol
import FUSE
import Glibc
import Ruby
import Waiting

/// A client's place in the VM.
final class Console {
  /// The FUSE::Console that keeps the local variables.
  fileprivate let scope: VM.Root
  /// The client, which is sent what it prints.
  fileprivate unowned let connection: ControlConnection
  /// The line that is being evaluated.
  fileprivate(set) var task: ScriptTask?

  fileprivate init(_ scope: VM.Root, _ connection: ControlConnection) {
    self.scope = scope
    self.connection = connection
  }
}

/// The consoles of all clients.
final class Consoles {
  private let interpreter: Interpreter
  private let scheduler: Scheduler
  private let vm: VM

  init(_ interpreter: Interpreter, _ scheduler: Scheduler) {
    self.interpreter = interpreter
    self.scheduler = scheduler
    vm = interpreter.vm
  }

  /// The longest value that is told, in bytes.
  private static let longestValue = 1 << 16
  /// What a console's code calls its file.
  private static let consoleName = "(console)"

  /// Evaluates a line; what comes of it is sent to the client.
  func evaluate(_ source: String, for connection: ControlConnection) {
    if let error = vm.syntaxError(in: Array(source.utf8), file: Consoles.consoleName) {
      connection.send(
        error.isIncomplete ? ["incomplete": true] : ["error": .string("\(error)"), "frames": []])
      return
    }
    perform("evaluate", for: connection) { () throws(RubyException) in
      [try vm.string(source), try vm.localVariables(of: Array(source.utf8))]
    } reply: { [self] result in
      switch result {
      case .missing: return ["value": "nil"]
      case .value(let value):
        let text = value.bytes ?? []
        let tail = text.count > Consoles.longestValue ? "..." : ""
        return [
          "value": .string(
            String(decoding: text.prefix(Consoles.longestValue), as: UTF8.self) + tail)
        ]
      case .raised(let exception):
        if interpreter.exitStatus(exception) != nil { return ["exit": true] }
        return describe(exception)
      }
    }
  }

  /// Sends what the last word of a line could become.
  func complete(_ text: String, for connection: ControlConnection) {
    perform("complete", for: connection) { () throws(RubyException) in
      [try vm.string(text)]
    } reply: { result in
      guard case .value(let value) = result else { return ["completions": []] }
      let words = value.elements ?? []
      return ["completions": .array(words.compactMap { $0.text.map(JSON.string) })]
    }
  }

  private func describe(_ exception: RubyException) -> JSON {
    let description = vm.describe(exception)
    var frames: [JSON] = []
    for frame in description.backtrace {
      if frame.hasPrefix("fusuma:") { continue }
      // Where the line itself was evaluated: below it there is only the host.
      if frame.hasPrefix(Consoles.consoleName), frame.hasSuffix(":in eval") {
        frames.append(.string(String(frame.dropLast(":in eval".count))))
        break
      }
      frames.append(.string(frame))
    }
    return [
      "error": .string("\(description.message) (\(description.className))"),
      "frames": .array(frames),
    ]
  }

  /// Calls a method of the client's FUSE::Console as a task, and sends what is made of its result.
  private func perform(
    _ method: String, for connection: ControlConnection,
    with values: () throws(RubyException) -> [Value],
    reply: @escaping (HookResult.Content) -> JSON
  ) {
    let arena = vm.openScope()
    defer { vm.closeScope(arena) }
    do throws(RubyException) {
      let console =
        if let console = connection.console { console } else {
          try openConsole(for: connection)
        }
      guard console.task == nil else {
        connection.send(["error": "the last line has not ended yet", "frames": []])
        return
      }
      var arguments: Arguments = []
      for value in try values() { arguments.append(.value(value)) }
      let task = scheduler.begin(.console, Context(uid: connection.uid, pid: connection.pid))
      console.task = task
      task.console = console
      scheduler.clearInterrupt()
      scheduler.run(task, vm[console.scope], vm.name(method), arguments) { [self] result in
        console.task = nil
        task.console = nil
        // The line may have defined accessors.
        vm.forgetMembers()
        if connection.isOpen {
          connection.send(reply(result.content))
          connection.deliver()
        } else {
          vm.release(console.scope)
        }
        scheduler.end(task)
      }
    } catch {
      connection.send(describe(error))
    }
  }

  private func openConsole(for connection: ControlConnection) throws(RubyException) -> Console {
    let klass = try vm.constant("Console", in: vm[interpreter.fuse])
    let console = Console(try vm.retain(try vm.send(klass, "new")), connection)
    connection.console = console
    return console
  }

  /// Breaks the wait of a console's line. One that runs cannot be reached from here: it looks at the
  /// status page by itself, wherever mruby lets it.
  func interrupt(_ console: Console) {
    guard let task = console.task else { return }
    scheduler.endWait(of: task) { vm.exception("Interrupt", "interrupted").value }
  }

  /// The client is gone: so is what its line waits for.
  func close(_ console: Console) {
    if console.task == nil { vm.release(console.scope) } else { interrupt(console) }
  }

  /// What a console's line prints goes to its console, and not to the mount's own output.
  func defineNatives() throws(RubyException) {
    try vm.define("FUSE", "__print") { [unowned self] call throws(RubyException) in
      guard let console = scheduler.running?.console, let descriptor = call[0].integer,
        descriptor == STDOUT_FILENO || descriptor == STDERR_FILENO, let bytes = call[1].bytes
      else { return .false }
      console.connection.send(["output": .string(String(decoding: bytes, as: UTF8.self))])
      console.connection.deliver()
      return .true
    }
  }
}
