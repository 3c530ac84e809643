import Testing

/// HTTP::Parser, HTTP::Request, HTTP::Response and HTTP::URL, without a network.
@Suite struct HTTPMessageTests {
  let ruby: PreludeVM

  init() throws {
    ruby = try PreludeVM()
    #expect(try ruby("P = HTTP::Parser.new; true") == "true")
  }

  @Test func parsesRequests() throws {
    #expect(
      try ruby(
        #"""
        r = P.parse_request("POST http://h:81/a?b=c#d HTTP/1.1\r\nHost: h\r\nX: 1\r\n\t2\r\nContent-Length: 2\r\n\r\nhi...")
        [r.method, r.schema, r.host, r.port, r.path, r.query, r.headers["X"], r.body]
        """#) == #"["POST", "http", "h", 81, "/a", "b=c", "1\t2", "hi"]"#)
    #expect(
      try ruby(#"r = P.parse_request("GET /a HTTP/1.0\n\n"); [r.path, r.host, r.port, r.body]"#)
        == #"["/a", nil, nil, nil]"#)
    #expect(
      try ruby(#"P.parse_request("GET /b HTTP/1.1\r\n\r\n") { |r| $path = r.path }"#) == "nil")
    #expect(try ruby("$path") == #""/b""#)
    #expect(
      try ruby(
        #"P.parse_request("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n").body"#
      ) == #""hello world""#)
  }

  @Test func parsesResponses() throws {
    #expect(
      try ruby(
        #"""
        r = P.parse_response("HTTP/1.1 200 Fine\r\ncontent-type: a/b\r\nContent-Length: 3\r\n\r\nabcdef")
        [r.status_code, r.message, r.headers["Content-Type"], r.content_length, r.chunked?, r.body]
        """#) == #"[200, "Fine", "a/b", 3, false, "abc"]"#)
    #expect(
      try ruby(
        #"""
        r = P.parse_response("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /\r\n\r\nHTTP/2 404\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n1\r\nX\r\n0\r\n\r\n")
        [r.status_code, r.message, r.content_length, r.chunked?, r.body]
        """#) == #"[404, "Not Found", nil, true, "0123456789X"]"#)
    #expect(try ruby(#"P.parse_response("HTTP/1.1 302 Found\r\n\r\nbody").body"#) == #""body""#)
    #expect(try ruby(#"P.parse_response("HTTP/1.1 204 No Content\r\n\r\n").body"#) == #""""#)
  }

  @Test func repeatedHeadersAreOneList() throws {
    #expect(
      try ruby(
        #"P.parse_response("HTTP/1.1 200 OK\r\nVia: a\r\nvia: b\r\nSet-Cookie: c=1\r\nSet-Cookie: d=2\r\n\r\n").headers"#
      ) == #"{"Via"=>"a, b", "Set-Cookie"=>"c=1\nd=2"}"#)
  }

  @Test func readsAsManyHeadersAsCurlTakes() throws {
    #expect(
      try ruby(
        #"""
        head = "HTTP/1.1 200 OK\r\n" + (1..998).map { |i| "h#{i}: #{i}\r\n" }.join + "\r\n"
        [P.parse_response(head).headers.size, P.parse_response("HTTP/1.1 200 OK\r\n" + "A: b\r\n c\r\n" * 300 + "\r\n").headers["a"].size]
        """#) == "[998, 1498]")
    #expect(
      try ruby(#"P.parse_response("HTTP/1.1 200 OK\r\n" + "h:\r\n" * 20000 + "\r\n")"#)
        == "ArgumentError: more than 1000 header lines")
    #expect(try ruby(#"P.parse_response("HTTP/1.1 100 C\r\n\r\n" * 20000)"#).isEmpty == false)
  }

  @Test(arguments: [
    (399, "nil"), (400, "22"), (401, "13"), (403, "13"), (404, "2"), (405, "1"), (408, "110"),
    (409, "17"), (410, "2"), (413, "27"), (414, "36"), (418, "22"), (423, "16"), (429, "11"),
    (500, "5"), (501, "95"), (503, "5"), (504, "110"), (507, "28"), (599, "5"), (700, "5"),
  ])
  func aStatusIsAnErrorOfAFilesystem(_ status: Int, _ errno: String) throws {
    #expect(try ruby("HTTP::Response.new(\(status)).errno") == errno)
  }

  @Test func badStatusesAreRaisedWhereAsked() throws {
    #expect(try ruby("r = HTTP::Response.new(204); r.check!.equal?(r)") == "true")
    #expect(try ruby("HTTP::Response.new.check!.status_code") == "nil")
    #expect(
      try ruby("HTTP::Response.new(404).check!")
        == "Errno::ENOENT: No such file or directory - HTTP 404 Not Found")
    #expect(
      try ruby("HTTP::Response.new(507, 'Full').check!")
        == "Errno::ENOSPC: No space left on device - HTTP 507 Full")
  }

  @Test(arguments: ["", "garbage", #"\r\n\r\n"#, #"GET\r\n\r\n"#, #"GET / HXXP\r\n\r\n"#])
  func refusesWhatIsNoMessage(_ text: String) throws {
    #expect(try ruby("P.parse_request(\"\(text)\")").hasPrefix("ArgumentError: "))
    #expect(try ruby("P.parse_response(\"\(text)\")").hasPrefix("ArgumentError: "))
  }

  @Test func refusesABadChunk() throws {
    #expect(
      try ruby(#"P.parse_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")"#)
        == #"ArgumentError: not a chunk size: "zz""#)
    #expect(
      try ruby(
        #"P.parse_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").body"#)
        == #""ab""#)
  }

  @Test(arguments: [
    (
      "http://u:p@example.com:8080/p/q?a=b#f",
      #"["http", "example.com", 8080, "/p/q", "a=b", "f"]"#
    ),
    ("https://example.com", #"["https", "example.com", 443, nil, nil, nil]"#),
    ("http://[::1]/", #"["http", "::1", 80, "/", nil, nil]"#),
    ("/path?q", #"[nil, nil, nil, "/path", "q", nil]"#),
    ("http://h?x", #"["http", "h", 80, nil, "x", nil]"#),
    ("ftp://h/a//b", #"["ftp", "h", nil, "/a//b", nil, nil]"#),
  ])
  func parsesURLs(_ url: String, _ parts: String) throws {
    #expect(
      try ruby("u = P.parse_url('\(url)'); [u.schema, u.host, u.port, u.path, u.query, u.fragment]")
        == parts)
  }

  @Test(arguments: [
    "", "foo", "http://", "http:///x", "http://h:99999/", "http://h:x/", "http://a b/",
  ])
  func refusesWhatIsNoURL(_ url: String) throws {
    #expect(try ruby("P.parse_url('\(url)')").hasPrefix("ArgumentError: invalid URL"))
  }

  @Test func escapesAndUnescapes() throws {
    #expect(
      try ruby(#"HTTP::URL.encode("a b&c=é~-_.\0")"#) == #""a+b%26c%3d%c3%a9~-_.%00""#)
    #expect(try ruby(#"HTTP::URL.decode("a+b%26%2B%zz%4")"#) == #""a b&+%zz%4""#)
    #expect(
      try ruby(
        "all = (0..255).map { |b| b.chr }.join; HTTP::URL.decode(HTTP::URL.encode(all)) == all")
        == "true")
    #expect(
      try ruby("HTTP::URL.encode_form('a' => 1, :b => ['x y', '&'])") == #""a=1&b=x+y&b=%26""#)
  }

  @Test func aNewRequestIsAGet() throws {
    #expect(
      try ruby(
        "r = HTTP::Request.new; r.headers['A-b'] = '1'; [r.method, r.body, r.headers['a-B']]")
        == #"["GET", nil, "1"]"#)
  }
}
