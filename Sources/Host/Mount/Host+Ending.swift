// The end of a mount.
//
// Invariants: it comes in this order. Hooks that wait are told, by an exception, and requests go on
// being served until nothing is mounted any more; then what FUSE.at_unmount was given runs, while
// background work goes on; then background work is told; then on_destroy is called. Whoever was told
// has a moment to come to an end, and is let go of after it.

import ControlProtocol
import FUSE
import Glibc
import Reports
import Synchronization
import System
import Waiting

extension Host {
  /// How long hooks that wait have to come to an end when the mount does, in nanoseconds.
  private static let graceForHooks: UInt64 = 400_000_000

  /// Ends the mount and everything that goes on in it; answers the exit status.
  func finish(_ session: Session) -> Int32 {
    tellOfEnd(session) { $0.operation != .background }
    // While the device number that names its socket is still this mount's.
    closeControl()
    if !session.hasEnded { unmountCleanly(session) }
    notifier.stop()
    session.unmount()
    mountPoint = nil
    Wakeup.watch(-1)
    takeTime(callAtUnmount)
    tellOfEnd()
    takeTime { done in callOnClass("on_destroy") { _ in done() } }
    tellOfEnd()
    isServing = false
    reporter.later = { _ in }
    reporter.tellRepetitions()
    abandonParked()
    releaseEverything()
    return stopStatus ?? 0
  }

  /// Tells turns that wait of the end, and lets them come to theirs for a moment.
  private func tellOfEnd(_ session: Session? = nil, _ isMeant: (Turn) -> Bool = { _ in true }) {
    breakWaits(isMeant)
    pump(session, until: monotonicNanoseconds() + Host.graceForHooks) {
      !self.parked.values.contains(where: isMeant)
    }
  }

  /// Lets something take its time, to send what is still to be sent; a signal cuts it short.
  private func takeTime(_ work: (_ done: @escaping () -> Void) -> Void) {
    var isOver = false
    work { isOver = true }
    pump(nil, until: .max) { isOver || !Wakeup.takeSignals().isEmpty }
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
            breakWaits { $0.operation != .background }
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
