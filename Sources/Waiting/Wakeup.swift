// Waking the VM's thread, which sleeps in a read(2) of /dev/fuse.
//
// A blocking read is one system call a request; a poll(2) before it would be two. What wakes it is a
// signal, and so that none is missed which comes just before the read, the descriptor is made non-blocking
// before the signal is sent: the read then fails with EAGAIN instead of sleeping. Both can be done in a
// signal handler and on any thread.
//
// Invariant: the sleeper's order is: clear O_NONBLOCK, then look at what has come, then read. So a wake-up
// that comes at any moment either is seen by the look, or meets a descriptor that does not block.

import CLinux
import Glibc
import Synchronization
import System

/// What a signal handler may touch: plain atomics, made before any handler is installed.
public enum Wakeup {
  /// Signals that have come and were not looked at yet, as bits.
  private static let signals = Atomic<UInt64>(0)
  /// Something has come: look before sleeping.
  private static let isDue = Atomic<Bool>(false)
  private static let descriptor = Atomic<Int32>(-1)
  /// The mount point, as a C string, for when Ruby holds the mount up; 0 for none.
  private static let mountPoint = Atomic<UInt>(0)
  /// The number of its connection; -1 for none.
  private static let connection = Atomic<Int64>(-1)
  /// The process that guards it; 0 for none.
  private static let guardProcess = Atomic<Int32>(0)
  /// When the first of the signals came that were not looked at yet, in nanoseconds.
  private static let firstCame = Atomic<UInt64>(0)
  /// How long a signal may go unheeded before the next one does not wait any more, in nanoseconds.
  private static let patience: UInt64 = 1_000_000_000
  private static let thread = Atomic<UInt>(0)
  /// Something has happened at a descriptor of `callFor`.
  private static let isCalled = Atomic<Bool>(false)

  /// Sent to the VM's thread to break its sleep; ignored by default, and rarely used for anything.
  private static let alarm = SIGURG

  /// Installs handlers: `caught` are kept for `take`, SIGPIPE becomes an EPIPE.
  ///
  /// Handlers, unlike ignored or blocked signals, are not inherited by the programs that a script
  /// starts.
  package static func install(catching caught: [Int32]) {
    isDue.store(false, ordering: .relaxed)
    signals.store(0, ordering: .relaxed)
    thread.store(UInt(pthread_self()), ordering: .releasing)
    for number in caught {
      handle(number) { signal in
        Wakeup.endIfHeldUp()
        Wakeup.signals.bitwiseOr(1 << UInt64(signal), ordering: .relaxed)
        Wakeup.wake()
      }
    }
    handle(alarm) { _ in }
    handle(SIGIO) { _ in
      Wakeup.isCalled.store(true, ordering: .relaxed)
      Wakeup.wake()
    }
    handle(SIGPIPE) { _ in }
  }

  /// Whether a signal is ignored, as nohup(1) lets a program begin.
  package static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0 else { return false }
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
      == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  /// Names what is to be taken away when Ruby comes to no end and signals come again. With an empty path
  /// nothing is, and with nil the process does not end then.
  package static func guardMount(_ path: String?, connection number: UInt32? = nil) {
    connection.store(number.map(Int64.init) ?? -1, ordering: .sequentiallyConsistent)
    let copy = path.flatMap { strdup(RawText.cString($0)) }
    let old = mountPoint.exchange(UInt(bitPattern: copy), ordering: .sequentiallyConsistent)
    // A handler may be reading it on this thread only, and this thread is here.
    free(UnsafeMutablePointer<CChar>(bitPattern: old))
  }

  /// Starts a process that aborts the connection when this one is killed, unless there is one already; to
  /// be called on the VM's thread, before anything that may be held up in the kernel.
  ///
  /// Without it, as where there may be no more processes, everything is as it is, until a kill(1).
  package static func startGuard() {
    let number = connection.load(ordering: .relaxed)
    guard number >= 0, guardProcess.load(ordering: .relaxed) == 0 else { return }
    let process = clinux_start_guard(UInt32(truncatingIfNeeded: number))
    if process > 0 { guardProcess.store(process, ordering: .sequentiallyConsistent) }
  }

  /// Ends that process, and lets nothing be taken away any more when signals come again. To be called once
  /// the mount is gone: its place and its number may be another one's then.
  package static func endGuard() {
    guardMount("")
    let process = guardProcess.exchange(0, ordering: .sequentiallyConsistent)
    if process > 0 { clinux_end_guard(process) }
  }

  /// In a handler: where an earlier signal has not been taken for a while, the thread is in Ruby code
  /// that waits for nothing, and nothing but the end of the process will stop it.
  private static func endIfHeldUp() {
    let now = UInt64(clinux_clock(CLOCK_MONOTONIC))
    guard signals.load(ordering: .relaxed) != 0 else {
      firstCame.store(now, ordering: .relaxed)
      return
    }
    let path = UnsafePointer<CChar>(bitPattern: mountPoint.load(ordering: .relaxed))
    guard let path, now - firstCame.load(ordering: .relaxed) > patience else { return }
    clinux_give_up(
      UnsafeRawPointer(heldUp.utf8Start).assumingMemoryBound(to: CChar.self),
      heldUp.utf8CodeUnitCount, path, connection.load(ordering: .relaxed),
      guardProcess.load(ordering: .relaxed))
  }
  private static let heldUp: StaticString =
    "fusuma: the script does not come to an end: unmounting without it\n"

  /// Gives signals their default meaning back.
  package static func uninstall(_ numbers: [Int32]) {
    for number in numbers { signal(number, SIG_DFL) }
  }

  private static func handle(_ number: Int32, _ handler: @convention(c) @escaping (Int32) -> Void) {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = handler
    // No SA_RESTART: a read that sleeps is to end.
    sigaction(number, &action, nil)
  }

  /// The descriptor that the VM's thread will sleep on; -1 for none.
  package static func watch(_ number: Int32) {
    descriptor.store(number, ordering: .sequentiallyConsistent)
  }

  /// Lets the VM's thread look at what has come; from any thread, or a signal handler.
  package static func wake() {
    isDue.store(true, ordering: .sequentiallyConsistent)
    let number = descriptor.load(ordering: .sequentiallyConsistent)
    if number >= 0 { setBlocking(false, number) }
    // Before `install` the thread does not sleep.
    let sleeper = pthread_t(thread.load(ordering: .acquiring))
    guard sleeper != 0 else { return }
    if pthread_equal(sleeper, pthread_self()) == 0 { pthread_kill(sleeper, alarm) }
  }

  /// Whether something has come since the last look; the look is over with this.
  public static func takeDue() -> Bool {
    guard isDue.load(ordering: .relaxed) else { return false }
    return isDue.exchange(false, ordering: .sequentiallyConsistent)
  }

  /// Lets the VM's thread be woken when a descriptor becomes ready, or ends that: what a thread that
  /// waits would do, without one. See O_ASYNC of fcntl(2).
  package static func callFor(_ number: Int32, _ isOn: Bool) {
    if isOn { _ = fcntl(number, F_SETOWN, getpid()) }
    Linux.set(O_ASYNC, isOn, of: number)
  }

  /// Whether a descriptor of `callFor` has become ready since the last time.
  package static func takeCall() -> Bool { isCalled.exchange(false, ordering: .relaxed) }

  /// Whether something has come, without looking.
  public static var hasCome: Bool { isDue.load(ordering: .sequentiallyConsistent) }

  /// The signals that have come since the last time, lowest first.
  package static func takeSignals() -> [Int32] {
    let bits = signals.exchange(0, ordering: .sequentiallyConsistent)
    return (1..<64).filter { bits & (1 << UInt64($0)) != 0 }.map { Int32($0) }
  }

  /// Lets reads of a descriptor wait, or not.
  public static func setBlocking(_ blocks: Bool, _ number: Int32) {
    Linux.set(O_NONBLOCK, !blocks, of: number)
  }
}
