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

extension Host {
  /// Whether the script can be loaded again: with --watch, and by SIGHUP in the background.
  var mayReload: Bool { configuration.watch || isInBackground }

  /// Takes down what the script made when it was loaded, to compare it with what it makes the next
  /// time.
  func noteLoaded() {
    vm.scope {
      do throws(RubyException) { try vm.send(vm[classes.fuse], "__loaded") } catch {
        reporter.report(script: vm.describe(error))
      }
    }
  }

  /// Loads the script again, and says in one line what changed or why nothing did.
  func reload() {
    guard isServing, isInitialized, stopStatus == nil, let base else { return }
    let begun = monotonicNanoseconds()
    vm.scope {
      do throws(ReloadFailure) {
        let source = try parsed(configuration.script)
        for file in loadedFiles where Glibc.access(file, F_OK) == 0 { _ = try parsed(file) }
        let changes = try load(source, over: base)
        let isSame = !reporter.remember(sourceFiles)
        takeOver()
        // By now the blocks of before are told to end, and those of the new script have not begun.
        let restarted = spawned.count(where: \.isScripts)
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
    findSources()
  }

  private func parsed(_ file: String) throws(ReloadFailure) -> [UInt8] {
    let source: [UInt8]
    do throws(SystemError) { source = try SourceFile.readAgain(file) } catch {
      throw .other("cannot read \(file): \(error)")
    }
    if let error = vm.syntaxError(in: source, file: file) { throw .notRuby(error) }
    return source
  }

  /// The files that the script consists of.
  var sourceFiles: [String] { [configuration.script] + loadedFiles }

  /// The files that the script required or loaded.
  var loadedFiles: [String] {
    vm.scope {
      let list = try? vm.send(vm[classes.fuse], "__sources")
      return list?.elements?.compactMap(\.text) ?? []
    }
  }

  // MARK: Loading

  /// Puts the new script in the place of the old one, or leaves everything as it was; answers what
  /// changed.
  private func load(
    _ source: [UInt8], over base: World
  ) throws(ReloadFailure) -> [World.Change] {
    let old = scriptTurn
    let asked = (spawned.count, atUnmount.count)
    var stranded: [String] = []
    while true {
      let before = try orFail(world)
      let exception: VM.ExceptionDescription
      do throws(RubyException) {
        let changes = try replace(base, before, source, stranded)
        if let old { abandon(old) }
        forgetAtUnmount(first: asked.1)
        return changes + (try world().changes(since: before))
      } catch {
        exception = vm.describe(error)
      }
      scriptTurn = old
      for work in spawned[asked.0...] + atUnmount[asked.1...] { vm.release(work.block) }
      spawned.removeSubrange(asked.0...)
      atUnmount.removeSubrange(asked.1...)
      try orFail { () throws(RubyException) in try vm.restore(before, now: try world()) }
      // A class with another superclass than before cannot be used again: it is made anew.
      guard let path = Host.stranded(by: exception), !stranded.contains(path) else {
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
    let fuse = vm[classes.fuse]
    try vm.clear(to: base, now: before)
    var names: [Value] = []
    for path in stranded { names.append(try vm.string(path)) }
    try vm.send(fuse, "__begin_reload", [try vm.array(names)])
    try setArguments()
    guard try evaluate(source) else {
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
    if klass != vm[classes.klass] {
      if vm.inspect(klass, limit: 200) != vm.inspect(vm[classes.klass], limit: 200) {
        changes.append(World.Change(name: "class of FUSE.run", kind: .changed))
      }
      try vm.replace(classes.klass, with: klass)
      dropInstances(notOf: klass)
    }
    return changes
  }

  /// Runs the script in a turn of its own, which is the script's from then on; false where it ended
  /// without coming to FUSE.run.
  private func evaluate(_ source: [UInt8]) throws(RubyException) -> Bool {
    let turn = begin(.script)
    isReloading = true
    wantsMount = false
    defer {
      isReloading = false
      wantsMount = false
    }
    var raised: RubyException?
    scriptTurn = turn
    try run(source, in: turn) { [self] answer in
      if !isReloading {
        // It went on, after the unmount.
        ending = end(of: answer)
      } else if case .raised(let exception) = answer.result {
        raised = exception
      }
    }
    if let raised { throw raised }
    return wantsMount
  }

  /// Takes away the constants that no file of the script assigns any more.
  private func prune(
    _ base: World, _ before: World, _ source: [UInt8]
  ) throws(RubyException) {
    var names = try vm.definitions(in: source, file: configuration.script)
    for file in loadedFiles {
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
    for node in Array(tree.all) where node.isLinked {
      guard let instance = node.instance, !vm.isKind(vm[instance], of: klass) else { continue }
      node.instance = nil
      vm.release(instance)
    }
  }
}
