// Waking the VM's thread, which sleeps in a read(2) of /dev/fuse.
//
// A blocking read is one system call a request; a poll(2) before it would be two. What wakes it is a
// signal, and so that none is missed which comes just before the read, whoever wakes first makes the
// descriptor non-blocking: the read then answers EAGAIN instead of sleeping. Both can be done in a
// signal handler and on any thread.
//
// Invariant: the sleeper's order is: clear O_NONBLOCK, then look at what has come, then read. So a wake-up
// that comes at any moment either is seen by the look, or meets a descriptor that does not block.

import Glibc
import Synchronization

/// What a signal handler may touch: plain atomics, made before any handler is installed.
enum Wakeup {
  /// Signals that have come and were not looked at yet, as bits.
  private static let signals = Atomic<UInt64>(0)
  /// Something has come: look before sleeping.
  private static let isDue = Atomic<Bool>(false)
  private static let descriptor = Atomic<Int32>(-1)
  private static let thread = Atomic<UInt>(0)

  /// Sent to the VM's thread to break its sleep; ignored by default, and rarely used for anything.
  private static let alarm = SIGURG

  /// Installs handlers: `caught` are kept for `take`, SIGPIPE becomes an EPIPE.
  ///
  /// Handlers, unlike ignored or blocked signals, are not inherited by the programs that a script
  /// starts.
  static func install(catching caught: [Int32]) {
    isDue.store(false, ordering: .relaxed)
    signals.store(0, ordering: .relaxed)
    thread.store(UInt(pthread_self()), ordering: .releasing)
    for number in caught {
      handle(number) { signal in
        Wakeup.signals.bitwiseOr(1 << UInt64(signal), ordering: .relaxed)
        Wakeup.wake()
      }
    }
    handle(alarm) { _ in }
    handle(SIGPIPE) { _ in }
  }

  /// Gives signals their default meaning back.
  static func uninstall(_ numbers: [Int32]) {
    for number in numbers { signal(number, SIG_DFL) }
  }

  private static func handle(_ number: Int32, _ handler: @convention(c) @escaping (Int32) -> Void) {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = handler
    // No SA_RESTART: a read that sleeps is to end.
    sigaction(number, &action, nil)
  }

  /// The descriptor that the VM's thread will sleep on; -1 for none.
  static func watch(_ number: Int32) { descriptor.store(number, ordering: .sequentiallyConsistent) }

  /// Lets the VM's thread look at what has come; from any thread, or a signal handler.
  static func wake() {
    isDue.store(true, ordering: .sequentiallyConsistent)
    let number = descriptor.load(ordering: .sequentiallyConsistent)
    if number >= 0 { setBlocking(false, number) }
    // Before `install` nobody sleeps.
    let sleeper = pthread_t(thread.load(ordering: .acquiring))
    guard sleeper != 0 else { return }
    if pthread_equal(sleeper, pthread_self()) == 0 { pthread_kill(sleeper, alarm) }
  }

  /// Whether something has come since the last look; the look is over with this.
  static func takeDue() -> Bool {
    guard isDue.load(ordering: .relaxed) else { return false }
    return isDue.exchange(false, ordering: .sequentiallyConsistent)
  }

  /// Whether something has come, without looking.
  static var hasCome: Bool { isDue.load(ordering: .sequentiallyConsistent) }

  /// The signals that have come since the last time, lowest first.
  static func takeSignals() -> [Int32] {
    let bits = signals.exchange(0, ordering: .sequentiallyConsistent)
    return (1..<64).filter { bits & (1 << UInt64($0)) != 0 }.map { Int32($0) }
  }

  /// Sets or clears O_NONBLOCK (fcntl(2), which a signal handler may call).
  static func setBlocking(_ blocks: Bool, _ number: Int32) {
    let flags = fcntl(number, F_GETFL)
    if flags < 0 { return }
    let wanted = blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK
    if wanted != flags { _ = fcntl(number, F_SETFL, wanted) }
  }
}
