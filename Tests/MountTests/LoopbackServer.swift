import Glibc
import Synchronization

/// An HTTP server on 127.0.0.1 for tests: a thread for each connection, a closure for each answer.
///
/// It reads requests with Content-Length or chunked bodies, keeps them, and keeps connections open
/// until the client closes them. It knows nothing of the code under test.
final class LoopbackServer: Sendable {
  /// A request as it came.
  struct Request: Sendable {
    var method = ""
    var target = ""
    var version = ""
    /// Header lines, without line ends.
    var headers: [String] = []
    var body: [UInt8] = []

    /// The value of the first header of that name, whatever its case.
    subscript(name: String) -> String? {
      let prefix = name.lowercased() + ":"
      let line = headers.first { $0.lowercased().hasPrefix(prefix) }
      return line.map { String($0.dropFirst(prefix.count).drop { $0 == " " }) }
    }
  }

  /// The connection on which a request is answered.
  struct Connection: Sendable {
    fileprivate let descriptor: Int32

    /// Sends bytes as they are; returns false once the client has gone.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
      var sent = 0
      while sent < bytes.count {
        let count = bytes[sent...].withUnsafeBytes {
          Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard count > 0 else { return false }
        sent += count
      }
      return true
    }

    /// Sends text as it is.
    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Sends a whole answer with its length.
    func answer(_ status: String = "200 OK", headers: [String] = [], body: [UInt8] = []) {
      let lines = ["HTTP/1.1 \(status)", "Content-Length: \(body.count)"] + headers + ["", ""]
      send(Array(lines.joined(separator: "\r\n").utf8) + body)
    }

    /// Sends one piece of a chunked body; an empty one ends it.
    @discardableResult
    func sendChunk(_ bytes: [UInt8]) -> Bool {
      send(Array((String(bytes.count, radix: 16) + "\r\n").utf8) + bytes + [13, 10])
    }

    /// Closes the connection, whatever the client expects.
    func hangUp() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Returns once the client has closed the connection.
    func waitForClose() {
      var byte: UInt8 = 0
      while recv(descriptor, &byte, 1, 0) > 0 {}
    }
  }

  /// Answers one request.
  typealias Handler = @Sendable (Request, Connection) -> Void

  /// The port it listens on.
  let port: UInt16

  private let listener: Int32
  private let handler: Handler
  private let log = Mutex<(connections: Int, requests: [Request])>((0, []))

  /// Listens on a free port, and answers with `handler`, which runs on many threads at once.
  init(_ handler: @escaping Handler = { _, connection in connection.answer() }) throws(ServerError)
  {
    self.handler = handler
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) | listen(listener, 1024) | getsockname(listener, $0, &length)
      }
    }
    guard listener >= 0, code == 0 else { throw ServerError(errno: errno) }
    self.listener = listener
    port = UInt16(bigEndian: address.sin_port)
    Self.detach { [weak self] in
      while true {
        let descriptor = accept(listener, nil, nil)
        guard descriptor >= 0 else { break }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        guard let server = self else {
          close(descriptor)
          break
        }
        server.log.withLock { $0.connections += 1 }
        Self.detach { server.serve(Connection(descriptor: descriptor)) }
      }
      close(listener)
    }
  }

  deinit { shutdown(listener, Int32(SHUT_RDWR)) }

  /// How many connections have been accepted so far.
  var connectionCount: Int { log.withLock { $0.connections } }

  /// The requests that have come so far, oldest first.
  var requests: [Request] { log.withLock { $0.requests } }

  /// The URL of a path on this server.
  func url(_ path: String = "/") -> String { "http://127.0.0.1:\(port)\(path)" }

  private func serve(_ connection: Connection) {
    var reader = Reader(descriptor: connection.descriptor)
    while let request = reader.next() {
      log.withLock { $0.requests.append(request) }
      handler(request, connection)
    }
    close(connection.descriptor)
  }

  /// Runs a closure on a thread with a small stack, of which a test may need hundreds.
  private static func detach(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 256 << 10)
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body))
    let code = pthread_create(
      &thread, &attributes,
      { pointer in
        guard let pointer else { return nil }
        Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue().body()
        return nil
      }, box.toOpaque())
    pthread_attr_destroy(&attributes)
    if code != 0 { box.release() }
  }
}

/// The server could not listen.
struct ServerError: Error {
  var errno: Int32
}

/// Reads requests from a connection.
private struct Reader {
  let descriptor: Int32
  private var buffer: [UInt8] = []

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// The next request; nil once the client has closed, or sent what is none.
  mutating func next() -> LoopbackServer.Request? {
    guard let first = line() else { return nil }
    let words = first.split(separator: " ").map(String.init)
    guard words.count == 3 else { return nil }
    var request = LoopbackServer.Request(
      method: words[0], target: words[1], version: words[2])
    while let header = line(), !header.isEmpty { request.headers.append(header) }
    if let length = request["Content-Length"].flatMap({ Int($0) }) {
      guard let body = take(length) else { return nil }
      request.body = body
    } else if request["Transfer-Encoding"]?.lowercased() == "chunked" {
      while let size = line().flatMap({ Int($0, radix: 16) }), let piece = take(size) {
        request.body += piece
        guard line() != nil, size > 0 else { break }
      }
    }
    return request
  }

  private mutating func line() -> String? {
    var end = buffer.firstIndex(of: 10)
    while end == nil {
      guard fill() else { return nil }
      end = buffer.firstIndex(of: 10)
    }
    guard let end, let bytes = take(end + 1) else { return nil }
    return String(decoding: bytes.prefix { $0 != 13 && $0 != 10 }, as: UTF8.self)
  }

  private mutating func take(_ count: Int) -> [UInt8]? {
    while buffer.count < count { guard fill() else { return nil } }
    defer { buffer.removeFirst(count) }
    return Array(buffer.prefix(count))
  }

  private mutating func fill() -> Bool {
    let count = withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 1) { bytes in
      let count = recv(descriptor, bytes.baseAddress, bytes.count, 0)
      if count > 0 { buffer.append(contentsOf: bytes[..<count]) }
      return count
    }
    return count > 0
  }
}
