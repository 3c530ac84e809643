import CCurl
import Glibc

/// One libcurl easy handle with what it has received so far; used again for later requests.
///
/// Invariant: while the handle is in a multi handle, its `Transfers` holds this object, and libcurl
/// holds unretained pointers to it (WRITEDATA, HEADERDATA, PRIVATE). The callbacks run inside
/// curl_multi_perform, curl_easy_pause and curl_multi_remove_handle only, on the owner's thread.
final class Transfer {
  /// How much a streaming transfer holds before it stops reading from its connection.
  static let streamingBuffer = 256 << 10

  let easy: UnsafeMutableRawPointer
  var ticket: UInt64 = 0
  var streaming = false
  private var maximumBody = 0
  private var maximumHeaderLines = 0
  private var maximumHeaderBytes = 0
  var headerList: UnsafeMutablePointer<curl_slist>?

  /// The header block of the newest response.
  private(set) var head: [UInt8] = []
  private var headIsComplete = false
  private var headLines = 0
  /// The bytes of all header blocks so far, of which only the newest is kept.
  private var headerBytes = 0
  /// The bytes received and not yet handed over.
  private(set) var body: [UInt8] = []
  /// Whether libcurl was told to keep the next bytes for now.
  private var isPaused = false

  /// Whether somebody waits for the next event of a streaming transfer.
  var isAwaited = false
  /// What came of it, once it is over.
  var result: Result<HTTPResponse, HTTPFailure>?

  private let errorText: UnsafeMutablePointer<CChar>
  /// A failure found by a callback, which libcurl can only report as a failure to write.
  private var ownFailure: HTTPFailure?

  init() throws(HTTPFailure) {
    guard let easy = curl_easy_init() else { throw HTTPFailure(CURLE_OUT_OF_MEMORY) }
    self.easy = easy
    errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
    errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
  }

  deinit {
    curl_easy_cleanup(easy)
    curl_slist_free_all(headerList)
    errorText.deallocate()
  }

  /// Makes the handle ready for `request`, forgetting the one before.
  ///
  /// Fails where the request cannot be put into an HTTP message, or libcurl refuses an option.
  func prepare(_ request: HTTPRequest, ticket: UInt64) throws(HTTPFailure) {
    clear()
    self.ticket = ticket
    streaming = request.streaming
    isAwaited = request.streaming
    maximumBody = request.maximumBody
    maximumHeaderLines = request.maximumHeaderLines
    maximumHeaderBytes = request.maximumHeaderBytes
    try setCallbacks()
    try setOptions(request)
  }

  /// Lets go of everything that belonged to a request; libcurl keeps its connections and caches.
  func clear() {
    curl_easy_reset(easy)
    curl_slist_free_all(headerList)
    headerList = nil
    head = []
    headIsComplete = false
    headLines = 0
    headerBytes = 0
    body = []
    isPaused = false
    isAwaited = false
    result = nil
    ownFailure = nil
    errorText[0] = 0
  }

  /// Turns the code with which libcurl ended the transfer into its result.
  func finish(_ code: CURLcode) {
    guard code == CURLE_OK else {
      result = .failure(ownFailure ?? failure(code))
      return
    }
    result = .success(HTTPResponse(headers: head, body: streaming ? [] : takeBody()))
  }

  /// libcurl's message about a code: what it wrote for this transfer, else the general one.
  func failure(_ code: CURLcode) -> HTTPFailure {
    errorText[0] == 0
      ? HTTPFailure(code)
      : HTTPFailure(code: Int32(code.rawValue), message: String(cString: errorText))
  }

  /// Hands over the bytes received so far.
  func takeBody() -> [UInt8] {
    defer { body = [] }
    return body
  }

  /// Lets libcurl go on where it was paused; it may deliver bytes at once.
  ///
  /// Returns the code with which the transfer ended, if it did. curl_easy_pause(3).
  func unpause() -> CURLcode? {
    guard isPaused, result == nil else { return nil }
    isPaused = false
    let code = curl_easy_pause(easy, CURLPAUSE_CONT)
    return code == CURLE_OK ? nil : code
  }

  // MARK: What libcurl calls

  private func setCallbacks() throws(HTTPFailure) {
    let context = Unmanaged.passUnretained(self).toOpaque()
    try check(ccurl_set_pointer(easy, CURLOPT_PRIVATE, context))
    try check(ccurl_set_pointer(easy, CURLOPT_ERRORBUFFER, errorText))
    try check(
      ccurl_set_writer(
        easy, CURLOPT_WRITEFUNCTION,
        { bytes, size, count, context in
          guard let bytes, let context else { return 0 }
          return Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            .receiveBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }, context))
    try check(
      ccurl_set_writer(
        easy, CURLOPT_HEADERFUNCTION,
        { bytes, size, count, context in
          guard let bytes, let context else { return 0 }
          return Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            .receiveHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }, context))
    // libcurl's own sockets are inherited by every child process, which then keeps them open.
    try check(
      ccurl_set_socket_opener(easy) { _, _, address in
        guard let address else { return -1 }
        let type = address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue)
        return socket(address.pointee.family, type, address.pointee.protocol)
      })
  }

  /// Takes the next bytes of the body; returns how many, or CURL_WRITEFUNC_PAUSE for later.
  private func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Int {
    if streaming {
      if !body.isEmpty, body.count + bytes.count > Self.streamingBuffer {
        isPaused = true
        return Int(CURL_WRITEFUNC_PAUSE)
      }
    } else if max(body.count + bytes.count, Int(ccurl_content_length(easy))) > maximumBody {
      return tooLarge("The answer is longer than the \(maximumBody) bytes allowed")
    }
    body.append(contentsOf: bytes)
    return bytes.count
  }

  /// Ends the transfer: what is returned is less than libcurl has passed on.
  private func tooLarge(_ message: String) -> Int {
    ownFailure = HTTPFailure(code: Int32(CURLE_FILESIZE_EXCEEDED.rawValue), message: message)
    return 0
  }

  /// Takes one header line; a status line begins anew, and trailers after a block are left out.
  private func receiveHeader(_ line: UnsafeRawBufferPointer) -> Int {
    if line.starts(with: "HTTP/".utf8) {
      head = []
      headIsComplete = false
      headLines = 0
      if !keepsMethod(afterStatusLine: line) {
        let code = ccurl_set_bytes(easy, CURLOPT_CUSTOMREQUEST, nil)
        if code != CURLE_OK { return 0 }
      }
    }
    headLines += 1
    headerBytes += line.count
    if headLines > maximumHeaderLines {
      return tooLarge("The reply has more than the \(maximumHeaderLines) header lines allowed")
    }
    if headerBytes > maximumHeaderBytes {
      return tooLarge("The reply's header is longer than the \(maximumHeaderBytes) bytes allowed")
    }
    if !headIsComplete { head.append(contentsOf: line) }
    if line.elementsEqual("\r\n".utf8) || line.elementsEqual("\n".utf8) { headIsComplete = true }
    return line.count
  }

  /// False for 303: the next request is a GET, which libcurl forgets where CUSTOMREQUEST is set.
  private func keepsMethod(afterStatusLine line: UnsafeRawBufferPointer) -> Bool {
    !(line.split(separator: UInt8(ascii: " ")).dropFirst().first?.elementsEqual("303".utf8) ?? false)
  }
}

extension HTTPFailure {
  /// libcurl's general message about a code. curl_easy_strerror(3).
  init(_ code: CURLcode) {
    self.init(code: Int32(code.rawValue), message: String(cString: curl_easy_strerror(code)))
  }
}

/// Turns libcurl's refusal of an option into a failure of the request.
func check(_ code: CURLcode) throws(HTTPFailure) {
  guard code == CURLE_OK else { throw HTTPFailure(code) }
}
