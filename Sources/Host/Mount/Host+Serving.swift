// The loop: one thread reads requests, runs Ruby, and answers.
//
// Invariants: while hooks wait, every other request goes on; with FUSE.multithread = false none does.
// Whatever happens, the loop ends with every request answered and nothing mounted.

import CLinux
package import FUSE
import Glibc
import Ruby
import Synchronization

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
    openControl()
    var spinning = Spinning()
    loop: while !session.hasEnded {
      if Wakeup.takeDue() { lookAround() }
      if stopStatus != nil { break }
      if isInitialized, !isLive { becomeLive(&background) }
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
  private func becomeLive(_ background: inout Background?) {
    isLive = true
    if let mountPoint { configuration.onLive?(mountPoint) }
    if let entered = background.take() { entered.leave(status: 0) }
  }

  /// Lets clients in. A mount serves without them where that cannot be.
  private func openControl() {
    guard let mountPoint, let mount = MountTable.last(at: mountPoint) else { return }
    do throws(HostError) { control = try ControlServer(self, device: mount.device) } catch {
      reporter.say("no console, trace or statistics from outside: \(error)")
    }
  }

  private func closeControl() {
    for sink in tracer.sinks { sink.flush() }
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

  private var hasParkedRequest: Bool { parked.values.contains { $0.request != nil } }

  private func sleepWithoutReceiving() {
    var watched = pollfd(fd: waiter.eventDescriptor, events: Int16(POLLIN), revents: 0)
    _ = Glibc.poll(&watched, 1, -1)
    Wakeup.wake()
  }

  /// Looks at everything that is not a request: outcomes, signals, new background work.
  private func lookAround() {
    for number in Wakeup.takeSignals() where Host.endings.contains(number) {
      // In front it says that the terminal is gone.
      if number == SIGHUP && isInBackground { reload() } else { stop(status: 0) }
    }
    if waiter.hasOutcomes { deliverOutcomes() }
    startSpawned()
    vm.collectIfDue()
  }

  /// Starts the background work that was asked for.
  func startSpawned() {
    while !spawned.isEmpty {
      let work = spawned.removeFirst()
      let turn = begin(.background)
      turn.isScripts = work.isScripts
      run(turn, vm[work.block], names.call) { [self] answer throws(Errno) in
        if case .raised(let exception) = answer.result, !isToldToEnd(exception) {
          _ = errno(of: exception, in: "FUSE.spawn", node: nil)
        }
        vm.release(work.block)
        finish(turn)
      }
    }
  }

  /// Whether an exception only says that the mount ends, or that background work has begun again.
  func isToldToEnd(_ exception: RubyException) -> Bool {
    ["FUSE::Unmounted", "FUSE::Reloaded"].contains(vm.className(of: exception.value))
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

  /// Calls a method of the script's class, where it has it, as a turn of its own.
  func callOnClass(_ method: String, _ done: @escaping (Bool) -> Void) {
    let klass = vm[classes.klass]
    let name = vm.name(method)
    guard vm.accepts(klass, name) != nil else { return done(true) }
    let turn = begin(.background)
    run(turn, klass, name) { [self] answer throws(Errno) in
      var succeeded = true
      if case .raised(let exception) = answer.result, !isToldToEnd(exception) {
        _ = errno(of: exception, in: "self.\(method)", node: nil)
        succeeded = false
      }
      finish(turn)
      done(succeeded)
    }
  }

  /// How long hooks that wait have to come to an end when the mount does, in nanoseconds.
  private static let graceForHooks: UInt64 = 400_000_000

  /// Ends the mount and everything that goes on in it; answers the exit status.
  private func finish(_ session: Session) -> Int32 {
    breakWaits()
    pump(session, until: monotonicNanoseconds() + Host.graceForHooks) { self.parked.isEmpty }
    // While the device number that names its socket is still this mount's.
    closeControl()
    if !session.hasEnded { unmountCleanly(session) }
    notifier.stop()
    session.unmount()
    Wakeup.watch(-1)
    var isOver = false
    callOnClass("on_destroy") { _ in isOver = true }
    // It may take its time, to send what is still to be sent; a signal cuts it short.
    pump(nil, until: .max) { isOver || !Wakeup.takeSignals().isEmpty }
    breakWaits()
    pump(nil, until: monotonicNanoseconds() + Host.graceForHooks) { self.parked.isEmpty }
    isServing = false
    reporter.later = { _ in }
    reporter.tellRepetitions()
    abandonParked()
    releaseEverything()
    return stopStatus ?? 0
  }

  /// Unmounts as umount(8) does, serving meanwhile; where files are open, lazily, saying so.
  private func unmountCleanly(_ session: Session) {
    guard let mountPoint else { return }
    let result = Atomic1(-1)
    let path = mountPoint
    var thread = pthread_t()
    guard
      startThread(
        isDetached: false, thread: &thread,
        {
          result.store(MountPoint.unmount(path))
          Wakeup.wake()
        }) == 0
    else { return }
    pump(session, until: .max) { result.load() >= 0 || session.hasEnded }
    pthread_join(thread, nil)
    if result.load() == EBUSY {
      reporter.say("\(path) is in use: unmounted lazily, files open there are lost")
    }
  }

  /// Serves, and delivers what was waited for, until something is the case.
  private func pump(_ session: Session?, until deadline: UInt64, _ isOver: () -> Bool) {
    while !isOver() {
      if waiter.hasOutcomes { deliverOutcomes() }
      if isOver() { return }
      let now = monotonicNanoseconds()
      if now >= deadline { return }
      if let session, !session.hasEnded {
        Wakeup.setBlocking(false, session.descriptor)
        do throws(Errno) {
          switch try session.receive() {
          case .request:
            session.process()
            breakWaits()
            continue
          case .ended: session.exit()
          case .none, .interrupted: break
          }
        } catch {
          session.exit()
        }
      }
      let left = deadline == .max ? 100 : min(100, (deadline - now) / 1_000_000 + 1)
      var watched = [
        pollfd(fd: waiter.eventDescriptor, events: Int16(POLLIN), revents: 0),
        pollfd(
          fd: session.map { $0.hasEnded ? -1 : $0.descriptor } ?? -1, events: Int16(POLLIN),
          revents: 0),
      ]
      _ = Glibc.poll(&watched, 2, Int32(left))
    }
  }

  /// Lets go of turns that would not end: their requests are answered EIO.
  private func abandonParked() {
    for (ticket, turn) in parked {
      waiter.cancel(ticket)
      turn.request = nil
      if let fiber = turn.fiber.take() { vm.release(fiber) }
    }
    parked = [:]
  }

  /// After the mount the pool is empty and no handle is open.
  private func releaseEverything() {
    for node in Array(tree.all) {
      if let instance = node.instance.take() { vm.release(instance) }
      node.draft = nil
    }
    tree = Tree()
    handles = OpenHandles()
  }
}

/// A number that two threads share.
private final class Atomic1: Sendable {
  private let value: Atomic<Int32>
  init(_ value: Int32) { self.value = Atomic(value) }
  func store(_ new: Int32) { value.store(new, ordering: .releasing) }
  func load() -> Int32 { value.load(ordering: .acquiring) }
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
