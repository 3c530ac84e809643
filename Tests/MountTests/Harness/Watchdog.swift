import Glibc
import Synchronization

/// Kills programs that outlive their deadline, from a thread of its own: a system call on a mount that
/// is wedged returns once the process that serves it is dead, so a test fails instead of hanging.
enum Watchdog {
  private static let deadlines = Mutex<[pid_t: Double]>([:])
  private static let thread: pthread_t = {
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { _ in
        while true {
          Watchdog.killOverdue()
          usleep(100_000)
        }
      }, nil)
    return thread
  }()

  /// Kills the group of `pid` after so many seconds, unless it is forgotten before.
  static func watch(_ pid: pid_t, seconds: Double) {
    _ = thread
    deadlines.withLock { $0[pid] = Poll.now + seconds }
  }

  static func forget(_ pid: pid_t) {
    _ = deadlines.withLock { $0.removeValue(forKey: pid) }
  }

  private static func killOverdue() {
    let now = Poll.now
    deadlines.withLock { deadlines in
      for (pid, deadline) in deadlines where deadline < now {
        kill(-pid, SIGKILL)
        deadlines[pid] = nil
      }
    }
  }
}

/// Waiting for something that becomes true.
enum Poll {
  /// Between two looks, in microseconds.
  static let interval: useconds_t = 2000

  /// Seconds on a clock that nobody sets.
  static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// Whether something becomes true within so many seconds; looks again and again.
func eventually(within seconds: Double = 10, _ condition: () throws -> Bool) rethrows -> Bool {
  let deadline = Poll.now + seconds
  while Poll.now < deadline {
    if try condition() { return true }
    usleep(Poll.interval)
  }
  return try condition()
}

/// What a system call failed with.
struct SystemError: Error, Equatable, CustomStringConvertible {
  let number: Int32
  init(_ number: Int32 = errno) { self.number = number }
  var description: String { String(cString: strerror(number)) }
}
