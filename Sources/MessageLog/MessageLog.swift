// A caller that writes a message down waits until it is on disk; no other caller does.
//
// Invariant: one thread at a time works on a log; it begins with the first thing that is to be done, and
// ends when nothing is left. What came meanwhile is written down together, with one fdatasync.

import Glibc
import Synchronization
import System

/// Messages that wait for their delivery, on disk: each is there when it has been taken in, and until it
/// has been delivered, whenever the process or the machine stops. Several processes may have one log.
package final class MessageLog: Sendable {
  /// How many messages there are, as far as this process knows.
  package struct Status: Sendable, Equatable {
    package var waiting = 0
    package var delivered: UInt64 = 0
    package var dead = 0
  }

  /// A message as it was taken in.
  package struct Message: Sendable, Equatable {
    package let id: MessageID
    package let isJSON: Bool
    package let bytes: [UInt8]
  }

  /// What is to be delivered next.
  package enum Next: Sendable, Equatable {
    case message(Message)
    case none
    /// Another process delivers.
    case elsewhere
  }

  /// A message that failed for good, with what its last attempt said.
  package struct Letter: Sendable, Equatable {
    package let message: Message
    package let reason: [UInt8]
  }

  /// What can be done with a log. All of it may take as long as the disk does.
  package enum Operation: Sendable {
    /// Opens it, or begins it: `.done`. All that come before do this first.
    case open
    /// Takes a message in, where fewer than `limit` wait: `.done`.
    case put([UInt8], isJSON: Bool, limit: Int)
    /// Asks for the oldest message: `.next`.
    case next
    /// Notes that a message was delivered: `.done`, also where that was noted before.
    case delivered(MessageID)
    /// Makes a message a dead letter: `.done`.
    case bury(MessageID, reason: [UInt8])
    /// Lets dead letters wait again, nil stands for all: `.count`.
    case redeliver([MessageID]?)
    /// Asks for the dead letters: `.letters`.
    case letters
    /// Takes in what other processes have written: `.done`.
    case refresh
    /// Lets another process deliver: `.done`.
    case release
  }

  /// What came of an operation.
  package enum Result: Sendable {
    case done
    case next(Next)
    case count(Int)
    case letters([Letter])
    case failed(LogFailure)
  }

  private struct Job: Sendable {
    let operation: Operation
    let done: @Sendable (Result) -> Void
  }

  private struct Queue {
    var jobs: [Job] = []
    var isServed = false
  }

  private let path: String
  private let queue = Mutex(Queue())
  private let state = Mutex<LogState?>(nil)
  private let known = Mutex((status: Status(), notes: [String]()))
  /// Readable when another process may have written, until something was done with the log; -1 where the
  /// system does not tell. inotify(7)
  package let changes: Int32

  /// Opens nothing yet.
  package init(path: String) {
    self.path = path
    changes = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
  }

  deinit { if changes >= 0 { close(changes) } }

  /// How many messages there are, as far as is known without asking.
  package var status: Status { known.withLock { $0.status } }

  /// What is to be reported, once.
  package func takeNotes() -> [String] {
    known.withLock { known in
      defer { known.notes = [] }
      return known.notes
    }
  }

  /// Does something, and calls `done` with what came of it, on whatever thread.
  ///
  /// Where no thread may be started, or the system refuses one, the calling thread does the work.
  package func perform(
    _ operation: Operation, mayStartThreads: Bool, done: @escaping @Sendable (Result) -> Void
  ) {
    let isFirst = queue.withLock { queue in
      queue.jobs.append(Job(operation: operation, done: done))
      defer { queue.isServed = true }
      return !queue.isServed
    }
    guard isFirst else { return }
    var unused = pthread_t()
    if !mayStartThreads || startThread(isDetached: true, thread: &unused, { self.serve() }) != 0 {
      serve()
    }
  }

  private func serve() {
    while true {
      let jobs = queue.withLock { queue in
        defer { queue.jobs = [] }
        if queue.jobs.isEmpty { queue.isServed = false }
        return queue.jobs
      }
      if jobs.isEmpty { return }
      var rest = jobs[...]
      while let first = rest.first {
        // Those that are written down come together.
        let changes = rest.prefix(while: \.operation.isChange)
        let group = changes.isEmpty ? rest.prefix(1) : changes
        rest = rest.dropFirst(group.count)
        let results = state.withLock { state in
          let results =
            changes.isEmpty
            ? [self.result(of: first.operation, &state)] : self.write(changes, &state)
          self.publish(&state)
          return results
        }
        for (job, result) in zip(group, results) { job.done(result) }
      }
    }
  }

  private func publish(_ state: inout LogState?) {
    guard let status = state?.status else { return }
    let notes = state?.notes ?? []
    state?.notes = []
    known.withLock {
      $0.status = status
      $0.notes += notes
    }
  }

  private func write(_ jobs: ArraySlice<Job>, _ state: inout LogState?) -> [Result] {
    do {
      let failures = try opened(&state) { $0.write(jobs.compactMap(\.operation.change)) }
      return failures.map { $0.map { .failed($0) } ?? .done }
    } catch {
      return jobs.map { _ in .failed(error) }
    }
  }

  private func result(of operation: Operation, _ state: inout LogState?) -> Result {
    do {
      return try opened(&state) { state throws(LogFailure) in
        switch operation {
        case .next: return .next(try state.next())
        case .bury(let id, let reason): try state.bury(id, reason: reason)
        case .redeliver(let ids): return .count(try state.redeliver(ids))
        case .letters: return .letters(try state.letters())
        case .refresh: try state.refresh()
        case .release: state.release()
        case .open, .put, .delivered: break
        }
        return .done
      }
    } catch {
      return .failed(error)
    }
  }

  private func opened<R>(
    _ state: inout LogState?, _ body: (inout LogState) throws(LogFailure) -> R
  ) throws(LogFailure) -> R {
    var open = if let state { state } else { try LogState(path, changes: changes) }
    // One owner at a time: what is changed is not copied.
    state = nil
    defer { state = open }
    return try body(&open)
  }
}

extension MessageLog.Operation {
  /// Whether it is only written down.
  fileprivate var isChange: Bool {
    switch self {
    case .put, .delivered: true
    default: false
    }
  }

  /// What is to be written down; nil for everything else.
  fileprivate var change: LogState.Change? {
    switch self {
    case .put(let bytes, let isJSON, let limit):
      let record = Record(kind: isJSON ? .json : .bytes, id: .random(), payload: bytes)
      return .put(record, limit: limit)
    case .delivered(let id): return .delivered(id)
    default: return nil
    }
  }
}
