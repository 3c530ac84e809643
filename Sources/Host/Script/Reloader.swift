// Reloading: the script is evaluated again, in the same VM, between two operations.
//
// What is guaranteed: either all of the new script is in force afterwards or, where it does not parse,
// raises, or does not come to FUSE.run, all of the old one: methods, constants, class and global
// variables, settings and background work are as they were. What the script did to objects, files or
// the world outside before it raised is not undone.
//
// Hooks that wait meanwhile go on with the code that they began with. Instances stay, with their
// variables; so does every object that the script would make just as it made it before
// (RubyLibrary/Ruby/reload.rb).
//
// Invariant: nothing is served between the first change and the last one. What the script waits for
// while it is evaluated is waited for in place.

import FUSE
import Glibc
import Reports
import Ruby
import System

/// Why a script could not be loaded again.
private enum ReloadFailure: Error {
  case raised(VM.ExceptionDescription)
  case notRuby(VM.SyntaxError)
  case other(String)
}

/// Loads the script again, in the place of the one that is in force.
final class Reloader {
  let script: Script
  let interpreter: Interpreter
  let scheduler: Scheduler
  let background: BackgroundWork
  let filesystem: Filesystem
  let settings: MountSettings
  let reporter: Reporter
  let lifecycle: Lifecycle
  let vm: VM
  /// Called once a reload is over: the script may consist of other files now.
  var whenOver: () -> Void = {}

  init(
    _ script: Script, _ interpreter: Interpreter, _ scheduler: Scheduler,
    _ background: BackgroundWork, _ filesystem: Filesystem, _ settings: MountSettings,
    _ reporter: Reporter, _ lifecycle: Lifecycle
  ) {
    self.script = script
    self.interpreter = interpreter
    self.scheduler = scheduler
    self.background = background
    self.filesystem = filesystem
    self.settings = settings
    self.reporter = reporter
    self.lifecycle = lifecycle
    vm = interpreter.vm
  }

  /// Takes down what the script made when it was loaded, to compare it with what it makes the next
  /// time.
  func noteLoaded() {
    vm.scope {
      do throws(RubyException) { try vm.send(vm[interpreter.fuse], "__loaded") } catch {
        reporter.report(script: vm.describe(error))
      }
    }
  }

  /// Loads the script again, and says in one line what changed or why nothing did.
  func reload() {
    guard lifecycle.isInitialized, lifecycle.isServing, lifecycle.stopStatus == nil,
      let base = script.base
    else { return }
    let begun = monotonicNanoseconds()
    vm.scope {
      do throws(ReloadFailure) {
        let source = try parsed(script.path)
        for file in script.loadedFiles where Glibc.access(file, F_OK) == 0 { _ = try parsed(file) }
        let changes = try load(source, over: base)
        let isSame = !reporter.remember(script.sourceFiles)
        takeOver()
        // By now the blocks of before are told to end, and those of the new script have not begun.
        let restarted = background.countOfScripts
        tell(changes, sourceIsSame: isSame, restarted: restarted, since: begun)
      } catch {
        reporter.reportingOnNewSources {
          switch error {
          case .raised(let exception): reporter.report(script: exception)
          case .notRuby(let error): reporter.report(error)
          case .other(let message): reporter.say(message)
          }
        }
        reporter.say("not reloaded: what was there before stays in force")
      }
    }
    whenOver()
  }

  private func parsed(_ file: String) throws(ReloadFailure) -> [UInt8] {
    let source: [UInt8]
    do throws(SystemError) { source = try SourceFile.readAgain(file) } catch {
      throw .other("cannot read \(file): \(error)")
    }
    if let error = vm.syntaxError(in: source, file: file) { throw .notRuby(error) }
    return source
  }

  // MARK: Loading

  /// Puts the new script in the place of the old one, or leaves everything as it was; returns what
  /// changed.
  private func load(
    _ source: [UInt8], over base: World
  ) throws(ReloadFailure) -> [World.Change] {
    let asked = background.mark
    var stranded: [String] = []
    while true {
      let before = try orFail(world)
      let exception: VM.ExceptionDescription
      do throws(RubyException) {
        let changes = try replace(base, before, source, stranded)
        script.takeNew()
        background.forgetAtUnmount(before: asked)
        return changes + (try world().changes(since: before))
      } catch {
        exception = vm.describe(error)
      }
      script.keepOld()
      background.forget(since: asked)
      try orFail { () throws(RubyException) in try vm.restore(before, now: try world()) }
      // A class with another superclass than before cannot be used again: it is made anew.
      guard let path = Reloader.stranded(by: exception), !stranded.contains(path) else {
        throw .raised(exception)
      }
      stranded.append(path)
    }
  }

  /// Clears what the old script defined, evaluates the new one up to FUSE.run, and drops what is no
  /// longer defined. Where it throws, the world has to be restored.
  private func replace(
    _ base: World, _ before: World, _ source: [UInt8], _ stranded: [String]
  ) throws(RubyException) -> [World.Change] {
    let fuse = vm[interpreter.fuse]
    try vm.clear(to: base, now: before)
    var names: [Value] = []
    for path in stranded { names.append(try vm.string(path)) }
    try vm.send(fuse, "__begin_reload", [try vm.array(names)])
    try script.setArguments()
    guard try script.evaluateAgain(source) else {
      throw vm.exception("RuntimeError", "the script does not come to FUSE.run any more")
    }
    try prune(base, before, source)
    var changes: [World.Change] = []
    for pair in try vm.send(fuse, "__end_reload").elements ?? [] {
      guard let name = pair[0].text, let kind = World.Change.Kind(rawValue: pair[1].integer ?? -1)
      else { continue }
      changes.append(World.Change(name: name, kind: kind))
    }
    let klass = try vm.send(fuse, "klass")
    if klass != vm[interpreter.klass] {
      if vm.inspect(klass, limit: 200) != vm.inspect(vm[interpreter.klass], limit: 200) {
        changes.append(World.Change(name: "class of FUSE.run", kind: .changed))
      }
      try vm.replace(interpreter.klass, with: klass)
      dropInstances(notOf: klass)
    }
    return changes
  }

  /// Takes away the constants that no file of the script assigns any more.
  private func prune(
    _ base: World, _ before: World, _ source: [UInt8]
  ) throws(RubyException) {
    var names = try vm.definitions(in: source, file: script.path)
    for file in script.loadedFiles {
      guard let source = try? SourceFile.readAgain(file) else { continue }
      names += try vm.definitions(in: source, file: file)
    }
    // Names that are made up while it runs cannot be known.
    if names.contains(vm.name("const_set")) { return }
    try vm.prune(base: base, earlier: before, except: names)
  }

  private func world() throws(RubyException) -> World {
    do throws(VM.OutOfMemory) { return try World(of: vm) } catch {
      throw vm.exception("NoMemoryError", "there is not enough memory to reload the script")
    }
  }

  private func orFail<Result>(
    _ body: () throws(RubyException) -> Result
  ) throws(ReloadFailure) -> Result {
    do throws(RubyException) { return try body() } catch { throw .raised(vm.describe(error)) }
  }

  /// The class that a TypeError names because it could not be opened again.
  private static func stranded(by exception: VM.ExceptionDescription) -> String? {
    guard exception.className == "TypeError" else { return nil }
    let message = exception.message
    let mismatch = "superclass mismatch for class "
    if message.hasPrefix(mismatch) { return String(message.dropFirst(mismatch.count)) }
    for ending in [" is not a class", " is not a module"] where message.hasSuffix(ending) {
      return String(message.dropLast(ending.count))
    }
    return nil
  }

  /// Lets go of the instances of a class that is no longer the filesystem's; they are made anew.
  private func dropInstances(notOf klass: Value) {
    for node in filesystem.tree.all where node.isLinked {
      guard let instance = node.instance, !vm.isKind(vm[instance], of: klass) else { continue }
      interpreter.dropInstance(of: node)
    }
  }
}
