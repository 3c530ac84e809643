import Glibc
import Synchronization
import Testing

/// Curl as a script uses it, against a server in this process.
@Suite struct CurlTests {
  let ruby: PreludeVM

  init() throws { ruby = try PreludeVM() }

  /// A server that answers with the request's own method, headers and body.
  private func echo() throws -> LoopbackServer {
    try LoopbackServer { request, connection in
      let lines = ["\(request.method) \(request.target)"] + request.headers.sorted()
      let text = request.method == "HEAD" ? "" : lines.joined(separator: "\n") + "\n"
      connection.answer(headers: ["X-Echo: yes"], body: Array(text.utf8) + request.body)
    }
  }

  @Test func eachMethodIsSentAsItself() throws {
    let server = try echo()
    let url = server.url("/a?b")
    #expect(
      try ruby("C = Curl.new; U = '\(url)'; C.get(U).body.split(\"\\n\")[0]") == #""GET /a?b""#)
    #expect(try ruby(#"C.delete(U).body.split("\n")[0]"#) == #""DELETE /a?b""#)
    #expect(try ruby("r = C.head(U); [r.status_code, r.body]") == #"[200, ""]"#)
    for (method, name) in [("post", "POST"), ("put", "PUT"), ("patch", "PATCH")] {
      #expect(
        try ruby(
          ##"b = C.\##(method)(U, "x\0y\xff", "A" => "1").body; [b.split(" ")[0], b[-4..-1].bytes]"##
        )
          == #"["\#(name)", [120, 0, 121, 255]]"#)
    }
    #expect(
      try ruby(
        """
        r = HTTP::Request.new
        r.method = 'PROPFIND'
        r.body = 'b'
        r.headers['X-Y'] = 'z'
        text = C.send(U, r).body
        [text.split(' ')[0], text.include?("X-Y: z"), text[-1]]
        """) == #"["PROPFIND", true, "b"]"#)
    #expect(server.connectionCount == 1)
  }

  @Test func theClassHasTheMethodsToo() throws {
    let server = try echo()
    #expect(
      try ruby(
        """
        u = '\(server.url())'
        r = HTTP::Request.new
        all = [Curl.get(u), Curl.delete(u), Curl.post(u, 'a'), Curl.put(u, 'a'), Curl.patch(u, 'a'),
               Curl.send(u, r), Curl::get(u, {'A' => 'b'}), Curl.head(u)]
        all.map { |answer| answer.body.split(' ')[0] }
        """) == #"["GET", "DELETE", "POST", "PUT", "PATCH", "GET", "GET", nil]"#)
    #expect(try ruby("[Curl.global_init, Curl::SSL_VERIFYPEER, Curl::CAINFO]") == "[true, 1, nil]")
  }

  @Test func answersAreResponses() throws {
    let server = try LoopbackServer { _, connection in
      connection.answer("418 I'm a teapot", headers: ["X-A: 1", "x-a: 2"], body: [0, 255, 10])
    }
    #expect(
      try ruby(
        "r = Curl.get('\(server.url())'); [r.class, r.status_code, r.message, r.headers['X-A'], r.content_length, r.body.bytes]"
      ) == #"[HTTP::Response, 418, "I'm a teapot", "1, 2", 3, [0, 255, 10]]"#)
  }

  @Test func headersGoOutAsTheyAre() throws {
    let server = try echo()
    #expect(
      try ruby(
        "Curl.post('\(server.url())', 'x', 'Content-Type' => 'a/b', 'X-Empty' => '', 'X-N' => 5).status_code"
      )
        == "200")
    let request = try #require(server.requests.first)
    #expect(request["Content-Type"] == "a/b")
    #expect(request["X-Empty"] == "")
    #expect(request["X-N"] == "5")
    #expect(
      try ruby(#"Curl.get('http://h/', "A" => "b\r\nC: d")"#).hasPrefix("ArgumentError: bad header")
    )
    for name in [#"a\r\nb"#, "", "a b", "a:b", "a;b", #"a\0"#, "Authorization "] {
      #expect(
        try ruby(#"Curl.get('http://h/', "\#(name)" => "x")"#).hasPrefix(
          "ArgumentError: bad header"))
    }
    #expect(try ruby(#"Curl.get('http://h/', "A" => "b\rC: d")"#).hasPrefix("ArgumentError: "))
    #expect(try ruby("Curl.get('http://h/', 5)").hasPrefix("ArgumentError: "))
  }

  @Test func aHashIsSentAsAForm() throws {
    let server = try echo()
    #expect(try ruby("Curl.post('\(server.url())', {'a' => 'b c', :d => 1}).status_code") == "200")
    let request = try #require(server.requests.first)
    #expect(String(decoding: request.body, as: UTF8.self) == "a=b+c&d=1")
    #expect(request["Content-Type"] == "application/x-www-form-urlencoded")
  }

  @Test func aBlockIsYieldedEachPieceAsItArrives() throws {
    let server = try LoopbackServer { _, connection in
      connection.send("HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
      for piece in ["one", "two", "three"] where connection.sendChunk(Array(piece.utf8)) {
        usleep(20_000)
      }
      connection.sendChunk([])
    }
    let url = server.url()
    #expect(
      try ruby(
        """
        pieces = []
        answer = Curl.get('\(url)') { |head, piece| pieces << [head.status_code, head.headers['X-A'], piece] }
        [answer, pieces]
        """) == #"[nil, [[200, "1", "one"], [200, "1", "two"], [200, "1", "three"]]]"#)
    // On a connection that is used again TCP may put the pieces together.
    let first = try ruby("Curl.get('\(url)') { |_, piece| break piece }")
    #expect(first.hasPrefix("\"one"))
    #expect(try ruby("Curl.get('\(url)') { raise 'mine' }") == "RuntimeError: mine")
    // The calls that were broken off are in nobody's way.
    #expect(try ruby("Curl.get('\(url)').body") == #""onetwothree""#)
  }

  @Test func streamsThatAreForgottenGiveTheirConnectionsBack() throws {
    let open = Atomic(0)
    let server = try LoopbackServer { _, connection in
      open.wrappingAdd(1, ordering: .relaxed)
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
      connection.waitForClose()
      open.wrappingSubtract(1, ordering: .relaxed)
    }
    _ = try ruby(
      """
      200.times { Fiber.new { Curl.get('\(server.url())') { |_, chunk| Fiber.yield chunk } }.resume }
      GC.start
      """)
    #expect(server.connectionCount == 200)
    for _ in 0..<1000 where open.load(ordering: .relaxed) > 40 { usleep(10_000) }
    #expect(open.load(ordering: .relaxed) <= 40)
    #expect(
      try ruby("FUSE.__http_close(-1); FUSE.__wait(:http_next, nil)").hasPrefix("TypeError: "))
  }

  @Test func aReplyOfTwentyThousandHeadersIsRefused() throws {
    let server = try LoopbackServer { request, connection in
      let count = Int(request.target.dropFirst()) ?? 0
      connection.answer(headers: (0..<count).map { "h\($0): \($0)" })
    }
    #expect(
      try ruby("r = Curl.get('\(server.url("/900"))'); [r.headers.size, r.headers['H899']]")
        == #"[901, "899"]"#)
    #expect(
      try ruby("Curl.get('\(server.url("/20000"))')")
        == "RuntimeError: The reply has more than the 1000 header lines allowed")
  }

  @Test func redirectsAreFollowedWhereAsked() throws {
    let server = try LoopbackServer { request, connection in
      request.target == "/"
        ? connection.answer("302 Found", headers: ["Location: /there"])
        : connection.answer(body: Array(request.target.utf8))
    }
    let url = server.url()
    #expect(try ruby("Curl.get('\(url)').status_code") == "302")
    #expect(
      try ruby(
        "c = Curl.new; c.follow_redirects = true; r = c.get('\(url)'); [r.status_code, r.body]")
        == #"[200, "/there"]"#)
    #expect(try ruby("Curl::FOLLOWLOCATION = 1; Curl.get('\(url)').body") == #""/there""#)
  }

  @Test func timeoutsAndVersionsAreSettings() throws {
    let server = try LoopbackServer { _, connection in connection.waitForClose() }
    let url = server.url()
    #expect(
      try ruby("c = Curl.new; c.timeout_ms = 100; c.get('\(url)')").hasPrefix(
        "RuntimeError: Operation timed out after 10"))
    #expect(try ruby("c = Curl.new; c.timeout = 0.1; [c.timeout, c.timeout_ms]") == "[0.1, nil]")
    #expect(
      try ruby("Curl::TIMEOUT_MS = 50; Curl.get('\(url)')").hasPrefix(
        "RuntimeError: Operation timed out"))
    #expect(try ruby("Curl.get('\(url)') { }").hasPrefix("RuntimeError: Operation timed out"))
    #expect(
      try ruby(
        "Curl::TIMEOUT_MS = nil; c = Curl.new; c.HTTP_VERSION = Curl::HTTP_1_0; c.timeout_ms = 50; c.get('\(url)')"
      ).hasPrefix("RuntimeError: "))
    #expect(server.requests.map(\.version).last == "HTTP/1.0")
  }

  @Test func failuresSayWhatLibcurlSays() throws {
    #expect(
      try ruby("Curl.get('http://127.0.0.1:1/')").hasPrefix("RuntimeError: Failed to connect"))
    #expect(
      try ruby(#"Curl.get("http://127.0.0.1:1/\r\nX: y")"#)
        == #"ArgumentError: invalid URL: "http://127.0.0.1:1/\r\nX: y""#)
    #expect(try ruby("Curl.get('file:///etc/passwd')").hasPrefix("RuntimeError: Protocol"))
    #expect(try ruby("Curl.get(nil)") == "TypeError: expected a URL, got nil")
    #expect(
      try ruby("Curl.send('http://h/', 5)") == "ArgumentError: expected an HTTP::Request, got 5")
  }

  @Test func manyCallsWaitAtOnce() throws {
    let server = try LoopbackServer { _, connection in
      usleep(200_000)
      connection.answer()
    }
    #expect(
      try ruby(
        """
        n = 0
        20.times { FUSE.spawn { n += 1 if Curl.get('\(server.url())').status_code == 200 } }
        start = Process.clock_gettime(1)
        sleep 0.05 while n < 20
        Process.clock_gettime(1) - start < 2
        """) == "true")
    #expect(ruby.parkings > 20)
  }
}
