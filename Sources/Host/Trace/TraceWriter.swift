// The line that an operation becomes. It is made byte by byte in one buffer, because under load it is
// made a hundred thousand times a second.

import FUSE
import Glibc

/// How a trace looks.
package enum TraceFormat: String, CaseIterable, Sendable {
  /// A line for people.
  case text
  /// A JSON object a line.
  case json
}

/// Makes lines of operations.
struct TraceWriter {
  let format: TraceFormat
  /// Whether a terminal is to show errors and slow operations in colours.
  let colours: Bool

  private var second: time_t = -1
  /// The time of day of that second, as text.
  private var clock: [UInt8] = []

  init(format: TraceFormat, colours: Bool) {
    self.format = format
    self.colours = colours
  }

  /// What is shown as slow, in nanoseconds.
  private static let slow: UInt64 = 10_000_000

  mutating func write(_ event: TraceEvent, _ command: [UInt8], to out: inout [UInt8]) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    switch format {
    case .text: writeText(event, command, now, to: &out)
    case .json: writeJSON(event, command, now, to: &out)
    }
    out.append(UInt8(ascii: "\n"))
  }

  // MARK: For people

  private mutating func writeText(
    _ event: TraceEvent, _ command: [UInt8], _ now: timespec, to out: inout [UInt8]
  ) {
    if now.tv_sec != second {
      second = now.tv_sec
      clock = TraceWriter.timeOfDay(second)
    }
    out += clock
    out.append(UInt8(ascii: "."))
    out.append(number: now.tv_nsec / 1000, digits: 6)
    out.append(UInt8(ascii: " "))
    let name = event.operation.bytes
    out += name
    for _ in name.count..<max(name.count + 1, 10) { out.append(UInt8(ascii: " ")) }
    if let path = event.path { out.append(printable: path) }
    if !event.detail.isNone {
      out.append(UInt8(ascii: " "))
      out.append(event.detail)
    }
    out += " = ".utf8
    switch event.result {
    case .success(let number): out.append(number: number)
    case .failure(let error):
      paint("31", &out) { $0 += (error.name ?? "\(error.rawValue)").utf8 }
    }
    out += "  ".utf8
    if event.total >= TraceWriter.slow {
      paint("33", &out) { $0.append(number: event.total / 1000) }
    } else {
      out.append(number: event.total / 1000)
    }
    out += "us ruby=".utf8
    out.append(number: event.ruby / 1000)
    out += " wait=".utf8
    out.append(number: event.waiting / 1000)
    out += "  ".utf8
    out.append(printable: command)
    out.append(UInt8(ascii: "["))
    out.append(number: event.caller.pid)
    out.append(UInt8(ascii: "]"))
  }

  private func paint(_ code: String, _ out: inout [UInt8], _ body: (inout [UInt8]) -> Void) {
    guard colours else { return body(&out) }
    out += "\u{1B}[\(code)m".utf8
    body(&out)
    out += "\u{1B}[0m".utf8
  }

  private static func timeOfDay(_ second: time_t) -> [UInt8] {
    var second = second
    var parts = tm()
    localtime_r(&second, &parts)
    var text: [UInt8] = []
    text.append(number: parts.tm_hour, digits: 2)
    text.append(UInt8(ascii: ":"))
    text.append(number: parts.tm_min, digits: 2)
    text.append(UInt8(ascii: ":"))
    text.append(number: parts.tm_sec, digits: 2)
    return text
  }

  // MARK: For programs

  private func writeJSON(
    _ event: TraceEvent, _ command: [UInt8], _ now: timespec, to out: inout [UInt8]
  ) {
    out += #"{"time":"#.utf8
    out.append(number: now.tv_sec)
    out.append(UInt8(ascii: "."))
    out.append(number: now.tv_nsec / 1000, digits: 6)
    out += #","operation":""#.utf8
    out += event.operation.bytes
    out += #"","path":"#.utf8
    if let path = event.path { out.append(quoted: path) } else { out += "null".utf8 }
    out += #","arguments":"#.utf8
    var detail: [UInt8] = []
    detail.append(event.detail)
    out.append(quoted: detail)
    switch event.result {
    case .success(let number):
      out += #","result":"#.utf8
      out.append(number: number)
      out += #","errno":null"#.utf8
    case .failure(let error):
      out += #","result":null,"errno":""#.utf8
      out += (error.name ?? "\(error.rawValue)").utf8
      out.append(UInt8(ascii: "\""))
    }
    out += #","microseconds":"#.utf8
    out.append(number: event.total / 1000)
    out += #","ruby":"#.utf8
    out.append(number: event.ruby / 1000)
    out += #","waiting":"#.utf8
    out.append(number: event.waiting / 1000)
    out += #","pid":"#.utf8
    out.append(number: event.caller.pid)
    out += #","command":"#.utf8
    out.append(quoted: command)
    out.append(UInt8(ascii: "}"))
  }
}

extension Operation {
  private static let encoded = allCases.map { Array($0.name.utf8) }
  fileprivate var bytes: [UInt8] { Operation.encoded[rawValue] }
}

extension TraceRecord.Detail {
  fileprivate var isNone: Bool { if case .none = self { true } else { false } }
}

extension [UInt8] {
  /// Appends a number in decimal, with leading zeros up to so many digits.
  fileprivate mutating func append(number: some BinaryInteger, digits: Int = 1) {
    if number < 0 { append(UInt8(ascii: "-")) }
    var rest = UInt64(number.magnitude)
    let start = count
    repeat {
      append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    } while rest > 0
    while count - start < digits { append(UInt8(ascii: "0")) }
    self[start...].reverse()
  }

  fileprivate mutating func append(_ detail: TraceRecord.Detail) {
    switch detail {
    case .none: break
    case .number(let number): append(number: number)
    case .octal(let number): self += ("0" + String(number, radix: 8)).utf8
    case .range(let size, let offset):
      append(number: size)
      append(UInt8(ascii: "@"))
      append(number: offset)
    case .text(let bytes): append(printable: bytes)
    }
  }

  /// Appends bytes; what would move a terminal's cursor is shown as \xNN.
  fileprivate mutating func append(printable bytes: [UInt8]) {
    let digits = Array("0123456789abcdef".utf8)
    for byte in bytes {
      if byte >= 0x20 && byte != 0x7F {
        append(byte)
      } else {
        self += "\\x".utf8
        append(digits[Int(byte >> 4)])
        append(digits[Int(byte & 15)])
      }
    }
  }

  /// Appends bytes as a JSON string; what is not UTF-8 is replaced.
  fileprivate mutating func append(quoted bytes: [UInt8]) {
    if bytes.allSatisfy({ $0 < 0x80 }) {
      JSON.write(bytes, to: &self)
    } else {
      JSON.write(String(decoding: bytes, as: UTF8.self).utf8, to: &self)
    }
  }
}
