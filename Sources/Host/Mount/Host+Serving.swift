// The loop: one thread reads requests, runs Ruby, and answers.
//
// Invariants: while hooks wait, every other request goes on; with FUSE.multithread = false none does.
// Whatever happens, the loop ends with every request answered and nothing mounted.

import CLinux
import ControlProtocol
package import FUSE
import Glibc
import Reports
import Ruby
import Synchronization
import System
import Waiting

extension Host {
  /// Signals that end the mount.
  static let endings = [SIGINT, SIGTERM, SIGHUP]

  /// Serves a mounted session until it is unmounted; answers the exit status.
  func serve(_ session: Session, _ background: Background?) -> Int32 {
    var background = background
    isServing = true
    stopStatus = nil
    reporter.later = { [unowned self] seconds in
      after(seconds) { [unowned self] in reporter.tellRepetitions() }
    }
    Wakeup.watch(session.descriptor)
    defer { Wakeup.watch(-1) }
    // Not by stat(2): this thread itself would have to answer.
    let device = mountPoint.flatMap { MountTable.last(at: $0)?.device }
    openControl(device)
    var spinning = Spinning()
    loop: while !session.hasEnded {
      if Wakeup.takeDue() { lookAround() }
      if stopStatus != nil { break }
      if isInitialized, !isLive { becomeLive(&background, device) }
      guard mayReceive else {
        sleepWithoutReceiving()
        continue
      }
      do throws(Errno) {
        switch try session.receive() {
        case .request:
          session.process()
          vm.collectIfDue()
          spinning.didWork()
        case .none:
          // The descriptor does not block while we spin, and when somebody wants us to look.
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
        stop(status: 1)
      }
      if spinning.isDue { Wakeup.setBlocking(false, session.descriptor) }
    }
    let status = finish(session)
    background?.leave(status: UInt8(truncatingIfNeeded: status))
    return status
  }

  /// Tells those who wait for it that the mount is live.
  private func becomeLive(_ background: inout Background?, _ device: String?) {
    isLive = true
    if let device { ReadAhead.raise(device: device, limit: options.connection.maxReadahead) }
    if let mountPoint { configuration.onLive?(mountPoint) }
    if let entered = background.take() { entered.leave(status: 0) }
  }

  /// Lets clients in. A mount serves without them where that cannot be.
  private func openControl(_ device: String?) {
    guard let device else { return }
    do throws(HostError) {
      let server = try ControlServer(self, device: device)
      notices = server.status.writer
      control = server
    } catch {
      reporter.say("no console, trace or statistics from outside: \(error)")
    }
  }

  func closeControl() {
    for sink in tracer.sinks { sink.flush() }
    notices = StatusWriter()
    control?.close()
    control = nil
  }

  /// Ends the mount: the loop does so before the next request.
  func stop(status: Int32) {
    if stopStatus == nil { stopStatus = status }
    Wakeup.wake()
  }

  /// Whether the next request may be read.
  private var mayReceive: Bool {
    // Until on_init is through, and one by one where the script wants that.
    isInitialized || session?.connection == nil ? !(options.isSerial && hasParkedRequest) : false
  }

  var hasParkedRequest: Bool { parked.values.contains { $0.request != nil } }

  private func sleepWithoutReceiving() {
    // Not for ever: a signal may have come since it was looked for last.
    var watched = pollfd(fd: waiter.eventDescriptor, events: Int16(POLLIN), revents: 0)
    if !Wakeup.hasCome { _ = Glibc.poll(&watched, 1, 100) }
    Wakeup.wake()
  }

  /// Looks at everything that is not a request: outcomes, signals, new background work.
  private func lookAround() {
    for number in Wakeup.takeSignals() where Host.endings.contains(number) {
      // In front it says that the terminal is gone.
      if number == SIGHUP && isInBackground { reload() } else { stop(status: 0) }
    }
    if Wakeup.takeCall() { control?.letIn() }
    if waiter.hasOutcomes { deliverOutcomes() }
    if isInitialized { startSpawned() }
    vm.collectIfDue()
  }

  // MARK: Beginning and end

  package func started(_ connection: Connection) {
    callOnClass("on_init") { [self] succeeded in
      isInitialized = true
      if !succeeded { stop(status: 1) }
      Wakeup.wake()
    }
  }

  package func destroyed() {}
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
