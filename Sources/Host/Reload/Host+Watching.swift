// Reloading by itself when a file of the script was saved.

import Glibc
import Reports
import System
import Waiting

extension Host {
  /// How long to wait after a change for what belongs to it, in seconds: some editors save in two
  /// steps, some tools several files.
  private static let settling = 0.02
  /// How often to look for a directory that is gone, in seconds.
  private static let searching = 0.5

  /// Notices from now on what happens to the script, also while nothing is served yet; no thread is
  /// needed for that.
  func beginWatching() {
    do throws(SystemError) { watch = try SourceWatch() } catch {
      reporter.say("the script cannot be watched: inotify: \(error)")
    }
    findSources()
  }

  /// Reloads from now on when something happens, or has happened.
  func serveWatch() {
    guard let watch else { return }
    let ticket = makeTicket()
    watchers[ticket] = { [unowned self] _ in
      if watch.takeChanges() { noticeChange() }
      waiter.rearm(ticket)
    }
    waiter.watch(watch.descriptor, ticket)
    findSources()
  }

  /// Reloads once everything that belongs to a change has come.
  private func noticeChange() {
    guard !isReloadDue else { return }
    isReloadDue = true
    after(Host.settling) { [unowned self] in
      isReloadDue = false
      guard isInitialized else { return noticeChange() }
      _ = watch?.takeChanges()
      if Glibc.access(configuration.script, F_OK) == 0 { reload() } else { findSources() }
    }
  }

  /// Watches the directories of all files that the script consists of by now; while one of them is
  /// gone, looks for it again and again.
  func findSources() {
    guard let watch, !watch.watch(sourceFiles), !isSearching else {
      return
    }
    isSearching = true
    after(Host.searching) { [unowned self] in
      isSearching = false
      findSources()
      if !isSearching { noticeChange() }
    }
  }
}
