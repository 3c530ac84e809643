// Checking a script without mounting it.

import Reports
import Ruby
import RubyLibrary
import System

/// What there is to say of a script.
package struct CheckResult: Sendable {
  /// A hook that the class defines.
  package struct DefinedHook: Sendable {
    package let name: String
    /// `file:line`; nil where that is not known, as of those that the host offers.
    package let place: String?
  }

  /// Something that is probably wrong.
  package struct Warning: Sendable {
    /// `file:line`; nil where it is about no line.
    package let place: String?
    package let text: String
  }

  package let className: String
  package let hooks: [DefinedHook]
  package let warnings: [Warning]
}

/// Looks at a script without mounting it.
struct ScriptCheck {
  private let script: Script
  private let interpreter: Interpreter
  private let lifecycle: Lifecycle
  private var vm: VM { interpreter.vm }

  init(_ script: Script, _ interpreter: Interpreter, _ lifecycle: Lifecycle) {
    self.script = script
    self.interpreter = interpreter
    self.lifecycle = lifecycle
  }

  /// Loads the script up to FUSE.run, and looks at the class that it is handed.
  ///
  /// With `callsHooks`, hooks that tell (on_getattr, on_readdir, on_read, ...) are called for the files
  /// that there are, as `find` and `cat` would have them called. Throws where the script does not come
  /// to FUSE.run.
  func check(callsHooks: Bool) throws(HostError) -> CheckResult {
    lifecycle.isChecked = true
    try script.load()
    // It waits in FUSE.run for ever.
    defer { script.abandon() }
    guard lifecycle.wantsMount else {
      if case .failed = script.ending { throw HostError("\(script.path) does not load") }
      throw HostError("\(script.path) never called FUSE.run, so there is nothing to mount")
    }
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    do throws(RubyException) {
      return try look(callsHooks)
    } catch {
      throw HostError(vm.describe(error).message)
    }
  }

  private func look(_ callsHooks: Bool) throws(RubyException) -> CheckResult {
    let names = Hook.table.map(\.name)
    try vm.define("FUSE", "__nearest_hook") { [unowned vm] call throws(RubyException) in
      guard let name = call[0].text,
        let nearest = Spelling.nearest(to: name, among: names, prefix: "on_".count)
      else { return .nil }
      return try vm.string(nearest)
    }
    try Surroundings.defineCheck(in: vm)
    let fuse = vm[interpreter.fuse]
    let klass = try vm.send(fuse, "klass")
    let check = try vm.send(
      try vm.constant("Check", in: fuse), "new", [klass, try hookArguments()])
    try vm.send(check, "look_at_methods")
    if callsHooks { try vm.send(check, "look_at_files") }
    let hooks = try vm.send(check, "hooks").elements ?? []
    let warnings = try vm.send(check, "warnings").elements ?? []
    return CheckResult(
      className: vm.inspect(klass),
      hooks: hooks.map {
        CheckResult.DefinedHook(
          name: $0[0].symbol.map(vm.text) ?? "",
          place: $0[1].text.flatMap { $0.hasPrefix("fusuma:") ? nil : $0 })
      },
      warnings: warnings.map {
        CheckResult.Warning(place: $0[0].text, text: $0[1].text ?? "")
      })
  }

  /// The table of hooks as a Hash of names and names of arguments.
  private func hookArguments() throws(RubyException) -> Value {
    let table = try vm.hash()
    for row in Hook.table {
      let arguments = try vm.array([])
      for argument in row.arguments { try vm.push(try vm.string(argument), onto: arguments) }
      try vm.set(vm.name(row.name).value, to: arguments, in: table)
    }
    return table
  }
}
