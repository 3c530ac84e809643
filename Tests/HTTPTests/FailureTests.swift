import Glibc
import HTTP
import Testing

/// CURLE_OPERATION_TIMEDOUT.
private let timedOut: Int32 = 28

@Suite("What goes wrong")
struct FailureTests {
  @Test("a server that never answers costs the timeout, no more")
  func silence() throws {
    let server = try LoopbackServer { _, connection in connection.waitForClose() }
    var request = HTTPRequest(server.url())
    request.timeout = 0.2
    var failure: HTTPFailure?
    let time = try seconds { failure = try Transfers().failure(of: request) }
    #expect(failure?.code == timedOut)
    #expect(failure?.message.contains("timed out") == true)
    #expect(time > 0.19 && time < 2)
  }

  @Test("a server that drips a byte at a time runs into the timeout too")
  func dripping() throws {
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
      while connection.send([46]) { usleep(20_000) }
    }
    var request = HTTPRequest(server.url())
    request.timeout = 0.3
    #expect(try Transfers().failure(of: request)?.code == timedOut)
  }

  @Test("a stalled answer ends after the time without a byte")
  func stalled() throws {
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n.")
      connection.waitForClose()
    }
    var request = HTTPRequest(server.url())
    request.timeout = 0
    request.stallTimeout = 1
    #expect(try Transfers().failure(of: request)?.code == timedOut)
  }

  @Test("a connection closed half-way is a failure, not a shorter answer")
  func closedHalfWay() throws {
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
      connection.hangUp()
    }
    let failure = try Transfers().failure(of: HTTPRequest(server.url()))
    #expect(failure?.code == 18)
    #expect(failure?.message.contains("996 bytes") == true)
  }

  @Test("an answer over the bound fails, whether or not it tells its length")
  func tooLong() throws {
    let piece = [UInt8](repeating: 46, count: 1 << 20)
    let server = try LoopbackServer { request, connection in
      if request.target == "/told" {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(1 << 30)\r\n\r\n")
        while connection.send(piece) {}
      } else {
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while connection.sendChunk(piece) {}
      }
    }
    let before = residentBytes()
    for path in ["/told", "/untold"] {
      var request = HTTPRequest(server.url(path))
      request.maximumBody = 4 << 20
      let failure = try Transfers().failure(of: request)
      #expect(failure?.message == "The answer is longer than the 4194304 bytes allowed")
    }
    if !isSanitized { #expect(residentBytes() - before < 256 << 20) }
  }

  @Test(
    "a header over the bounds fails",
    arguments: [
      ("/lines", "The reply has more than the 1000 header lines allowed"),
      ("/bytes", "The reply's header is longer than the 262144 bytes allowed"),
      ("/interim", "The reply's header is longer than the 262144 bytes allowed"),
    ])
  func longHeader(path: String, message: String) throws {
    let server = try LoopbackServer { request, connection in
      if request.target == "/interim" {
        while connection.send(
          "HTTP/1.1 100 Continue\r\nX: \(String(repeating: "x", count: 9000))\r\n\r\n")
        {}
      }
      let value = request.target == "/bytes" ? String(repeating: "x", count: 20_000) : ""
      connection.answer(headers: (0..<20_000).map { "h\($0): \(value)" })
    }
    let failure = try Transfers().failure(of: HTTPRequest(server.url(path)))
    #expect(failure?.message == message)
  }

  @Test("a header of a thousand lines is none")
  func longestHeader() throws {
    let server = try LoopbackServer { _, connection in
      connection.answer(headers: (0..<990).map { "h\($0): " })
    }
    #expect(try Transfers().perform(HTTPRequest(server.url())).status == 200)
  }

  @Test("a refused connection says where to, in libcurl's words")
  func refused() throws {
    let failure = try Transfers().failure(of: HTTPRequest("http://127.0.0.1:1/"))
    #expect(failure?.code == 7)
    #expect(failure?.message.hasPrefix("Failed to connect to 127.0.0.1 port 1") == true)
  }

  @Test(
    "what is no HTTP URL never reaches the network",
    arguments: [
      "", "http://", "not a url", "file:///etc/passwd", "http://h\0/", "http://a b/",
      "ftp://127.0.0.1/", "http://127.0.0.1/\r\nX: y", "http://127.0.0.1/\n", "http://a\u{7f}/",
    ])
  func badURL(url: String) throws {
    let failure = try #require(try Transfers().failure(of: HTTPRequest(url)))
    #expect(!failure.message.isEmpty)
  }

  @Test("a header or a method cannot smuggle a second request in")
  func forged() throws {
    let server = try LoopbackServer()
    let transfers = try Transfers()
    for request in [
      HTTPRequest(server.url(), headers: ["X: 1\r\nY: 2"]),
      HTTPRequest(server.url(), headers: ["X: 1\rY: 2"]),
      HTTPRequest(server.url(), headers: ["X\0: 1"]),
      HTTPRequest(server.url(), headers: ["Authorization : x"]),
      HTTPRequest(server.url(), headers: ["no name at all"]),
      HTTPRequest(server.url("/ HTTP/1.1\r\nX: y\r\n\r\nGET /")),
      HTTPRequest("GET / HTTP/1.1\r\nX:", server.url()), HTTPRequest("", server.url()),
    ] {
      #expect(try transfers.failure(of: request)?.code == 43)
    }
    #expect(server.requests.isEmpty)
  }

  @Test("what is not HTTP is not an answer")
  func garbage() throws {
    let server = try LoopbackServer { _, connection in
      connection.send("SSH-2.0-OpenSSH_9.2\r\n")
      connection.hangUp()
    }
    #expect(try Transfers().failure(of: HTTPRequest(server.url())) != nil)
  }
}
