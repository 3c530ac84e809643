// The trace: one record an operation, told when it ends. Off, it costs one look at a flag.

import FUSE
import Glibc
import Ruby

/// What is measured of a turn while somebody looks. Times are nanoseconds.
struct TraceRecord {
  let started = TraceRecord.now()
  /// Time spent in Ruby.
  var ruby: UInt64 = 0
  var path: [UInt8]?
  var detail = ""

  /// The monotonic clock, in nanoseconds (clock_gettime(2), CLOCK_MONOTONIC).
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

/// Whom operations are told to.
struct Tracer {
  var isOn = false
}

extension Host {
  /// Tells of an operation that ends, to whoever looks.
  func trace(_ turn: Turn, _ error: Errno?) {
    guard turn.record != nil else { return }
  }
}
