/// The final response to one request; responses before it (1xx, followed redirects) are not kept.
package struct HTTPResponse: Sendable, Equatable {
  /// The protocol version of the response, such as (1, 1).
  package var version: (major: Int, minor: Int)

  /// The status code.
  package var status: Int

  /// The reason phrase; empty where there was none, as in HTTP/2.
  package var message: [UInt8]

  /// The header block as it came: the status line, the header lines, the blank line.
  package var headers: [UInt8]

  /// The body, without transfer coding; empty for a streamed one, which went out in chunks.
  package var body: [UInt8]

  /// Reads the status line of a header block, and puts a body to it.
  ///
  /// A status line that is not of the form `HTTP/1.1 200 OK` leaves what it lacks at 0; libcurl
  /// lets none such through.
  init(headers: [UInt8], body: [UInt8]) {
    let line = headers.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
    let words = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
    let version = words.first.map { $0.dropFirst(5).split(separator: UInt8(ascii: ".")) } ?? []
    let numbers = version.map { Int(String(decoding: $0, as: UTF8.self)) ?? 0 }
    self.version = (numbers.first ?? 0, numbers.count > 1 ? numbers[1] : 0)
    status = words.count > 1 ? Int(String(decoding: words[1], as: UTF8.self)) ?? 0 : 0
    message = words.count > 2 ? Array(words[2]) : []
    self.headers = headers
    self.body = body
  }

  /// Two responses are equal when all their bytes are.
  package static func == (one: Self, other: Self) -> Bool {
    one.headers == other.headers && one.body == other.body
  }
}

/// Why a request came to no response.
package struct HTTPFailure: Error, Equatable {
  /// libcurl's code. libcurl-errors(3).
  package var code: Int32

  /// libcurl's own message, which names the host, port or limit where it can.
  package var message: String
}
