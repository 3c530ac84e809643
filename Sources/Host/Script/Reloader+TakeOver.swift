// What follows once a script was loaded again.

import FUSE
import Reports
import Ruby
import System

extension Reloader {
  /// Lets everything beside the VM follow the new script.
  func takeOver() {
    vm.forgetMembers()
    takeOptions()
    scheduler.endBackgroundWork()
    filesystem.invalidateAll()
    background.callOnClass("on_reload") { _ in }
  }

  /// Honours the new settings, except those that only a mount can.
  private func takeOptions() {
    var new: Options
    do throws(HostError) { new = try settings.read() } catch {
      reporter.say("\(error); the settings of before stay in force")
      return
    }
    var later: [String] = []
    if new.connection.posixLocks != filesystem.options.connection.posixLocks {
      later.append("on_lock")
    }
    if new.connection.flockLocks != filesystem.options.connection.flockLocks {
      later.append("on_flock")
    }
    new.connection.posixLocks = filesystem.options.connection.posixLocks
    new.connection.flockLocks = filesystem.options.connection.flockLocks
    if new.connection != filesystem.options.connection
      || new.mount.libraryOptions != filesystem.options.mount.libraryOptions
    {
      later.append("other mount options")
    }
    new.connection = filesystem.options.connection
    new.mount = filesystem.options.mount
    filesystem.options = new
    guard !later.isEmpty else { return }
    reporter.say(
      "\(later.joined(separator: " and ")): agreed on with the kernel when it mounts, so it takes "
        + "another mount to change that")
  }

  /// How many changes are told by name.
  private static let mostNamed = 8

  /// Says what changed and how long it took.
  func tell(_ all: [World.Change], sourceIsSame: Bool, restarted: Int, since begun: UInt64) {
    // What both came and went is of a class that was made anew, which is among the changes itself.
    let came = Set(all.filter { $0.kind == .added }.map(\.name))
    let both = came.intersection(all.filter { $0.kind == .removed }.map(\.name))
    let changes = all.filter { !both.contains($0.name) }
    let tenths = (monotonicNanoseconds() - begun + 50_000) / 100_000
    let kinds: [(World.Change.Kind, String)] = [
      (.changed, "changed"), (.added, "new"), (.removed, "gone"),
    ]
    var parts: [String] = []
    var room = Reloader.mostNamed
    for (kind, word) in kinds {
      let names = Set(changes.filter { $0.kind == kind }.map(\.name)).sorted()
      if names.isEmpty { continue }
      var listed = Array(names.prefix(room))
      if names.count > room { listed.append("\(names.count - room) more") }
      room -= min(room, names.count)
      parts.append("\(listed.joined(separator: ", ")) \(word)")
    }
    if restarted > 0 {
      parts.append("\(restarted) block\(restarted == 1 ? "" : "s") of FUSE.spawn begun again")
    }
    let otherwise = sourceIsSame ? "nothing changed" : "no method changed"
    let summary = parts.isEmpty ? otherwise : parts.joined(separator: "; ")
    reporter.say(
      "reloaded \(script.name) in \(tenths / 10).\(tenths % 10) ms: \(summary)")
  }
}
