// Telling the kernel to forget, from a thread of its own.
//
// Invariant: no notification is sent by the thread that answers requests. The kernel takes locks for
// it that it may hold until a request is answered, so that thread would wait for itself.

import FUSE
import Glibc
import Synchronization
import System

/// A queue of notifications and the thread that sends them, which is made with the first of them.
final class NotifierThread: Sendable {
  typealias Job = @Sendable () -> Void

  private struct State {
    var jobs: [Job] = []
    var thread: pthread_t?
    var isStopping = false
  }
  private let state = Mutex(State())
  private let signal: SemaphoreBox

  init() { signal = SemaphoreBox() }

  /// Sends a notification some time soon; after `stop` it is dropped.
  func post(_ job: @escaping Job) {
    state.withLock { state in
      guard !state.isStopping else { return }
      state.jobs.append(job)
      if state.thread == nil {
        var thread = pthread_t()
        if startThread(isDetached: false, thread: &thread, { [self] in run() }) == 0 {
          state.thread = thread
        }
      }
    }
    signal.post()
  }

  /// Ends the thread, after the notification that is under way.
  func stop() {
    let thread = state.withLock { state in
      state.isStopping = true
      state.jobs = []
      return state.thread.take()
    }
    signal.post()
    if let thread { pthread_join(thread, nil) }
  }

  private func run() {
    while true {
      signal.wait()
      let (jobs, isStopping) = state.withLock { state in
        defer { state.jobs = [] }
        return (state.jobs, state.isStopping)
      }
      for job in jobs { job() }
      if isStopping { return }
    }
  }
}
