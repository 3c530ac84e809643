import ControlProtocol
import FUSE
import Glibc
import System

/// What is measured of a task while a client looks. Times are in nanoseconds of the monotonic clock.
///
/// To look at the clock takes about as long as to write half a line, so one look serves for two things
/// wherever next to nothing lies between them.
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

  let started: UInt64
  let notes: TraceNotes
  /// Time spent in Ruby, and waiting.
  private(set) var ruby: UInt64 = 0
  private(set) var waiting: UInt64 = 0
  /// When the hook that it is at was called.
  private var hookStarted: UInt64 = 0
  /// When Ruby was entered or left last; 0 before.
  private var changed: UInt64 = 0
  /// When it was replied to; 0 until then.
  private(set) var ended: UInt64 = 0

  init(started: UInt64, _ notes: TraceNotes) {
    self.started = started
    self.notes = notes
  }

  mutating func beginHook() { hookStarted = 0 }
  mutating func enterRuby() {
    // The host needs a fraction of a microsecond from a request to its first hook.
    changed = changed == 0 ? started : monotonicNanoseconds()
    if hookStarted == 0 { hookStarted = changed }
  }
  /// The hook has returned, or begins to wait.
  mutating func leaveRuby() {
    let now = monotonicNanoseconds()
    ruby += now - changed
    changed = now
  }
  mutating func resume() { waiting += monotonicNanoseconds() - changed }
  /// It is about to be replied to: when its hook has returned, but for a listing, which is still to be made.
  mutating func end(_ operation: Operation) {
    ended = changed == 0 || operation == .readdir ? monotonicNanoseconds() : changed
  }

  /// How long the hook took that has just returned; nil where the class has none.
  var hookDuration: UInt64? { hookStarted > 0 ? changed - hookStarted : nil }
}

/// What is taken down of an operation as it begins: by its end, names may have moved, and the caller may
/// be gone. They are used again and again, so that an operation does not allocate.
final class TraceNotes {
  private(set) var caller: Caller
  /// The path, and behind it what there is to say of the arguments.
  private var text = TraceText(capacity: 512)
  private var pathCount = 0

  init(_ caller: Caller) { self.caller = caller }

  deinit { text.free() }

  /// Begins with an operation that some process asks for: mostly the one that asked before.
  func begin(_ pid: Int32, at now: UInt64, among callers: inout Callers) {
    if caller.pid != pid || !caller.isKnown(at: now) { caller = callers.caller(pid, at: now) }
    text.removeAll()
    pathCount = 0
  }

  /// Takes a name down that has no node yet.
  func take(_ dentry: Dentry) {
    text.removeAll()
    dentry.withPath { append(path: $0) }
    pathCount = text.count
  }

  func take(_ node: Node, _ detail: TraceRecord.Detail) {
    text.removeAll()
    node.withPath { append(path: $0) }
    pathCount = text.count
    var room = TraceText.longestDetail
    if case .text(let bytes) = detail { room = bytes.count }
    text.reserve(room)
    text.append(detail)
  }

  private func append(path: UnsafeRawBufferPointer) {
    text.reserve(path.count)
    text.append(path)
  }

  /// The path, empty where there is none, and the arguments.
  var path: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: text.bytes[..<pathCount]) }
  var detail: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: text.bytes[pathCount...]) }
  var count: Int { text.count }
}

/// One operation that is over, as it is shown.
struct TraceEvent {
  let operation: Operation
  let notes: TraceNotes
  let result: Result<Int, Errno>
  /// When it was replied to, on the monotonic clock.
  let ended: UInt64
  /// Times in nanoseconds: from the request to the reply, and what of it Ruby ran and waited.
  let total: UInt64
  let ruby: UInt64
  let waiting: UInt64
}

extension TraceFilter {
  /// Whether an operation is to be shown.
  func accepts(_ event: TraceEvent) -> Bool {
    guard event.total >= slowest, operations.isEmpty || operations.contains(event.operation) else {
      return false
    }
    if !errors.isEmpty {
      guard case .failure(let error) = event.result, errors.contains(error.rawValue) else {
        return false
      }
    }
    if paths.isEmpty { return true }
    let path = event.notes.path.map { CChar(bitPattern: $0) } + [0]
    return paths.contains { fnmatch($0, path, 0) == 0 }
  }
}
