// Threads, and what two of them share.

package import Glibc
import Synchronization

/// A thread to be joined later, or one that is left to itself.
///
/// All signals are blocked in it, so that they reach the thread which expects them, and so that a
/// connection closed by the other side is an error to libcurl, not a SIGPIPE. pthread_create(3).
/// Returns 0 or an errno; `thread` is only of use where the thread is not detached.
package func startThread(
  isDetached: Bool, thread: inout pthread_t, _ body: @escaping @Sendable () -> Void
) -> Int32 {
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  let state = isDetached ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE
  pthread_attr_setdetachstate(&attributes, Int32(state))

  // A new thread inherits the mask of its maker: thus there is no moment at which it has another.
  var all = sigset_t()
  var before = sigset_t()
  sigfillset(&all)
  pthread_sigmask(SIG_BLOCK, &all, &before)
  defer { pthread_sigmask(SIG_SETMASK, &before, nil) }

  let box = Unmanaged.passRetained(ThreadBody(body))
  let code = pthread_create(
    &thread, &attributes,
    { pointer in
      guard let pointer else { return nil }
      Unmanaged<ThreadBody>.fromOpaque(pointer).takeRetainedValue().run()
      return nil
    }, box.toOpaque())
  if code != 0 { box.release() }
  return code
}

/// A closure as an object, for the one pointer that pthread_create passes on.
private final class ThreadBody: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// A POSIX semaphore at one place in memory. sem_init(3).
///
/// `@unchecked Sendable`: a semaphore is there to be used by several threads.
package final class SemaphoreBox: @unchecked Sendable {
  private let semaphore: UnsafeMutablePointer<sem_t>

  package init() {
    semaphore = .allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  package func post() { sem_post(semaphore) }
  package func wait() { while sem_wait(semaphore) != 0 && errno == EINTR {} }
}

/// A number that two threads share.
package final class Atomic1: Sendable {
  private let value: Atomic<Int32>
  package init(_ value: Int32) { self.value = Atomic(value) }
  package func store(_ new: Int32) { value.store(new, ordering: .releasing) }
  package func load() -> Int32 { value.load(ordering: .acquiring) }
}
