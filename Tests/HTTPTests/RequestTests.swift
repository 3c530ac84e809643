import HTTP
import Testing

@Suite("What is sent and what is received")
struct RequestTests {
  @Test(
    "carries the method, the headers and the body as they are",
    arguments: ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH", "OPTIONS", "REPORT"])
  func methods(method: String) throws {
    let server = try LoopbackServer { request, connection in
      if request.method == "HEAD" {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
      } else {
        connection.answer(body: Array("the answer".utf8))
      }
    }
    let body: [UInt8]? =
      ["POST", "PUT", "PATCH", "REPORT"].contains(method) ? [0, 255, 10, 0] : nil
    let response = try Transfers().perform(
      HTTPRequest(method, server.url("/p?q=1"), headers: ["X-One: 1", "x-two: zwei"], body: body))
    #expect(response.status == 200)
    #expect(response.message == Array("OK".utf8))
    #expect(response.version == (1, 1))
    #expect(response.body == (method == "HEAD" ? [] : Array("the answer".utf8)))
    let request = try #require(server.requests.first)
    #expect(request.method == method)
    #expect(request.target == "/p?q=1")
    #expect(request["X-One"] == "1")
    #expect(request.headers.contains("x-two: zwei"))
    #expect(request.body == body ?? [])
    #expect(request["Expect"] == nil)
    #expect(request["Accept-Encoding"] == nil)
    #expect(request["User-Agent"] == "fusuma/1")
  }

  @Test("sends an empty body with a POST that has none")
  func emptyPost() throws {
    let server = try LoopbackServer()
    _ = try Transfers().perform(HTTPRequest("POST", server.url()))
    #expect(server.requests.first?["Content-Length"] == "0")
  }

  @Test("carries a body of every byte, megabytes long, both ways")
  func binaryBodies() throws {
    let server = try LoopbackServer { request, connection in connection.answer(body: request.body) }
    let body = (0..<(3 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let response = try Transfers().perform(HTTPRequest("PUT", server.url(), body: body))
    #expect(response.body == body)
  }

  @Test("lets a given User-Agent, Expect and an emptied header stand as libcurl reads them")
  func ownHeaders() throws {
    let server = try LoopbackServer()
    _ = try Transfers().perform(
      HTTPRequest(
        server.url(), headers: ["User-Agent: me", "X-Blank;", "Accept:"]))
    let request = try #require(server.requests.first)
    #expect(request["User-Agent"] == "me")
    #expect(request["X-Blank"] == "")
    #expect(request["Accept"] == nil)
  }

  @Test("puts a chunked answer together and leaves its trailers out")
  func chunked() throws {
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.1 200 Fine by me\r\nTransfer-Encoding: chunked\r\n\r\n")
      connection.sendChunk(Array("one ".utf8))
      connection.sendChunk(Array("two".utf8))
      connection.send("0\r\nX-Trailer: t\r\n\r\n")
    }
    let response = try Transfers().perform(HTTPRequest(server.url()))
    #expect(response.body == Array("one two".utf8))
    #expect(response.message == Array("Fine by me".utf8))
    #expect(
      String(decoding: response.headers, as: UTF8.self)
        == "HTTP/1.1 200 Fine by me\r\nTransfer-Encoding: chunked\r\n\r\n")
  }

  @Test("keeps the final header block only")
  func interimAnswers() throws {
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
      connection.answer("404 Not Found", headers: ["X-Last: yes"])
    }
    let response = try Transfers().perform(HTTPRequest(server.url()))
    #expect(response.status == 404)
    #expect(!String(decoding: response.headers, as: UTF8.self).contains("103"))
  }

  @Test("speaks HTTP/1.0 where asked to")
  func version() throws {
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.0 200 OK\r\n\r\nold")
      connection.hangUp()
    }
    var request = HTTPRequest(server.url())
    request.httpVersion = .http10
    let response = try Transfers().perform(request)
    #expect(server.requests.first?.version == "HTTP/1.0")
    #expect(response.version == (1, 0))
    #expect(response.body == Array("old".utf8))
  }

  @Test("uses one connection for many requests")
  func keepAlive() throws {
    let server = try LoopbackServer()
    let transfers = try Transfers()
    for _ in 0..<50 { _ = try transfers.perform(HTTPRequest(server.url())) }
    #expect(server.requests.count == 50)
    #expect(server.connectionCount == 1)
  }
}

@Suite("Redirects")
struct RedirectTests {
  /// Answers /CODE with that code and a Location, anything else with its method and body.
  private func server() throws -> LoopbackServer {
    try LoopbackServer { request, connection in
      let name = request.target.dropFirst()
      if name == "loop" {
        connection.answer("302 Found", headers: ["Location: /loop"])
      } else if name == "file" {
        connection.answer("302 Found", headers: ["Location: file:///etc/passwd"])
      } else if Int(name) != nil {
        connection.answer("\(name) Moved", headers: ["Location: /end"], body: [1])
      } else {
        connection.answer(body: Array("\(request.method) ".utf8) + request.body)
      }
    }
  }

  @Test("are an answer like any other unless asked for")
  func off() throws {
    let server = try server()
    let response = try Transfers().perform(HTTPRequest(server.url("/302")))
    #expect(response.status == 302)
    #expect(response.body == [1])
    #expect(server.requests.count == 1)
  }

  @Test(
    "keep or change the method as their code says",
    arguments: [
      ("GET", 301, "GET "), ("HEAD", 302, ""), ("POST", 301, "GET "), ("POST", 302, "GET "),
      ("POST", 303, "GET "), ("POST", 307, "POST b"), ("POST", 308, "POST b"),
      ("PUT", 301, "PUT b"), ("PUT", 302, "PUT b"), ("PUT", 303, "GET "), ("PUT", 307, "PUT b"),
      ("DELETE", 302, "DELETE "), ("DELETE", 303, "GET "),
    ])
  func followed(method: String, code: Int, answer: String) throws {
    let server = try server()
    let body: [UInt8]? = ["POST", "PUT"].contains(method) ? Array("b".utf8) : nil
    var request = HTTPRequest(method, server.url("/\(code)"), body: body)
    request.followRedirects = true
    let response = try Transfers().perform(request)
    #expect(response.status == 200)
    #expect(response.body == Array(answer.utf8))
    #expect(server.requests.count == 2)
  }

  @Test("take no credentials along to another host")
  func credentials() throws {
    let other = try LoopbackServer { _, connection in connection.answer() }
    let url = other.url("/there")
    let server = try LoopbackServer { request, connection in
      request.target == "/here"
        ? connection.answer()
        : connection.answer(
          "307 Away", headers: ["Location: \(request.target == "/" ? url : "/here")"])
    }
    let address = "http://user:password@" + server.url().dropFirst("http://".count)
    for (path, headers) in [
      ("", []), ("", ["Authorization: Basic QQ==", "Cookie: a=b", "X-Other: c"]),
      ("", ["authorization:Basic QQ==", "COOKIE: a=b"]), ("same", ["Cookie: a=b"]),
    ] {
      var request = HTTPRequest("PUT", address + path, headers: headers, body: [1])
      request.followRedirects = true
      #expect(try Transfers().perform(request).status == 200)
    }
    #expect(server.requests.allSatisfy { $0["Authorization"] != nil })
    #expect(server.requests.last?["Cookie"] == "a=b")
    #expect(other.requests.count == 3)
    #expect(other.requests.allSatisfy { $0["Authorization"] == nil && $0["Cookie"] == nil })
    #expect(other.requests.contains { $0["X-Other"] == "c" })
  }

  @Test("end after ten, and never leave HTTP", arguments: [("/loop", 47, 11), ("/file", 1, 1)])
  func bounded(path: String, code: Int32, requests: Int) throws {
    let server = try server()
    var request = HTTPRequest(server.url(path))
    request.followRedirects = true
    #expect(try Transfers().failure(of: request)?.code == code)
    #expect(server.requests.count == requests)
  }
}
