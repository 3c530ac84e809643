import Glibc
import HTTP
import Synchronization
import Testing

@Suite("Many transfers at once", .serialized)
struct TransfersTests {
  @Test("500 requests wait together and end together")
  func fiveHundred() throws {
    let server = try LoopbackServer { _, connection in
      usleep(500_000)
      connection.answer(body: Array("late".utf8))
    }
    let transfers = try Transfers()
    _ = try transfers.perform(HTTPRequest(server.url()))
    var answers = 0
    let time = try seconds {
      for ticket in 0..<500 { transfers.start(HTTPRequest(server.url()), ticket: UInt64(ticket)) }
      while answers < 500 {
        for case .finished(_, let result) in try transfers.nextEvents() {
          #expect(try result.get().status == 200)
          answers += 1
        }
      }
    }
    #expect(time < 5)
    #expect(!transfers.isBusy)
  }

  @Test("a cancelled transfer is heard of no more, and its ticket is free")
  func cancelled() throws {
    let server = try LoopbackServer { request, connection in
      if request.target == "/slow" { connection.waitForClose() } else { connection.answer() }
    }
    let transfers = try Transfers()
    transfers.start(HTTPRequest(server.url("/slow")), ticket: 1)
    transfers.start(HTTPRequest("nothing"), ticket: 2)
    try transfers.poll(timeout: 0.05)
    transfers.cancel(1)
    transfers.cancel(2)
    transfers.cancel(3)
    #expect(!transfers.isBusy)
    #expect(try transfers.perform(HTTPRequest(server.url())).status == 200)
  }

  @Test("the poll ends for another thread's wake, and for a descriptor")
  func wakened() throws {
    let transfers = try Transfers()
    transfers.waker.wake()
    #expect(try seconds { try transfers.poll(timeout: 5) } < 1)
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    #expect(try transfers.poll(alsoWatching: ends[0], timeout: 0) == false)
    write(ends[1], "x", 1)
    #expect(try transfers.poll(alsoWatching: ends[0], timeout: 5) == true)
  }

  @Test("connections are not inherited by child processes")
  func closeOnExec() throws {
    let server = try LoopbackServer()
    let transfers = try Transfers()
    _ = try transfers.perform(HTTPRequest(server.url()))
    let sockets = sockets(connectedTo: server.port)
    #expect(sockets.count == 1)
    #expect(sockets.allSatisfy { fcntl($0, F_GETFD) & FD_CLOEXEC != 0 })
  }

  /// Descriptors of this process that are connected to a port of this machine.
  private func sockets(connectedTo port: UInt16) -> [Int32] {
    (3..<1024).filter { descriptor in
      var address = sockaddr_in()
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let code = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          getpeername(descriptor, $0, &length)
        }
      }
      return code == 0 && address.sin_family == AF_INET && address.sin_port == port.bigEndian
    }
  }
}

@Suite("Streaming")
struct StreamingTests {
  @Test("hands each piece over when asked, with the header block, then the end")
  func pieces() throws {
    let turn = Mutex(0)
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.1 200 OK\r\nX-Kind: slow\r\nTransfer-Encoding: chunked\r\n\r\n")
      for piece in 1...3 {
        while turn.withLock({ $0 }) < piece { usleep(1000) }
        connection.sendChunk(Array("piece \(piece)".utf8))
      }
      connection.sendChunk([])
    }
    let transfers = try Transfers()
    var request = HTTPRequest(server.url())
    request.streaming = true
    transfers.start(request, ticket: 7)
    for piece in 1...3 {
      turn.withLock { $0 = piece }
      let events = try transfers.nextEvents()
      guard case .chunk(7, let headers, let body) = events.first, events.count == 1 else {
        Issue.record("no chunk \(piece)")
        return
      }
      #expect(String(decoding: headers, as: UTF8.self).contains("X-Kind: slow\r\n"))
      #expect(body == Array("piece \(piece)".utf8))
      try transfers.poll(timeout: 0.02)
      #expect(transfers.takeEvents().isEmpty)
      transfers.resume(7)
    }
    guard case .finished(7, let result) = try transfers.nextEvents().first else {
      Issue.record("no end")
      return
    }
    #expect(try result.get().status == 200)
    #expect(try result.get().body.isEmpty)
    #expect(!transfers.isBusy)
  }

  @Test("pauses a server that is faster than its reader, and loses nothing")
  func backPressure() throws {
    let sent = Atomic(0)
    let block = (0..<65536).map { UInt8(truncatingIfNeeded: $0 ^ ($0 >> 8)) }
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(256 * block.count)\r\n\r\n")
      for number in 1...256 where connection.send(block) {
        sent.store(number, ordering: .relaxed)
      }
    }
    let transfers = try Transfers()
    var request = HTTPRequest(server.url())
    request.streaming = true
    request.maximumBody = 1000
    transfers.start(request, ticket: 1)
    var received: [UInt8] = []
    var end: Result<HTTPResponse, HTTPFailure>?
    while end == nil {
      for event in try transfers.nextEvents() {
        switch event {
        case .chunk(_, _, let body):
          if received.isEmpty {
            // Not asked for more: the server must come to a stand.
            for _ in 0..<20 { try transfers.poll(timeout: 0.01) }
            let blocks = sent.load(ordering: .relaxed)
            #expect(blocks < 256)
          }
          #expect(body.count <= 512 << 10)
          received += body
          transfers.resume(1)
        case .finished(_, let result): end = result
        }
      }
    }
    #expect(try end?.get().status == 200)
    let isWhole = received == [[UInt8]](repeating: block, count: 256).flatMap { $0 }
    #expect(isWhole)
  }

  @Test("a failure half-way comes after what arrived before it")
  func failure() throws {
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
      usleep(50_000)
      connection.hangUp()
    }
    let transfers = try Transfers()
    var request = HTTPRequest(server.url())
    request.streaming = true
    transfers.start(request, ticket: 1)
    guard case .chunk(_, _, let body) = try transfers.nextEvents().first else {
      Issue.record("no chunk")
      return
    }
    #expect(body == Array("some".utf8))
    transfers.resume(1)
    guard case .finished(_, .failure(let failure)) = try transfers.nextEvents().first else {
      Issue.record("no failure")
      return
    }
    #expect(failure.code == 18)
  }
}
