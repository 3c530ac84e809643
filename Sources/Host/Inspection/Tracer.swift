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
  /// `flush` will be called soon.
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

  /// Writes the line of an operation, unless it is not to be shown; returns whether `flush` is to be
  /// called soon, and no call of it is due yet.
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

/// Tells of operations as they end, to every trace and every client with statistics.
final class Tracer {
  private var sinks: [TraceSink] = []
  private var feeds: [StatisticsFeed] = []
  /// Whether there is anything to tell them to.
  private(set) var isOn = false
  private var callers = Callers()
  /// Notes of operations that are over, for those to come.
  private var idleNotes: [TraceNotes] = []
  /// Calls something after so many seconds.
  var later: (Double, @escaping () -> Void) -> Void = { _, _ in }

  /// How long a line may stay in the buffer, in seconds.
  private static let flushDelay = 0.05

  func add(_ sink: TraceSink) {
    sinks.append(sink)
    update()
  }
  func remove(_ sink: TraceSink) {
    sink.flush()
    sinks.removeAll { $0 === sink }
    update()
  }
  func add(_ feed: StatisticsFeed) {
    feeds.append(feed)
    update()
  }
  func remove(_ feed: StatisticsFeed) {
    feeds.removeAll { $0 === feed }
    update()
  }
  private func update() { isOn = !sinks.isEmpty || !feeds.isEmpty }

  /// Hands over every line that was gathered.
  func flush() { for sink in sinks { sink.flush() } }

  /// Begins to measure a task.
  func watch(_ task: ScriptTask) {
    let now = monotonicNanoseconds()
    let notes = idleNotes.popLast() ?? TraceNotes(callers.kernel)
    notes.begin(task.context.pid, at: now, among: &callers)
    task.record = TraceRecord(started: now, notes)
  }

  /// Tells of an operation that ends.
  @inline(never)
  func tell(_ task: ScriptTask, _ result: Result<Int, Errno>) {
    guard let record = task.record.take() else { return }
    let event = TraceEvent(
      operation: task.operation, notes: record.notes, result: result, ended: record.ended,
      total: record.ended - record.started, ruby: record.ruby, waiting: record.waiting)
    for feed in feeds { feed.take(event) }
    for sink in sinks where sink.take(event) { flushSoon(sink) }
    if idleNotes.count < IdleTasks.most { idleNotes.append(record.notes) }
  }

  /// Tells of a hook that has come to a result.
  func measure(_ task: ScriptTask, _ result: HookResult.Content) {
    guard !feeds.isEmpty, let duration = task.record?.hookDuration else { return }
    let hasFailed =
      switch result {
      case .missing, .value: false
      case .raised: true
      }
    for feed in feeds { feed.take(task.hook, duration, hasFailed: hasFailed) }
  }

  private func flushSoon(_ sink: TraceSink) {
    sink.isFlushDue = true
    later(Tracer.flushDelay) {
      sink.isFlushDue = false
      sink.flush()
    }
  }

  // MARK: Beginning

  /// Starts the trace that the command line asked for.
  func start(_ trace: TraceOutput, _ reporter: Reporter) throws(HostError) {
    var descriptor = STDERR_FILENO
    if trace.path != "-" {
      descriptor = Glibc.open(
        RawText.cString(trace.path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else {
        throw HostError("cannot write the trace \(trace.path): \(SystemError(number: Glibc.errno))")
      }
    }
    let colours = Ink(for: descriptor).isColoured
    let output: LineWriter = descriptor == STDERR_FILENO ? .standardError : LineWriter(descriptor)
    var hasFailed = false
    add(
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
    if let old = connection.sink.take() { remove(old) }
    connection.send(["tracing": true])
    let sink = TraceSink(
      TraceFilter(message), format, colours: message["colours"]?.bool ?? false
    ) { [unowned connection] bytes in
      connection.send(line: bytes)
      connection.deliver()
    }
    connection.sink = sink
    add(sink)
  }
}
