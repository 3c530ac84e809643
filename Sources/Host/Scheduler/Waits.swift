// What is waited for: by tasks, which are parked meanwhile, and by the host's own parts.
//
// Invariant: each wait has a ticket of its own, which ends with it: an outcome that comes late finds no task.

import Ruby
import System
import Waiting

/// Every wait that goes on, by its ticket.
final class Waits {
  /// Does the waiting, on a thread of its own.
  let waiter: Waiter
  private var parked: [Ticket: ScriptTask] = [:]
  /// Called with outcomes that are no task's.
  private var observers: [Ticket: (Outcome) -> Void] = [:]
  private var lastTicket: UInt64 = 0
  /// How many tasks were parked so far.
  private(set) var parkings = 0

  init(_ waiter: Waiter) { self.waiter = waiter }

  /// The next ticket.
  func makeTicket() -> Ticket {
    lastTicket += 1
    return Ticket(lastTicket)
  }

  /// The ticket of a number that Ruby was told before, and with which nothing waits by now; nil for any
  /// other.
  func ticket(_ number: Int?) -> Ticket? {
    guard let number = number.flatMap({ UInt64(exactly: $0) }), number <= lastTicket else {
      return nil
    }
    let ticket = Ticket(number)
    return parked[ticket] == nil && observers[ticket] == nil ? ticket : nil
  }

  // MARK: Tasks

  /// The tasks that wait.
  var tasks: some Collection<ScriptTask> { parked.values }

  /// Parks a task until its wait is over.
  func park(_ task: ScriptTask, for wait: Wait, _ ticket: Ticket) {
    _ = cancel(task)
    task.ticket = ticket
    task.waitsFor = wait
    task.waitsSince = monotonicNanoseconds()
    parked[ticket] = task
    parkings += 1
    if !task.wasInterrupted { task.request?.onInterrupt(ticket.rawValue) }
    waiter.begin(wait, ticket)
  }

  /// The task that waits with a ticket; nil where its wait is over.
  func task(_ ticket: Ticket) -> ScriptTask? { parked[ticket] }

  /// Ends the wait of a task, which no outcome reaches any more; false where it does not wait.
  func cancel(_ task: ScriptTask) -> Bool {
    guard let ticket = task.ticket, parked[ticket] === task else { return false }
    waiter.cancel(ticket)
    forget(task, ticket)
    return true
  }

  private func forget(_ task: ScriptTask, _ ticket: Ticket) {
    parked[ticket] = nil
    task.ticket = nil
    task.waitsFor = nil
  }

  /// Hands over every outcome that has come: a task's to `resume`, any other to its observer.
  func deliver(_ resume: (ScriptTask, Outcome) -> Void) {
    waiter.drain { ticket, outcome in
      if let task = parked[ticket] {
        forget(task, ticket)
        resume(task, outcome)
      } else {
        observers[ticket]?(outcome)
      }
    }
  }

  // MARK: Observers

  /// Calls `body` each time that a descriptor becomes readable, until `end` is called with the ticket
  /// that it returns.
  func observe(_ descriptor: Int32, _ body: @escaping () -> Void) -> Ticket {
    let ticket = makeTicket()
    observers[ticket] = { [unowned self] _ in
      body()
      if observers[ticket] != nil { waiter.rearm(ticket) }
    }
    waiter.watch(descriptor, ticket)
    return ticket
  }

  /// Calls `body` once a descriptor has room for more to be written.
  func whenWritable(_ descriptor: Int32, _ body: @escaping () -> Void) -> Ticket {
    once(.descriptors([WatchedDescriptor(descriptor, .writable)], timeout: nil), body)
  }

  /// Calls `body` after so many seconds, while the mount lives.
  func after(_ seconds: Double, _ body: @escaping () -> Void) {
    _ = once(.timer(seconds: seconds), body)
  }

  private func once(_ wait: Wait, _ body: @escaping () -> Void) -> Ticket {
    let ticket = makeTicket()
    observers[ticket] = { [unowned self] _ in
      observers[ticket] = nil
      body()
    }
    waiter.begin(wait, ticket)
    return ticket
  }

  /// Ends what `observe` or `whenWritable` began; the descriptor may be closed at once.
  func end(_ ticket: Ticket) {
    guard observers.removeValue(forKey: ticket) != nil else { return }
    waiter.cancel(ticket)
  }
}
