// The end of a mount.
//
// Invariants: it comes in this order. Hooks that wait are told, by an exception, and requests go on
// being served until nothing is mounted any more; then what FUSE.at_unmount was given runs, while
// background work goes on; then background work is told; then on_destroy is called. What was told has
// a moment to come to an end, and is let go of after it.

import ControlProtocol
import FUSE
import Glibc
import Reports
import Synchronization
import System
import Waiting

extension Mount {
  /// How long tasks that wait have to come to an end when the mount does, in nanoseconds.
  private static let graceForHooks: UInt64 = 400_000_000
  /// How long a notification that is under way may take when nothing holds it up any more.
  private static let graceForNotifications: UInt64 = 1_000_000_000

  /// Ends the mount and everything that goes on in it; returns the exit status.
  func finish(_ session: Session) -> Int32 {
    lifecycle.enter(.ending)
    tellOfEnd(session) { $0.operation != .background }
    // While the device number that names its socket is still this mount's.
    inspection.close()
    if !session.hasEnded { unmountCleanly(session) }
    endNotifications(session)
    session.unmount()
    Wakeup.endGuard()
    leavePoint()
    Wakeup.watch(-1)
    takeTime(background.callAtUnmount)
    tellOfEnd()
    takeTime { done in background.callOnClass("on_destroy") { _ in done() } }
    tellOfEnd()
    lifecycle.enter(.over)
    reporter.later = { _ in }
    reporter.tellRepetitions()
    scheduler.abandonParked()
    filesystem.releaseEverything()
    return lifecycle.stopStatus ?? 0
  }

  /// Sends no more notifications. One that is held up in the kernel is by a request of ours: all that
  /// wait are let go of then; and where another request came meanwhile, the connection is aborted.
  private func endNotifications(_ session: Session) {
    if notifications.stop(within: 0) { return }
    scheduler.abandonParked()
    if notifications.stop(within: Mount.graceForNotifications) { return }
    session.abort()
    _ = notifications.stop(within: Mount.graceForNotifications)
  }

  /// Tells tasks that wait of the end, and lets them come to theirs for a moment.
  private func tellOfEnd(
    _ session: Session? = nil, _ isMeant: (ScriptTask) -> Bool = { _ in true }
  ) {
    scheduler.breakWaits(isMeant)
    pump(session, until: monotonicNanoseconds() + Mount.graceForHooks) {
      !scheduler.waits.tasks.contains(where: isMeant)
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
    guard let place = session.place else { return }
    let result = Atomic1(-1)
    var thread = pthread_t()
    guard
      startThread(
        isDetached: false, thread: &thread,
        {
          result.store(MountPoint.unmount(place))
          Wakeup.wake()
        }) == 0
    else { return }
    pump(session, until: .max) { result.load() >= 0 || session.hasEnded }
    pthread_join(thread, nil)
    if result.load() == EBUSY {
      reporter.say("\(place.path) is in use: unmounted lazily, files open there are lost")
    }
  }

  /// Serves, and delivers what was waited for, until something is the case.
  private func pump(_ session: Session?, until deadline: UInt64, _ isOver: () -> Bool) {
    while !isOver() {
      if waiter.hasOutcomes { scheduler.deliverOutcomes(waitArguments) }
      if isOver() { return }
      let now = monotonicNanoseconds()
      if now >= deadline { return }
      if let session, !session.hasEnded {
        Wakeup.setBlocking(false, session.descriptor)
        do throws(Errno) {
          switch try session.receive() {
          case .request:
            session.process()
            scheduler.breakWaits { $0.operation != .background }
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
}
