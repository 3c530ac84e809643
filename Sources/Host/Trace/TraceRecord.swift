import FUSE
import Glibc

/// What is measured of a turn while somebody looks. Times are in nanoseconds of the monotonic clock.
///
/// A turn keeps its record for the next operation, so that taking notes allocates nothing.
final class TraceRecord {
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

  private(set) var started: UInt64 = 0
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
  var path: [UInt8]? { hasPath ? pathBytes : nil }
  private var pathBytes: [UInt8] = []
  private var hasPath = false
  var detail = Detail.none

  /// Begins anew.
  func begin() {
    started = monotonicNanoseconds()
    ruby = 0
    waiting = 0
    hookStarted = 0
    ended = 0
    hasPath = false
    detail = .none
  }

  /// Takes down a path, over the one before.
  func setPath(_ bytes: UnsafeRawBufferPointer) {
    pathBytes.removeAll(keepingCapacity: true)
    pathBytes.append(contentsOf: bytes)
    hasPath = true
  }

  func beginHook() { hookStarted = 0 }
  func enterRuby() {
    changed = monotonicNanoseconds()
    if hookStarted == 0 { hookStarted = changed }
  }
  func leaveRuby() { ruby += monotonicNanoseconds() - changed }
  func park() { changed = monotonicNanoseconds() }
  func end() { ended = monotonicNanoseconds() }
  func resume() { waiting += monotonicNanoseconds() - changed }
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
