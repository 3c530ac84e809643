// Invariant: one thread at a time runs the loop, and nothing in here is touched by any other. All
// that comes in comes through the inbox, all that goes out goes through the outbox.

import CLinux
import Glibc
import HTTP
import System

/// The loop that does all the waiting: one epoll instance, one heap of deadlines, one `Transfers`.
final class WaiterLoop {
  /// Whether a function may be given a thread; otherwise the loop's own has to do it.
  var mayStartThreads = false
  var isStopped = false
  let inbox: WaiterInbox
  let outbox: WaiterOutbox
  let descriptors: WaiterDescriptors
  var timers = WaiterTimers()
  /// What has been begun and is not over.
  var pending: [Ticket: WaiterPending] = [:]
  /// Made for the first request: most filesystems never need it.
  var transfers: Transfers?

  init(inbox: WaiterInbox, outbox: WaiterOutbox) throws(WaiterFailure) {
    self.inbox = inbox
    self.outbox = outbox
    descriptors = try WaiterDescriptors(alsoHinting: inbox.signal.descriptor)
  }

  deinit {
    for case .child(_, let descriptor) in pending.values { close(descriptor) }
  }

  /// Runs until the inbox says stop; may then be run again.
  func run() {
    isStopped = false
    while !isStopped { turn() }
  }

  /// Waits until something happens, and deals with it.
  func turn() {
    let hints = waitForHints()
    if hints.contains(inbox.signal.descriptor) { inbox.take().forEach(obey) }
    hints.forEach(look)
    let now = monotonicNanoseconds()
    while let ticket = timers.popExpired(at: now) { expire(ticket) }
    forwardTransferEvents()
  }

  // MARK: Waiting

  private func waitForHints() -> [Int32] {
    let now = monotonicNanoseconds()
    let left = timers.next.map { $0 > now ? $0 - now : 0 }
    guard let transfers, transfers.isBusy else {
      let milliseconds = left.map { min(($0 + 999_999) / 1_000_000, UInt64(Int32.max)) }
      return descriptors.hints(milliseconds: milliseconds.map { Int32($0) } ?? -1)
    }
    do {
      try transfers.poll(alsoWatching: descriptors.epoll, timeout: left.map { Double($0) / 1e9 })
    } catch {
      failTransfers(error)
    }
    return descriptors.hints(milliseconds: 0)
  }
}

/// What a ticket waits for, with what has to be given back when it does so no longer.
enum WaiterPending {
  case timer
  case descriptors([WatchedDescriptor])
  case child(Int32, descriptor: Int32)
  case transfer
  case work
  case watch(WatchedDescriptor)
}
