import FUSE
import Glibc

/// What is measured of a turn while somebody looks. Times are in nanoseconds of the monotonic clock.
struct TraceRecord {
  /// What there is to say of an operation's arguments, in short.
  enum Detail {
    case none
    case number(Int)
    case octal(UInt32)
    /// So many bytes at an offset.
    case range(Int, Int64)
    /// Those of open(2).
    case flags(Int32)
    /// What a setattr changes.
    case changes(AttributeChanges)
    case text([UInt8])
  }

  let started = monotonicNanoseconds()
  /// Time spent in Ruby, and waiting.
  private(set) var ruby: UInt64 = 0
  private(set) var waiting: UInt64 = 0
  /// When the hook that it is at was called.
  private(set) var hookStarted: UInt64 = 0
  private var changed: UInt64 = 0
  /// When it was answered; 0 until then.
  private(set) var ended: UInt64 = 0
  /// The caller's name: it may be gone by the end.
  var command: [UInt8] = []
  var path: [UInt8]?
  var detail = Detail.none

  mutating func beginHook() { hookStarted = 0 }
  mutating func enterRuby() {
    changed = monotonicNanoseconds()
    if hookStarted == 0 { hookStarted = changed }
  }
  mutating func leaveRuby() { ruby += monotonicNanoseconds() - changed }
  mutating func park() { changed = monotonicNanoseconds() }
  mutating func end() { ended = monotonicNanoseconds() }
  mutating func resume() { waiting += monotonicNanoseconds() - changed }
}

/// One operation that is over, as it is shown.
struct TraceEvent {
  let operation: Operation
  let path: [UInt8]?
  let detail: TraceRecord.Detail
  let result: Result<Int, Errno>
  let caller: Context
  /// When it was answered, on the monotonic clock.
  let ended: UInt64
  /// Times in nanoseconds: from the request to the answer, and what of it Ruby ran and waited.
  let total: UInt64
  let ruby: UInt64
  let waiting: UInt64
}
