import Glibc
import HTTP
import Synchronization
import Testing

@testable import Waiting

/// One waiter with its thread, drained as the VM's thread would.
private final class Bench {
  let waiter: Waiter
  private(set) var outcomes: [Ticket: [Outcome]] = [:]

  init(started: Bool = true) throws {
    waiter = try Waiter()
    if started { try waiter.start() }
  }

  /// Drains until that many outcomes have come in all; gives up after ten seconds without one.
  func collect(_ count: Int) {
    while outcomes.values.reduce(0, { $0 + $1.count }) < count {
      guard isReadable(waiter.eventDescriptor, milliseconds: 10_000) else { return }
      waiter.drain { outcomes[$0, default: []].append($1) }
    }
  }

  /// Drains what comes within a while.
  func collect(milliseconds: Int32) {
    if isReadable(waiter.eventDescriptor, milliseconds: milliseconds) {
      waiter.drain { outcomes[$0, default: []].append($1) }
    }
  }

  /// Begins one wait, and returns its outcome.
  func outcome(of wait: Wait, _ number: UInt64 = 1) throws -> Outcome {
    waiter.begin(wait, Ticket(number))
    collect(1)
    return try #require(outcomes.removeValue(forKey: Ticket(number))?.first)
  }
}

/// The two ends of a pipe, closed in the end.
private final class Pipe {
  let reading: Int32
  let writing: Int32

  init() {
    var ends: [Int32] = [-1, -1]
    pipe(&ends)
    (reading, writing) = (ends[0], ends[1])
  }

  func fill() { write(writing, "x", 1) }

  func empty() {
    var byte: UInt8 = 0
    read(reading, &byte, 1)
  }

  deinit {
    close(reading)
    close(writing)
  }
}

private func isReadable(_ descriptor: Int32, milliseconds: Int32) -> Bool {
  var one = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return poll(&one, 1, milliseconds) > 0
}

private func seconds(_ body: () throws -> Void) rethrows -> Double {
  let time = try ContinuousClock().measure(body)
  return Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
}

/// Starts a shell command without waiting for it.
private func spawn(_ command: String) -> pid_t {
  var process: pid_t = 0
  let words = ["/bin/sh", "-c", command].map { (word: String) in strdup(word) }
  defer { for word in words { free(word) } }
  _ = posix_spawn(&process, "/bin/sh", nil, nil, words + [nil], environ)
  return process
}

private func count(_ directory: String) -> Int {
  guard let stream = opendir(directory) else { return 0 }
  defer { closedir(stream) }
  var entries = 0
  while readdir(stream) != nil { entries += 1 }
  return entries
}

@Suite("Waiting", .serialized)
struct WaiterTests {
  @Test("timers end in the order of their time, and not before it")
  func timers() throws {
    let bench = try Bench()
    let order = Mutex<[UInt64]>([])
    let time = seconds {
      for (number, delay) in [(1, 0.09), (2, 0.03), (3, 0.06), (4, -1), (5, .nan)] {
        bench.waiter.begin(.timer(seconds: delay), Ticket(UInt64(number)))
      }
      var left = 5
      while left > 0, isReadable(bench.waiter.eventDescriptor, milliseconds: 5000) {
        bench.waiter.drain { ticket, outcome in
          guard case .elapsed = outcome else { return }
          order.withLock { $0.append(ticket.rawValue) }
          left -= 1
        }
      }
    }
    #expect(time >= 0.09)
    #expect(Set(order.withLock { $0.prefix(2) }) == [4, 5])
    #expect(order.withLock { $0.dropFirst(2) } == [2, 3, 1])
    #expect(!bench.waiter.hasOutcomes)
  }

  @Test("10,000 waits go on at once in a few MiB, and end together")
  func tenThousand() throws {
    let bench = try Bench()
    let time = seconds {
      for number in 0..<10_000 {
        bench.waiter.begin(.timer(seconds: 0.5), Ticket(UInt64(number)))
      }
      bench.collect(10_000)
    }
    #expect(bench.outcomes.count == 10_000)
    #expect(time >= 0.5 && time < 5)
  }

  @Test("a descriptor reports what it is ready for")
  func descriptor() throws {
    let bench = try Bench()
    let pipe = Pipe()
    bench.waiter.begin(
      .descriptors([WatchedDescriptor(pipe.reading, .readable)], timeout: nil), Ticket(1))
    bench.collect(milliseconds: 30)
    #expect(bench.outcomes.isEmpty)
    pipe.fill()
    bench.collect(1)
    guard case .ready(let ready) = bench.outcomes[Ticket(1)]?.first else {
      Issue.record("not ready")
      return
    }
    #expect(ready == [WatchedDescriptor(pipe.reading, .readable)])
    guard
      case .ready(let writable) = try Bench().outcome(
        of: .descriptors([WatchedDescriptor(pipe.writing, [.readable, .writable])], timeout: nil))
    else {
      Issue.record("not writable")
      return
    }
    #expect(writable == [WatchedDescriptor(pipe.writing, .writable)])
  }

  @Test("of several descriptors all that are ready are told, and none means the timeout")
  func severalDescriptors() throws {
    let bench = try Bench()
    let pipes = (0..<3).map { _ in Pipe() }
    let wait = Wait.descriptors(
      pipes.map { WatchedDescriptor($0.reading, .readable) }, timeout: 0.05)
    guard case .timedOut = try bench.outcome(of: wait) else {
      Issue.record("no timeout")
      return
    }
    pipes[0].fill()
    pipes[2].fill()
    guard case .ready(let ready) = try bench.outcome(of: wait, 2) else {
      Issue.record("not ready")
      return
    }
    #expect(ready.map(\.descriptor) == [pipes[0].reading, pipes[2].reading])
  }

  @Test("two waits can share a descriptor, each for its own event")
  func sharedDescriptor() throws {
    let bench = try Bench()
    var ends: [Int32] = [0, 0]
    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
    defer { for end in ends { close(end) } }
    for number in 1...3 {
      bench.waiter.begin(
        .descriptors([WatchedDescriptor(ends[0], .readable)], timeout: nil), Ticket(UInt64(number)))
    }
    bench.collect(milliseconds: 20)
    bench.waiter.begin(
      .descriptors([WatchedDescriptor(ends[0], .writable)], timeout: nil), Ticket(4))
    bench.collect(1)
    #expect(Set(bench.outcomes.keys) == [Ticket(4)])
    bench.waiter.cancel(Ticket(2))
    write(ends[1], "x", 1)
    bench.collect(3)
    #expect(Set(bench.outcomes.keys) == [Ticket(1), Ticket(3), Ticket(4)])
  }

  @Test("regular files are ready at once, bad descriptors an error")
  func oddDescriptors() throws {
    let bench = try Bench()
    let file = open("/proc/self/exe", O_RDONLY)
    defer { close(file) }
    guard
      case .ready = try bench.outcome(
        of: .descriptors([WatchedDescriptor(file, .readable)], timeout: nil))
    else {
      Issue.record("not ready")
      return
    }
    for bad: Int32 in [-1, 9999] {
      let pipe = Pipe()
      guard
        case .error(EBADF) = try bench.outcome(
          of: .descriptors(
            [WatchedDescriptor(pipe.reading, .readable), WatchedDescriptor(bad, .readable)],
            timeout: nil))
      else {
        Issue.record("no error")
        return
      }
    }
  }

  @Test("a descriptor whose number is used again is waited for anew")
  func reusedDescriptor() throws {
    let bench = try Bench()
    for round in 1...20 {
      let pipe = Pipe()
      let wait = Wait.descriptors([WatchedDescriptor(pipe.reading, .readable)], timeout: nil)
      bench.waiter.begin(wait, Ticket(UInt64(round * 2)))
      if round % 2 == 0 { bench.collect(milliseconds: 1) }
      bench.waiter.cancel(Ticket(UInt64(round * 2)))
    }
    let pipe = Pipe()
    bench.waiter.begin(
      .descriptors([WatchedDescriptor(pipe.reading, .readable)], timeout: nil), Ticket(1))
    pipe.fill()
    bench.collect(1)
    #expect(Array(bench.outcomes.keys) == [Ticket(1)])
  }

  @Test("a child's end brings its status, and reaps it")
  func child() throws {
    let bench = try Bench()
    let process = spawn("sleep 0.05; exit 3")
    guard case .timedOut = try bench.outcome(of: .child(process, timeout: 0.01)) else {
      Issue.record("no timeout")
      return
    }
    guard case .exited(let status) = try bench.outcome(of: .child(process, timeout: 5), 2) else {
      Issue.record("no end")
      return
    }
    #expect(status == 3 << 8)
    for process in [process, 1] {
      guard case .error(ECHILD) = try bench.outcome(of: .child(process, timeout: nil), 3) else {
        Issue.record("a child that is none")
        return
      }
    }
  }

  @Test("blocking functions have a thread each, and do not hold each other up")
  func work() throws {
    let bench = try Bench()
    let time = seconds {
      for number in 1...20 {
        bench.waiter.begin(
          .work {
            usleep(200_000)
            return .number(number)
          }, Ticket(UInt64(number)))
      }
      bench.collect(20)
    }
    #expect(time < 2)
    guard case .worked(.number(20)) = bench.outcomes[Ticket(20)]?.first else {
      Issue.record("no result")
      return
    }
  }

  @Test("host names are resolved, or the resolver's message told")
  func resolve() throws {
    let bench = try Bench()
    let good = Wait.resolve(host: Array("127.0.0.1".utf8), service: Array("80".utf8))
    guard case .worked(.addresses(let addresses)) = try bench.outcome(of: good) else {
      Issue.record("no address")
      return
    }
    #expect(addresses.first?.family == AF_INET)
    #expect(addresses.first?.bytes[2..<8] == [0, 80, 127, 0, 0, 1])
    let bad = Wait.resolve(host: Array("127.0.0.1".utf8), service: Array("no-such-service".utf8))
    guard case .worked(.failed(_, let message)) = try bench.outcome(of: bad, 2) else {
      Issue.record("no failure")
      return
    }
    #expect(!message.isEmpty)
  }

  @Test("nothing of a cancelled wait is drained, not even what has come already")
  func cancelled() throws {
    let bench = try Bench()
    bench.waiter.begin(.timer(seconds: 0), Ticket(1))
    bench.waiter.begin(.timer(seconds: 0), Ticket(2))
    bench.waiter.begin(.timer(seconds: 60), Ticket(3))
    usleep(50_000)
    #expect(bench.waiter.hasOutcomes)
    bench.waiter.cancel(Ticket(3))
    var drained: [Ticket] = []
    bench.waiter.drain { ticket, _ in
      drained.append(ticket)
      bench.waiter.cancel(Ticket(2))
    }
    #expect(drained == [Ticket(1)])
    bench.collect(milliseconds: 20)
    #expect(bench.outcomes.isEmpty)
  }

  @Test("a watch reports once for each arming, until it is taken away")
  func watch() throws {
    let bench = try Bench()
    let pipe = Pipe()
    bench.waiter.watch(pipe.reading, Ticket(9))
    bench.collect(milliseconds: 20)
    pipe.fill()
    bench.collect(1)
    bench.collect(milliseconds: 20)
    #expect(bench.outcomes[Ticket(9)]?.count == 1)
    bench.waiter.rearm(Ticket(9))
    bench.collect(2)
    #expect(bench.outcomes[Ticket(9)]?.count == 2)
    pipe.empty()
    bench.waiter.rearm(Ticket(9))
    bench.collect(milliseconds: 20)
    pipe.fill()
    bench.collect(3)
    bench.waiter.rearm(Ticket(9))
    bench.waiter.cancel(Ticket(9))
    bench.collect(milliseconds: 20)
    #expect(bench.outcomes[Ticket(9)]?.count == 3)
  }

  @Test("a request's failure is told in libcurl's words")
  func request() throws {
    let bench = try Bench()
    let request = HTTPRequest(url: Array("http://127.0.0.1:1/".utf8))
    guard case .failed(let failure) = try bench.outcome(of: .request(request)) else {
      Issue.record("no failure")
      return
    }
    #expect(failure.message.contains("127.0.0.1 port 1"))
    guard case .error(EINVAL) = try bench.outcome(of: .nextEvent) else {
      Issue.record("a next event of nothing")
      return
    }
  }

  @Test("a streamed answer comes piece by piece, drained or in place", arguments: [true, false])
  func streaming(started: Bool) throws {
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      for piece in ["one", "two", ""] {
        connection.sendChunk(Array(piece.utf8))
        usleep(30_000)
      }
    }
    let bench = try Bench(started: started)
    var request = HTTPRequest(url: Array(server.url().utf8))
    request.streaming = true
    var wait = Wait.request(request)
    var pieces: [String] = []
    while true {
      let outcome =
        started ? try bench.outcome(of: wait) : bench.waiter.runInPlace(wait, Ticket(1))
      guard case .chunk(let headers, let body) = outcome else {
        guard case .response(let response) = outcome else {
          Issue.record("neither chunk nor end")
          return
        }
        #expect(response.status == 200)
        break
      }
      #expect(headers.starts(with: "HTTP/1.1 200 OK".utf8))
      pieces.append(String(decoding: body, as: UTF8.self))
      wait = .nextEvent
    }
    #expect(pieces == ["one", "two"])
  }

  @Test("cancelling a request closes its connection")
  func cancelledRequest() throws {
    let isClosed = Atomic(false)
    let server = try LoopbackServer { _, connection in
      connection.waitForClose()
      isClosed.store(true, ordering: .relaxed)
    }
    let bench = try Bench()
    bench.waiter.begin(.request(HTTPRequest(url: Array(server.url().utf8))), Ticket(1))
    while server.requests.isEmpty { usleep(1000) }
    bench.waiter.cancel(Ticket(1))
    for _ in 0..<1000 where !isClosed.load(ordering: .relaxed) { usleep(1000) }
    let wasClosed = isClosed.load(ordering: .relaxed)
    #expect(wasClosed)
    #expect(!bench.waiter.hasOutcomes)
  }

  @Test("one wait can be sat out in place, with and without the thread")
  func inPlace() throws {
    let bench = try Bench(started: false)
    for _ in 1...3 {
      #expect(seconds { _ = bench.waiter.runInPlace(.timer(seconds: 0.03)) } >= 0.03)
      guard case .worked(.number(5)) = bench.waiter.runInPlace(.work { .number(5) }) else {
        Issue.record("no result")
        return
      }
      let process = spawn("exit 1")
      guard case .exited(256) = bench.waiter.runInPlace(.child(process, timeout: nil)) else {
        Issue.record("no status")
        return
      }
      try bench.waiter.start()
    }
    bench.waiter.stop()
    #expect(seconds { _ = bench.waiter.runInPlace(.timer(seconds: 0.03)) } >= 0.03)
  }

  @Test("neither descriptors nor threads are left over")
  func nothingLeft() throws {
    _ = try Bench().outcome(of: .request(HTTPRequest(url: Array("http://127.0.0.1:1/".utf8))))
    let before = (count("/proc/self/fd"), count("/proc/self/task"))
    for _ in 1...10 {
      let bench = try Bench()
      let process = spawn("sleep 0.05")
      let pipe = Pipe()
      bench.waiter.begin(.child(process, timeout: nil), Ticket(1))
      bench.waiter.begin(
        .descriptors([WatchedDescriptor(pipe.reading, .readable)], timeout: nil), Ticket(2))
      bench.waiter.begin(.request(HTTPRequest(url: Array("http://127.0.0.1:1/".utf8))), Ticket(3))
      bench.waiter.begin(.timer(seconds: 60), Ticket(4))
      bench.collect(1)
      bench.waiter.stop()
      waitpid(process, nil, 0)
    }
    // Other suites come and go meanwhile; what is left over each time would be ten or more.
    #expect(count("/proc/self/fd") < before.0 + 10)
    #expect(count("/proc/self/task") < before.1 + 10)
  }

  @Test("nothing goes on before the thread is started, and then all that was begun does")
  func notStarted() throws {
    let bench = try Bench(started: false)
    bench.waiter.begin(.timer(seconds: 0.01), Ticket(1))
    bench.collect(milliseconds: 50)
    #expect(bench.outcomes.isEmpty)
    try bench.waiter.start()
    bench.collect(1)
    #expect(bench.outcomes.count == 1)
  }
}
