import CCurl

extension Transfer {
  /// How libcurl's receive buffer is sized: a thousand waiting transfers have one each.
  private static let receiveBuffer = 16 << 10

  /// Translates a request into libcurl's options.
  func setOptions(_ request: HTTPRequest) throws(HTTPFailure) {
    guard !request.url.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
      throw .unusable("There is a control character in the URL")
    }
    try set(CURLOPT_URL, request.url)
    try set(CURLOPT_PROTOCOLS_STR, Array("http,https".utf8))
    try set(CURLOPT_REDIR_PROTOCOLS_STR, Array("http,https".utf8))
    try set(CURLOPT_USERAGENT, request.userAgent)
    try set(CURLOPT_NOSIGNAL, 1)
    // Refused where a request that failed early has left its buffer behind: then that one serves.
    try? set(CURLOPT_BUFFERSIZE, Self.receiveBuffer)
    try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    try setLimits(request)
    try setVersionAndTrust(request)
    try setMethodAndBody(request)
    try setHeaders(request)
  }

  private func setLimits(_ request: HTTPRequest) throws(HTTPFailure) {
    try set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(request.connectTimeout))
    try set(CURLOPT_TIMEOUT_MS, milliseconds(request.timeout))
    if request.stallTimeout > 0 {
      try set(CURLOPT_LOW_SPEED_LIMIT, 1)
      try set(CURLOPT_LOW_SPEED_TIME, request.stallTimeout)
    }
  }

  private func setVersionAndTrust(_ request: HTTPRequest) throws(HTTPFailure) {
    let version =
      switch request.httpVersion {
      case .automatic: CURL_HTTP_VERSION_2TLS
      case .http10: CURL_HTTP_VERSION_1_0
      case .http11: CURL_HTTP_VERSION_1_1
      case .http2: CURL_HTTP_VERSION_2_0
      }
    try set(CURLOPT_HTTP_VERSION, Int(version))
    if !request.verifyPeer {
      try set(CURLOPT_SSL_VERIFYPEER, 0)
      try set(CURLOPT_SSL_VERIFYHOST, 0)
    }
    if let caInfo = request.caInfo { try set(CURLOPT_CAINFO, caInfo) }
  }

  /// Chooses libcurl's own GET, HEAD or POST where it has one, so that its redirect rules apply.
  private func setMethodAndBody(_ request: HTTPRequest) throws(HTTPFailure) {
    guard !request.method.isEmpty, request.method.utf8.allSatisfy(isTokenByte) else {
      throw .unusable("The method is not a word: \(request.method)")
    }
    if let body = request.body ?? (Self.alwaysHasBody.contains(request.method) ? [] : nil) {
      // The size first: it is what lets the copy contain NUL bytes.
      try check(ccurl_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count)))
      // An empty array may have no address, and libcurl takes NULL for "no body".
      try check((body + [0]).withUnsafeBytes { copyBody($0) })
      if request.method != "POST" { try set(CURLOPT_CUSTOMREQUEST, Array(request.method.utf8)) }
    } else if request.method == "HEAD" {
      try set(CURLOPT_NOBODY, 1)
    } else if request.method != "GET" {
      try set(CURLOPT_CUSTOMREQUEST, Array(request.method.utf8))
    }
    guard request.followRedirects else { return }
    try set(CURLOPT_FOLLOWLOCATION, 1)
    try set(CURLOPT_MAXREDIRS, 10)
    // To libcurl any body is a POST, which 301 and 302 would turn into a GET.
    if request.method != "POST" {
      try set(CURLOPT_POSTREDIR, Int(CURL_REDIR_POST_301 | CURL_REDIR_POST_302))
    }
  }

  private func copyBody(_ bytes: UnsafeRawBufferPointer) -> CURLcode {
    ccurl_set_bytes(easy, CURLOPT_COPYPOSTFIELDS, bytes.baseAddress)
  }

  private func setHeaders(_ request: HTTPRequest) throws(HTTPFailure) {
    var lines = request.headers
    // Without this a body over 1 MiB waits a second for a server that knows no 100-continue.
    let name = "expect"
    let isGiven = lines.contains {
      String(decoding: $0.prefix(name.utf8.count), as: UTF8.self).lowercased() == name
    }
    if !isGiven { lines.append(Array("Expect:".utf8)) }
    for line in lines {
      guard !line.contains(where: { $0 == 0 || $0 == 10 || $0 == 13 }) else {
        throw .unusable("A header has a line break or NUL in it")
      }
      guard hasName(line) else {
        throw .unusable(
          "A header's name is not a word: \(String(decoding: line.prefix(80), as: UTF8.self))")
      }
      let grown = (line + [0]).withUnsafeBytes {
        curl_slist_append(headerList, $0.baseAddress?.assumingMemoryBound(to: CChar.self))
      }
      guard let grown else { throw HTTPFailure(CURLE_OUT_OF_MEMORY) }
      headerList = grown
    }
    try check(ccurl_set_headers(easy, headerList))
  }

  private func set(_ option: CURLoption, _ value: Int) throws(HTTPFailure) {
    try check(ccurl_set_long(easy, option, value))
  }

  private func set(_ option: CURLoption, _ bytes: [UInt8]) throws(HTTPFailure) {
    guard !bytes.contains(0) else { throw .unusable("There is a NUL byte in a URL or a name") }
    let code = (bytes + [0]).withUnsafeBytes { ccurl_set_bytes(easy, option, $0.baseAddress) }
    try check(code)
  }

  /// The methods whose request always has a body, be it empty (RFC 9110, 8.6).
  private static let alwaysHasBody: Set = ["POST", "PUT", "PATCH"]
}

extension HTTPFailure {
  /// A failure of the request itself, found before libcurl saw it.
  static func unusable(_ message: String) -> Self {
    HTTPFailure(code: Int32(CURLE_BAD_FUNCTION_ARGUMENT.rawValue), message: message)
  }
}

/// Whether a byte may be in a method (RFC 9110, 5.6.2); anything else could forge a request line.
private func isTokenByte(_ byte: UInt8) -> Bool {
  byte > 0x20 && byte < 0x7f && !#"(),/:;<=>?@[\]{}""#.utf8.contains(byte)
}

/// Whether a header line begins with a name. By any other, such as one with a space behind it, libcurl
/// would not know the credentials that it keeps from other hosts.
private func hasName(_ line: [UInt8]) -> Bool {
  let name = line.prefix { $0 != UInt8(ascii: ":") && $0 != UInt8(ascii: ";") }
  return !name.isEmpty && name.count < line.count && name.allSatisfy(isTokenByte)
}

/// Seconds as libcurl's milliseconds, rounded up, since 0 means no limit; at most 24 days.
func milliseconds(_ seconds: Double) -> Int {
  seconds > 0 ? Int(min(seconds * 1000, Double(Int32.max)).rounded(.up)) : 0
}
