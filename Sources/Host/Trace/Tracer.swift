// The trace: a line an operation, as it ends. Off, it costs one look at a flag.

import ControlProtocol
import FUSE
import Glibc
import Reports
import Ruby
import System

/// Where a trace goes: a file, or a client.
final class TraceSink {
  private let filter: TraceFilter
  private let showsAll: Bool
  private var writer: TraceWriter
  private var text = TraceText(capacity: TraceSink.room)
  /// Takes whole lines.
  private let deliver: (UnsafeRawBufferPointer) -> Void
  /// Somebody will call `flush` soon.
  fileprivate var isFlushDue = false

  /// What is gathered before it is written, in bytes.
  private static let room = 1 << 16

  init(
    _ filter: TraceFilter, _ format: TraceFormat, colours: Bool,
    deliver: @escaping (UnsafeRawBufferPointer) -> Void
  ) {
    self.filter = filter
    showsAll = filter == TraceFilter()
    writer = TraceWriter(format: format, colours: colours)
    self.deliver = deliver
  }

  deinit { text.free() }

  /// Writes the line of an operation, unless it is not to be shown; answers whether `flush` is to be
  /// called soon, and nobody is about to.
  fileprivate func take(_ event: TraceEvent) -> Bool {
    guard showsAll || filter.accepts(event) else { return false }
    let longest = TraceWriter.longest(event)
    if !text.hasRoom(for: longest) {
      flush()
      text.reserve(longest)
    }
    var line = text
    writer.write(event, to: &line)
    text.grow(to: line)
    return !isFlushDue
  }

  /// Hands over what was gathered.
  func flush() {
    guard text.count > 0 else { return }
    deliver(text.bytes)
    text.removeAll()
  }
}

/// Whom operations are told to.
struct Tracer {
  private(set) var sinks: [TraceSink] = []
  private(set) var feeds: [StatisticsFeed] = []
  /// Somebody looks.
  private(set) var isOn = false
  fileprivate var callers = Callers()
  /// Notes of operations that are over, for those to come.
  fileprivate var idleNotes: [TraceNotes] = []

  mutating func add(_ sink: TraceSink) {
    sinks.append(sink)
    update()
  }
  mutating func remove(_ sink: TraceSink) {
    sink.flush()
    sinks.removeAll { $0 === sink }
    update()
  }
  mutating func add(_ feed: StatisticsFeed) {
    feeds.append(feed)
    update()
  }
  mutating func remove(_ feed: StatisticsFeed) {
    feeds.removeAll { $0 === feed }
    update()
  }
  private mutating func update() { isOn = !sinks.isEmpty || !feeds.isEmpty }
}

extension Host {
  /// How long a line may stay in the buffer, in seconds.
  private static let flushDelay = 0.05

  /// Begins to measure a turn.
  func watch(_ turn: Turn) {
    let now = monotonicNanoseconds()
    let notes = tracer.idleNotes.popLast() ?? TraceNotes(tracer.callers.kernel)
    notes.begin(turn.context.pid, at: now, among: &tracer.callers)
    turn.record = TraceRecord(started: now, notes)
  }

  /// Tells of an operation that ends, to whoever looks.
  @inline(__always)
  func trace(_ turn: Turn, _ result: Result<Int, Errno>) {
    if turn.record != nil { tell(turn, result) }
  }

  @inline(never)
  private func tell(_ turn: Turn, _ result: Result<Int, Errno>) {
    guard let record = turn.record.take() else { return }
    let event = TraceEvent(
      operation: turn.operation, notes: record.notes, result: result, ended: record.ended,
      total: record.ended - record.started, ruby: record.ruby, waiting: record.waiting)
    for feed in tracer.feeds { feed.take(event) }
    for sink in tracer.sinks where sink.take(event) { flushSoon(sink) }
    if tracer.idleNotes.count < Host.idleKept { tracer.idleNotes.append(record.notes) }
  }

  /// Tells of a hook that has answered.
  func measure(_ turn: Turn, _ result: Answer.Result) {
    guard !tracer.feeds.isEmpty, let duration = turn.record?.hookDuration else { return }
    let hasFailed =
      switch result {
      case .missing, .value: false
      case .raised: true
      }
    for feed in tracer.feeds { feed.take(turn.hook, duration, hasFailed: hasFailed) }
  }

  private func flushSoon(_ sink: TraceSink) {
    sink.isFlushDue = true
    after(Host.flushDelay) {
      sink.isFlushDue = false
      sink.flush()
    }
  }

  // MARK: Beginning

  /// Starts the trace that the command line asked for.
  func startTrace() throws(HostError) {
    guard let trace = configuration.trace else { return }
    var descriptor = STDERR_FILENO
    if trace.path != "-" {
      descriptor = Glibc.open(trace.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else {
        throw HostError("cannot write the trace \(trace.path): \(SystemError(number: Glibc.errno))")
      }
    }
    let colours = Ink(for: descriptor).isColoured
    let output = descriptor == STDERR_FILENO ? .standardError : LineWriter(descriptor)
    let reporter = reporter
    var hasFailed = false
    tracer.add(
      TraceSink(trace.filter, trace.format, colours: colours) { bytes in
        let error = output.write(bytes)
        guard error != 0, !hasFailed else { return }
        hasFailed = true
        reporter.say(
          "cannot write the trace \(trace.path): \(SystemError(number: error)); its lines are lost")
      })
  }

  /// A client wants to see operations; from here on all that it is sent are their lines.
  func trace(_ message: JSON, for connection: ControlConnection) {
    let format = message["format"]?.string.flatMap(TraceFormat.init) ?? .text
    if let old = connection.sink.take() { tracer.remove(old) }
    connection.send(["tracing": true])
    let sink = TraceSink(
      TraceFilter(message), format, colours: message["colours"]?.bool ?? false
    ) { [unowned self, unowned connection] bytes in
      connection.send(line: bytes)
      control?.flush(connection)
    }
    connection.sink = sink
    tracer.add(sink)
  }

  // MARK: Taking notes

  /// Takes down what a trace would show of an operation; nothing while nobody looks.
  func note(
    _ turn: Turn, _ node: Node, _ detail: @autoclosure () -> TraceRecord.Detail = .none
  ) {
    if let notes = turn.record?.notes { notes.take(node, detail()) }
  }

  /// The same for a name that has no node yet.
  func note(_ turn: Turn, _ place: Node.Place) { turn.record?.notes.take(place) }
}
