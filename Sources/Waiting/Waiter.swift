// Invariants: no thread exists before `start`, or before the first wait after `startWhenNeeded`. The loop
// is run by the waiter's thread from then until `stop`, and otherwise by the thread that calls
// `runInPlace`; never by both.

import Glibc
import Synchronization
import System

/// Does all the waiting of the host, on one thread of its own: timers, descriptors, children, HTTP.
///
/// A wait is begun with a ticket, and its outcome is drained with that ticket, both on the VM's
/// thread; `eventDescriptor` tells a poll(2) there that outcomes have come. Any number of waits go
/// on at once, at a few hundred bytes each, and no thread is held by any of them.
///
/// Until `start` nothing goes on but what `runInPlace` does on the calling thread, so that the process
/// may fork to go to the background. After `stop` it is the same again.
public final class Waiter: Sendable {
  private let inbox: WaiterInbox
  private let outbox: WaiterOutbox
  private let thread = Mutex<pthread_t?>(nil)
  private let startsWhenNeeded = Atomic(false)
  private let inPlaceTickets = Atomic<UInt64>(1 << 63)
  // Unsafe for the compiler only: the invariant above says which thread may touch it when.
  private nonisolated(unsafe) let loop: WaiterLoop

  /// Makes the descriptors that it needs, but no thread.
  ///
  /// `notify` is called, on whatever thread, when there are outcomes after there were none: for a VM's
  /// thread that sleeps elsewhere than in a poll(2) of `eventDescriptor`.
  ///
  /// Fails where the process may have no more descriptors. eventfd(2), epoll_create1(2).
  package init(notify: @escaping @Sendable () -> Void = {}) throws(WaiterFailure) {
    inbox = try WaiterInbox()
    outbox = try WaiterOutbox(notify: notify)
    loop = try WaiterLoop(inbox: inbox, outbox: outbox)
  }

  deinit { stop() }

  /// Readable while there are outcomes to drain.
  public var eventDescriptor: Int32 { outbox.signal.descriptor }

  /// Whether there are outcomes to drain: one relaxed load, to be asked between two requests.
  public var hasOutcomes: Bool { outbox.isFull }

  /// Starts the thread; from then on waits go on by themselves. Does nothing where it runs already.
  ///
  /// Fails where the system refuses a thread. pthread_create(3).
  package func start() throws(WaiterFailure) {
    try thread.withLock { thread throws(WaiterFailure) in
      guard thread == nil else { return }
      loop.mayStartThreads = true
      var new = pthread_t()
      let code = startThread(isDetached: false, thread: &new) { [loop = Unchecked(loop)] in
        loop.value.run()
      }
      guard code == 0 else {
        loop.mayStartThreads = false
        throw WaiterFailure(call: "pthread_create", errno: code)
      }
      thread = new
    }
  }

  /// Lets the thread be started by the first wait that is begun: until then the process has one
  /// thread, whose system calls cost less.
  ///
  /// A wait for which it cannot be started has the outcome `.error`.
  package func startWhenNeeded() { startsWhenNeeded.store(true, ordering: .relaxed) }

  /// Ends the thread and waits for its end; does nothing where none runs.
  ///
  /// Waits that are not over stay as they are, and go on with the next `start` or `runInPlace`.
  package func stop() {
    startsWhenNeeded.store(false, ordering: .relaxed)
    thread.withLock { thread in
      guard let running = thread else { return }
      inbox.post(.stop)
      pthread_join(running, nil)
      loop.mayStartThreads = false
      thread = nil
    }
  }

  /// Begins a wait, whose outcome will be drained with `ticket`.
  ///
  /// What cannot be waited for has its outcome too: `.error`, or `.failed`.
  package func begin(_ wait: Wait, _ ticket: Ticket) {
    outbox.expect(ticket, for: .drain)
    post(.begin(wait, ticket), ticket)
  }

  /// Asks something of the loop, whose thread is started if it is time.
  private func post(_ message: WaiterInbox.Message, _ ticket: Ticket) {
    if startsWhenNeeded.load(ordering: .relaxed) {
      do throws(WaiterFailure) { try start() } catch {
        return outbox.deliver(.error(error.errno), to: ticket)
      }
      startsWhenNeeded.store(false, ordering: .relaxed)
    }
    inbox.post(message)
  }

  /// Ends a wait, and makes sure that no outcome of it is drained any more, not even by the `drain`
  /// that calls this.
  ///
  /// A descriptor that was waited for may be closed at once. A child is not reaped, a function runs
  /// to its end, a request is broken off.
  package func cancel(_ ticket: Ticket) {
    outbox.forget(ticket)
    inbox.post(.cancel(ticket))
  }

  /// Ends a wait with an outcome that the caller knows; does nothing where it is over already.
  package func complete(_ ticket: Ticket, _ outcome: Outcome) {
    outbox.deliver(outcome, to: ticket)
    inbox.post(.cancel(ticket))
  }

  /// Hands every outcome that has come to `body`, oldest first; to be called on the VM's thread.
  ///
  /// `body` may begin and cancel waits; what they come to is left to the next call.
  package func drain(_ body: (Ticket, Outcome) -> Void) { outbox.drain(body) }

  /// Reports `.ready` when a descriptor becomes readable, and again after each `rearm`; an `.error`
  /// instead is the last report. `cancel` ends it; the descriptor may be closed at once.
  package func watch(_ descriptor: Int32, _ ticket: Ticket) {
    outbox.expect(ticket, for: .drainAlways)
    post(.watch(descriptor, ticket), ticket)
  }

  /// Makes a watch report once more, at once where its descriptor is still readable.
  package func rearm(_ ticket: Ticket) { inbox.post(.rearm(ticket)) }

  /// Blocks the calling thread until one wait is over.
  ///
  /// A ticket is only needed for the events of a streaming request, which share it. Where no thread
  /// has been started, the caller's does the waiting, and moves on whatever else has been begun.
  package func runInPlace(_ wait: Wait, _ ticket: Ticket? = nil) -> Outcome {
    let ticket =
      ticket ?? Ticket(inPlaceTickets.wrappingAdd(1, ordering: .relaxed).newValue)
    let slot = WaiterSlot()
    outbox.expect(ticket, for: .slot(slot))
    post(.begin(wait, ticket), ticket)
    if thread.withLock({ $0 != nil }) { return slot.wait() }
    while true {
      if let outcome = slot.outcome { return outcome }
      loop.turn()
    }
  }
}

/// The waiter could not be had, or a descriptor could not be asked: which call failed, and how.
package struct WaiterFailure: Error, Equatable {
  /// The C function.
  package var call: String
  /// What it left in errno.
  package var errno: Int32
}

/// Carries the loop to its thread.
///
/// @unchecked: starting a thread hands the loop over to it, which the compiler cannot see.
private struct Unchecked<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
