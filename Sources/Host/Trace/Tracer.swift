// The trace: a line an operation, as it ends. Off, it costs one look at a flag.

import FUSE
import Glibc
import Ruby

/// Where a trace goes: a file, or a client.
final class TraceSink {
  let filter: TraceFilter
  private var writer: TraceWriter
  private var buffer: [UInt8] = []
  /// Takes whole lines.
  private let deliver: ([UInt8]) -> Void
  /// Somebody will call `flush` soon.
  fileprivate var isFlushDue = false

  /// What is gathered before it is written, in bytes.
  private static let room = 1 << 16

  init(
    _ filter: TraceFilter, _ format: TraceFormat, colours: Bool,
    deliver: @escaping ([UInt8]) -> Void
  ) {
    self.filter = filter
    writer = TraceWriter(format: format, colours: colours)
    self.deliver = deliver
    buffer.reserveCapacity(TraceSink.room)
  }

  fileprivate func take(_ event: TraceEvent, _ command: [UInt8]) {
    writer.write(event, command, to: &buffer)
    if buffer.count > TraceSink.room - 1024 { flush() }
  }

  /// Hands over what was gathered.
  func flush() {
    guard !buffer.isEmpty else { return }
    deliver(buffer)
    buffer.removeAll(keepingCapacity: true)
  }
}

/// Whom operations are told to.
struct Tracer {
  private(set) var sinks: [TraceSink] = []
  private(set) var feeds: [StatisticsFeed] = []
  /// Somebody looks.
  private(set) var isOn = false
  fileprivate var commands = CommandNames()

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
    let record = turn.spareRecord ?? TraceRecord()
    turn.spareRecord = record
    record.begin()
    if !tracer.sinks.isEmpty {
      record.command = tracer.commands.name(of: turn.context.pid, at: record.started)
    }
    turn.record = record
  }

  /// Tells of an operation that ends, to whoever looks.
  func trace(_ turn: Turn, _ result: Result<Int, Errno>) {
    guard let record = turn.record else { return }
    let event = TraceEvent(
      operation: turn.operation, path: record.path, detail: record.detail, result: result,
      caller: turn.context, ended: record.ended, total: record.ended - record.started,
      ruby: record.ruby, waiting: record.waiting)
    for feed in tracer.feeds { feed.take(event) }
    for sink in tracer.sinks where sink.filter.accepts(event) {
      sink.take(event, record.command)
      if !sink.isFlushDue { flushSoon(sink) }
    }
  }

  /// Tells of a hook that has answered.
  func measure(_ turn: Turn, _ result: Answer.Result) {
    guard let record = turn.record else { return }
    // A class without the hook was not asked.
    guard !tracer.feeds.isEmpty, record.hookStarted > 0 else { return }
    let duration = monotonicNanoseconds() - record.hookStarted
    let hasFailed =
      switch result {
      case .missing, .value: false
      case .raised: true
      }
    for feed in tracer.feeds { feed.take(turn.hook, duration, hasFailed: hasFailed) }
  }

  private func flushSoon(_ sink: TraceSink) {
    sink.isFlushDue = true
    after(seconds: Host.flushDelay) {
      sink.isFlushDue = false
      sink.flush()
    }
  }

  /// Calls something between two operations, a while from now.
  func after(seconds: Double, _ body: @escaping () -> Void) {
    let ticket = makeTicket()
    watchers[ticket] = { [unowned self] _ in
      watchers[ticket] = nil
      body()
    }
    waiter.begin(.timer(seconds: seconds), ticket)
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
    let colours = isatty(descriptor) == 1 && getenv("NO_COLOR") == nil
    let reporter = reporter
    var hasFailed = false
    tracer.add(
      TraceSink(trace.filter, trace.format, colours: colours) { bytes in
        let error = reporter.write(bytes, to: descriptor)
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
    guard let record = turn.record else { return }
    _ = node.withPath { record.setPath($0) }
    record.detail = detail()
  }

  /// The same for a name that has no node yet.
  func note(_ turn: Turn, _ place: Node.Place) {
    guard let record = turn.record else { return }
    _ = place.withPath { record.setPath($0) }
  }
}

/// The names of processes by their ids, each remembered for a second. proc_pid_comm(5).
struct CommandNames {
  private var known: [Int32: (name: [UInt8], until: UInt64)] = [:]
  /// The one that was asked for last, which mostly is asked for next.
  private var latest: (pid: Int32, name: [UInt8], until: UInt64) = (0, [], 0)
  private static let lifetime: UInt64 = 1_000_000_000
  private static let most = 512

  mutating func name(of pid: Int32, at now: UInt64) -> [UInt8] {
    if pid == latest.pid, now < latest.until { return latest.name }
    let old = known[pid]
    if let old, now < old.until {
      latest = (pid, old.name, old.until)
      return old.name
    }
    // A process that is gone by now is still called what it was.
    let name = CommandNames.read(pid) ?? old?.name ?? Array((pid == 0 ? "kernel" : "?").utf8)
    if known.count >= CommandNames.most { known = [:] }
    known[pid] = (name, now + CommandNames.lifetime)
    return name
  }

  /// The name that a process has now, for people.
  static func name(of pid: Int32) -> String {
    CommandNames.read(pid).map { String(decoding: $0, as: UTF8.self) } ?? "?"
  }

  private static func read(_ pid: Int32) -> [UInt8]? {
    guard pid > 0 else { return nil }
    let descriptor = Glibc.open("/proc/\(pid)/comm", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    return count > 0 ? Array(bytes.prefix(count).prefix { $0 != UInt8(ascii: "\n") }) : nil
  }
}
