// Reloading by itself when a file of the script was saved.

import Glibc
import Reports
import System
import Waiting

/// Watches the files of a script, and has it loaded again when they change.
final class ScriptWatch {
  private let script: Script
  private let reloader: Reloader
  private let waits: Waits
  private let lifecycle: Lifecycle
  private let watch: SourceWatch
  /// A file of the script has changed, and it will be loaded again in a moment.
  private var isReloadDue = false
  /// A directory of the script's files is gone, and looked for.
  private var isSearching = false

  /// How long to wait after a change for what belongs to it, in seconds: some editors save in two
  /// steps, some tools several files.
  private static let settling = 0.02
  /// How often to look for a directory that is gone, in seconds.
  private static let searching = 0.5

  /// Notices from now on what happens to the script, also while nothing is served yet; no thread is
  /// needed for that.
  ///
  /// Throws what inotify_init1(2) failed with.
  init(
    _ script: Script, _ reloader: Reloader, _ waits: Waits, _ lifecycle: Lifecycle
  ) throws(SystemError) {
    self.script = script
    self.reloader = reloader
    self.waits = waits
    self.lifecycle = lifecycle
    watch = try SourceWatch()
    reloader.whenOver = { [unowned self] in findSources() }
    _ = watch.watch(script.sourceFiles)
  }

  /// Reloads from now on when something happens, or has happened.
  func serve() {
    _ = waits.observe(watch.descriptor) { [unowned self] in
      if watch.takeChanges() { noticeChange() }
    }
    findSources()
  }

  /// Reloads once everything that belongs to a change has come.
  private func noticeChange() {
    guard !isReloadDue else { return }
    isReloadDue = true
    waits.after(ScriptWatch.settling) { [unowned self] in
      isReloadDue = false
      guard lifecycle.isInitialized else { return noticeChange() }
      _ = watch.takeChanges()
      if Glibc.access(RawText.cString(script.path), F_OK) == 0 {
        reloader.reload()
      } else {
        findSources()
      }
    }
  }

  /// Watches the directories of all files that the script consists of by now; while one of them is
  /// gone, looks for it again and again.
  private func findSources() {
    guard !watch.watch(script.sourceFiles), !isSearching else { return }
    isSearching = true
    waits.after(ScriptWatch.searching) { [unowned self] in
      isSearching = false
      findSources()
      if !isSearching { noticeChange() }
    }
  }
}
