// Invariant: these two boxes are all that the waiter's thread shares with others. Values go in and
// come out under a lock, and nothing is called while it is held.

import CLinux
import Glibc
import Synchronization
import System

/// What the waiter's loop is asked to do, by any thread, in order.
final class WaiterInbox: Sendable {
  enum Message: Sendable {
    case begin(Wait, Ticket)
    case watch(Int32, Ticket)
    case rearm(Ticket)
    case cancel(Ticket)
    case worked(WorkResult, Ticket)
    case stop
  }

  /// Readable while there are messages.
  let signal: WaiterSignal
  private let messages = Mutex<[Message]>([])

  init() throws(WaiterFailure) { signal = try WaiterSignal() }

  func post(_ message: Message) {
    let isFirst = messages.withLock {
      $0.append(message)
      return $0.count == 1
    }
    if isFirst { signal.raise() }
  }

  func take() -> [Message] {
    signal.lower()
    return messages.withLock { messages in
      defer { messages = [] }
      return messages
    }
  }
}

/// What has come of the waits, until it is fetched or no longer wanted.
final class WaiterOutbox: Sendable {
  /// Where the outcome of a ticket goes.
  enum Addressee {
    /// To the thread that drains the box, once.
    case drain
    /// To the thread that drains the box, each time.
    case drainAlways
    /// A thread that sits and waits for it.
    case slot(WaiterSlot)
  }

  /// Readable while there are outcomes.
  let signal: WaiterSignal
  private let hasMail = Atomic(false)
  private let state = Mutex(State())
  /// Called, on whatever thread, when the box has been empty and is no longer.
  private let notify: @Sendable () -> Void

  private struct State {
    var addressees: [Ticket: Addressee] = [:]
    var outcomes: [(Ticket, Outcome)] = []
  }

  init(notify: @escaping @Sendable () -> Void) throws(WaiterFailure) {
    self.notify = notify
    signal = try WaiterSignal()
  }

  /// Whether there are outcomes to drain; a single relaxed load.
  var isFull: Bool { hasMail.load(ordering: .relaxed) }

  func expect(_ ticket: Ticket, for addressee: Addressee) {
    state.withLock { $0.addressees[ticket] = addressee }
  }

  /// Makes sure that no outcome of a ticket is handed out any more.
  func forget(_ ticket: Ticket) {
    state.withLock { $0.addressees[ticket] = nil }
  }

  /// Takes an outcome in, or drops it where nothing waits for it any more.
  func deliver(_ outcome: Outcome, to ticket: Ticket) {
    let slot: WaiterSlot? = state.withLock { state in
      switch state.addressees[ticket] {
      case nil: return nil
      case .slot(let slot):
        state.addressees[ticket] = nil
        return slot
      case .drain, .drainAlways:
        state.outcomes.append((ticket, outcome))
        // Raised inside the lock: a drain cannot take the outcome and miss the flag.
        if !hasMail.exchange(true, ordering: .relaxed) {
          signal.raise()
          notify()
        }
        return nil
      }
    }
    slot?.fill(outcome)
  }

  /// Hands out what is there, oldest first; `body` may begin, cancel and forget as it likes.
  func drain(_ body: (Ticket, Outcome) -> Void) {
    let outcomes = state.withLock { state in
      signal.lower()
      hasMail.store(false, ordering: .relaxed)
      defer { state.outcomes = [] }
      return state.outcomes
    }
    for (ticket, outcome) in outcomes {
      let isWanted = state.withLock { state in
        switch state.addressees[ticket] {
        case .drain:
          state.addressees[ticket] = nil
          return true
        case .drainAlways: return true
        case .slot, nil: return false
        }
      }
      if isWanted { body(ticket, outcome) }
    }
  }
}

/// An eventfd: a flag that others can poll. eventfd(2).
final class WaiterSignal: Sendable {
  let descriptor: Int32

  /// Fails with the errno of eventfd(2).
  init() throws(WaiterFailure) {
    descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    guard descriptor >= 0 else { throw WaiterFailure(call: "eventfd", errno: errno) }
  }

  deinit { close(descriptor) }

  /// Makes it readable. It can only fail when its counter is full, and then it is readable.
  func raise() { eventfd_write(descriptor, 1) }

  /// Makes it unreadable. It can only fail when it is that already.
  func lower() {
    var count: eventfd_t = 0
    eventfd_read(descriptor, &count)
  }
}

/// A place for one outcome, where a thread can sit and wait for it.
final class WaiterSlot: Sendable {
  private let content = Mutex<Outcome?>(nil)
  private let isFilled = SemaphoreBox()

  var outcome: Outcome? { content.withLock { $0 } }

  func fill(_ outcome: Outcome) {
    content.withLock { $0 = outcome }
    isFilled.post()
  }

  /// Blocks until it is filled; a signal does not end that.
  func wait() -> Outcome {
    while true {
      if let outcome { return outcome }
      isFilled.wait()
    }
  }
}
