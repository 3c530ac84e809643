// The loop: one thread reads requests, runs Ruby, and replies.
//
// Invariants: while hooks wait, every other request goes on; with FUSE.multithread = false none does.
// Whatever happens, the loop ends with every request replied to and nothing mounted.

import CLinux
import ControlProtocol
import FUSE
import Glibc
import Reports
import Ruby
import Synchronization
import System
import Waiting

extension Mount {
  /// Signals that end the mount.
  static let endings = [SIGINT, SIGTERM, SIGHUP]

  /// Serves a mounted session until it is unmounted; returns the exit status.
  func serve(_ session: Session, _ daemon: Background?) -> Int32 {
    var daemon = daemon
    lifecycle.enter(.starting)
    reporter.later = { [unowned self] seconds in
      scheduler.waits.after(seconds) { [unowned self] in reporter.tellRepetitions() }
    }
    Wakeup.watch(session.descriptor)
    defer { Wakeup.watch(-1) }
    // Not by stat(2): this thread itself would have to reply.
    let device = point.flatMap { MountTable.last(at: $0)?.device }
    inspection.open(device: device, mountPoint: point ?? "")
    var spinning = Spinning()
    loop: while !session.hasEnded {
      if Wakeup.takeDue() { lookAround() }
      if lifecycle.stopStatus != nil { break }
      if lifecycle.phase == .serving { becomeLive(&daemon, device) }
      guard mayReceive(session) else {
        sleepWithoutReceiving()
        continue
      }
      do throws(Errno) {
        switch try session.receive() {
        case .request:
          let isFirst = session.connection == nil
          session.process()
          if isFirst, session.connection != nil { initialize() }
          vm.collectIfDue()
          spinning.didWork()
        case .none:
          // The descriptor does not block while we spin, and when there is something to look at.
          if spinning.mayGoOn { continue }
          Wakeup.setBlocking(true, session.descriptor)
          if Wakeup.hasCome { Wakeup.setBlocking(false, session.descriptor) }
        case .interrupted:
          continue
        case .ended:
          break loop
        }
      } catch {
        reporter.say("reading from the kernel failed: \(error)")
        lifecycle.stop(status: 1)
      }
      if spinning.isDue { Wakeup.setBlocking(false, session.descriptor) }
    }
    let status = finish(session)
    daemon?.leave(status: UInt8(truncatingIfNeeded: status))
    return status
  }

  /// The kernel has agreed: `on_init` is called, and then everything is served.
  private func initialize() {
    background.callOnClass("on_init") { [self] succeeded in
      lifecycle.enter(.serving)
      if !succeeded { lifecycle.stop(status: 1) }
      Wakeup.wake()
    }
  }

  /// Tells those that wait for it that the mount is live.
  private func becomeLive(_ daemon: inout Background?, _ device: String?) {
    lifecycle.enter(.live)
    let options = filesystem.options
    if let device, options.adaptiveCaching {
      ReadAhead.raise(device: device, limit: options.connection.maxReadahead)
    }
    if let point { configuration.onLive?(point) }
    if let entered = daemon.take() { entered.leave(status: 0) }
  }

  /// Whether the next request may be read: not before `on_init` is through, and one by one where the
  /// script wants that.
  private func mayReceive(_ session: Session) -> Bool {
    if session.connection != nil, !lifecycle.isInitialized { return false }
    return !filesystem.options.isSerial || !scheduler.waits.tasks.contains { $0.request != nil }
  }

  private func sleepWithoutReceiving() {
    // Not for ever: a signal may have come since it was looked for last.
    var watched = pollfd(fd: waiter.eventDescriptor, events: Int16(POLLIN), revents: 0)
    if !Wakeup.hasCome { _ = Glibc.poll(&watched, 1, 100) }
    Wakeup.wake()
  }

  /// Looks at everything that is not a request: outcomes, signals, new background work.
  private func lookAround() {
    for number in Wakeup.takeSignals() where Mount.endings.contains(number) {
      // In front it says that the terminal is gone.
      if number == SIGHUP && lifecycle.isInBackground {
        reloader.reload()
      } else {
        lifecycle.stop(status: 0)
      }
    }
    if Wakeup.takeCall() { inspection.letIn() }
    if waiter.hasOutcomes { scheduler.deliverOutcomes(waitArguments) }
    if lifecycle.isInitialized { background.startSpawned() }
    vm.collectIfDue()
  }
}

/// When to look for the next request without sleeping: on a machine with several processors waking a
/// thread costs more than the request, and the next one mostly comes at once.
private struct Spinning {
  /// How long to look, in nanoseconds.
  private static let patience: UInt64 = 60_000

  private let pays = Spinning.processors > 1
  private var until: UInt64 = 0
  /// The descriptor has to be made non-blocking before the next read.
  private(set) var isDue = false

  private static var processors: Int {
    var set = [UInt64](repeating: 0, count: 16)
    let size = set.count * MemoryLayout<UInt64>.stride
    guard clinux_getaffinity(size, &set) >= 0 else { return 1 }
    return set.reduce(0) { $0 + $1.nonzeroBitCount }
  }

  mutating func didWork() {
    guard pays else { return }
    isDue = until == 0
    until = monotonicNanoseconds() + Spinning.patience
  }

  /// Whether to look once more; when it is not, the thread is to sleep.
  var mayGoOn: Bool {
    mutating get {
      guard pays, until != 0 else { return false }
      isDue = false
      if monotonicNanoseconds() < until { return true }
      until = 0
      return false
    }
  }
}
