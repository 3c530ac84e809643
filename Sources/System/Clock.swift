import CLinux
import Glibc

/// The time since some moment in the past, which cannot be set, in nanoseconds. clock_gettime(2).
public func monotonicNanoseconds() -> UInt64 {
  UInt64(bitPattern: clinux_clock(CLOCK_MONOTONIC))
}
