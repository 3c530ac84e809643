// Notifications: telling the kernel that what it has cached is no longer so.
//
// Invariant: none is sent by the thread that replies to requests, nor by one that has to send those about
// another directory. The kernel takes the lock of the directory that a name is in, and a request in that
// directory may hold it until it is replied to: so each directory has a queue of its own, and a queue that
// is held up holds up no other.

import FUSE
import Glibc
import Synchronization
import System
import Waiting

/// Sends notifications from threads of its own, those about one directory in their order.
final class Notifications: Sendable {
  typealias Job = @Sendable (Notifier) -> Void

  private struct State {
    /// The session's; nil while there is none.
    var notifier: Notifier?
    /// What is still to be sent, by directory.
    var queues: [NodeID: [Job]] = [:]
    /// The directories that a thread is at work for, and those that wait for one.
    var served: Set<NodeID> = []
    var waiting: [NodeID] = []
  }
  private let state = Mutex(State())

  /// How many threads there may be: more would be of use only where so many directories are held up.
  private static let mostThreads = 64

  /// Sends notifications of a session from now on.
  func begin(_ notifier: Notifier) { state.withLock { $0.notifier = notifier } }

  /// Sends no more, and forgets what has not been sent; returns false where one is still under way after
  /// so many nanoseconds.
  func stop(within patience: UInt64) -> Bool {
    state.withLock { state in
      state.notifier = nil
      state.queues = [:]
      state.waiting = []
    }
    let deadline = monotonicNanoseconds() + patience
    while state.withLock({ !$0.served.isEmpty }) {
      if monotonicNanoseconds() >= deadline { return false }
      usleep(1000)
    }
    return true
  }

  /// Sends a notification about a directory, or something in it, some time soon; without a session it is
  /// dropped. To be called on the VM's thread.
  func post(about directory: NodeID, _ job: @escaping Job) {
    let starts = state.withLock { state in
      guard state.notifier != nil else { return false }
      state.queues[directory, default: []].append(job)
      if state.served.contains(directory) || state.queues[directory]?.count != 1 { return false }
      guard state.served.count < Notifications.mostThreads else {
        state.waiting.append(directory)
        return false
      }
      state.served.insert(directory)
      return true
    }
    guard starts else { return }
    Wakeup.startGuard()
    var thread = pthread_t()
    if startThread(isDetached: true, thread: &thread, { [self] in serve(directory) }) == 0 {
      return
    }
    // Without a thread the kernel believes what it has cached until its time is over.
    state.withLock { state in
      state.served.remove(directory)
      state.queues[directory] = nil
    }
  }

  /// Sends what there is about a directory, and then about others, until nothing is left.
  private func serve(_ first: NodeID) {
    var directory = first
    while true {
      let done = directory
      let work = state.withLock { state -> (NodeID, Notifier, [Job])? in
        var current = done
        while let notifier = state.notifier {
          if let jobs = state.queues.removeValue(forKey: current) {
            return (current, notifier, jobs)
          }
          state.served.remove(current)
          guard let next = state.waiting.popLast() else { return nil }
          current = next
          state.served.insert(next)
        }
        state.served.remove(current)
        return nil
      }
      guard let (next, notifier, jobs) = work else { return }
      directory = next
      for job in jobs { job(notifier) }
    }
  }
}
