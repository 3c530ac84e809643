/// One HTTP request, with everything that says how it is to be carried out.
///
/// A plain value: it may be made on one thread and carried out on another.
package struct HTTPRequest: Sendable {
  /// The protocol version to ask for; a server may still answer with another one.
  ///
  /// CURLOPT_HTTP_VERSION(3).
  package enum Version: Sendable {
    /// HTTP/2 over TLS where the server offers it, HTTP/1.1 elsewhere.
    case automatic
    /// HTTP/1.0.
    case http10
    /// HTTP/1.1.
    case http11
    /// HTTP/2, by an upgrade where there is no TLS.
    case http2
  }

  /// The method that the request line carries, a token of RFC 9110; `GET` unless said otherwise.
  package var method: String

  /// The absolute URL as bytes, with the scheme `http` or `https`.
  package var url: [UInt8]

  /// Raw `Name: value` lines without a line end, sent in this order.
  ///
  /// As libcurl reads them: `Name:` keeps a header that libcurl would add from being sent, and
  /// `Name;` sends it without a value. CURLOPT_HTTPHEADER(3).
  package var headers: [[UInt8]]

  /// The body's bytes, whatever they are; nil sends none, or an empty one with POST, PUT and PATCH.
  package var body: [UInt8]?

  /// How long connecting may take, in seconds; 0 means libcurl's 300. CURLOPT_CONNECTTIMEOUT_MS(3).
  package var connectTimeout: Double = 10

  /// How long the whole request may take, in seconds; 0 means for ever. CURLOPT_TIMEOUT_MS(3).
  package var timeout: Double = 30

  /// How many whole seconds may pass without a byte; 0 means any number. CURLOPT_LOW_SPEED_TIME(3).
  package var stallTimeout: Int = 0

  /// Whether the server's certificate and the name in it are checked. CURLOPT_SSL_VERIFYPEER(3).
  package var verifyPeer = true

  /// A file of certificates to trust; nil takes the system's. CURLOPT_CAINFO(3).
  package var caInfo: [UInt8]?

  /// The protocol version to ask for.
  package var httpVersion = Version.automatic

  /// Whether a redirect is followed, ten times at most. CURLOPT_FOLLOWLOCATION(3).
  ///
  /// A POST that is answered 301, 302 or 303 goes on as GET, any other method only after 303; 307
  /// and 308 repeat the request as it is.
  package var followRedirects = false

  /// Whether the body is handed over piece by piece as it arrives, instead of whole at the end.
  package var streaming = false

  /// How many bytes of body are kept at most; a longer one fails. Not asked when streaming.
  package var maximumBody = 64 << 20

  /// How many lines the header block of a reply may have; a longer one fails.
  package var maximumHeaderLines = 1000

  /// How many bytes of header all replies to the request may have, followed redirects included.
  ///
  /// libcurl has a bound of its own, of 300 KiB.
  package var maximumHeaderBytes = 256 << 10

  /// What User-Agent says, unless `headers` has that line. CURLOPT_USERAGENT(3).
  package var userAgent: [UInt8] = Array("fusuma/1".utf8)

  /// Makes a request with the defaults of this type.
  package init(
    method: String = "GET", url: [UInt8], headers: [[UInt8]] = [], body: [UInt8]? = nil
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
  }
}
