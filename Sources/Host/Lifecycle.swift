// How far a mount has come: one phase, and the status with which it is to end.

import Waiting

/// The phase of a mount, which everything that acts differently in it looks at.
final class Lifecycle {
  /// The phases, in their order.
  enum Phase: Int, Comparable {
    /// The script is being evaluated; nothing is mounted.
    case loading
    /// Requests are served, but for those that have to wait until `on_init` is through.
    case starting
    /// `on_init` is through, and everything is served.
    case serving
    /// Those that wait for the mount were told.
    case live
    /// The mount ends; what still waits is told so.
    case ending
    /// Nothing is mounted any more, and no task waits.
    case over

    static func < (a: Phase, b: Phase) -> Bool { a.rawValue < b.rawValue }
  }

  private(set) var phase = Phase.loading
  /// The exit status with which the mount is to end; nil while it goes on.
  private(set) var stopStatus: Int32?
  /// The script is being evaluated again: what it waits for is waited for in place.
  private(set) var isReloading = false
  /// The script is only looked at: it is to leave nothing behind.
  var isChecked = false
  /// The script has come to FUSE.run and waits for its mount.
  var wantsMount = false
  /// The process has gone to the background.
  var isInBackground = false

  /// Whether a task may be parked: the loop is there to resume it.
  var mayPark: Bool { isServing && !isReloading }
  /// Whether the loop runs.
  var isServing: Bool { phase > .loading && phase < .over }
  /// Whether `on_init` is through.
  var isInitialized: Bool { phase >= .serving }

  /// Goes on to a phase.
  func enter(_ phase: Phase) {
    self.phase = phase
    if phase == .starting { stopStatus = nil }
  }

  /// Ends the mount: the loop does so before the next request. The first status counts.
  func stop(status: Int32) {
    if stopStatus == nil { stopStatus = status }
    Wakeup.wake()
  }

  /// Evaluates the script again, in which it comes to FUSE.run again or does not; returns whether it did.
  func reloading<E: Error>(_ body: () throws(E) -> Void) throws(E) -> Bool {
    isReloading = true
    wantsMount = false
    defer {
      isReloading = false
      wantsMount = false
    }
    try body()
    return wantsMount
  }
}
