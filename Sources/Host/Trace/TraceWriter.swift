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

  /// What has to be added to the monotonic clock, in nanoseconds; looked at once a second.
  private var realTime: UInt64 = 0
  private var nextLook: UInt64 = 0
  private var second: UInt64 = 0
  /// The time of day of that second, as text.
  private var clock: [UInt8] = []

  init(format: TraceFormat, colours: Bool) {
    self.format = format
    self.colours = colours
  }

  /// What is shown as slow, in nanoseconds.
  private static let slow: UInt64 = 10_000_000

  mutating func write(_ event: TraceEvent, _ command: [UInt8], to out: inout [UInt8]) {
    if event.ended >= nextLook {
      var now = timespec()
      clock_gettime(CLOCK_REALTIME, &now)
      let nanoseconds = UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
      realTime = nanoseconds &- monotonicNanoseconds()
      nextLook = event.ended + 1_000_000_000
    }
    let now = event.ended &+ realTime
    switch format {
    case .text: writeText(event, command, now, to: &out)
    case .json: writeJSON(event, command, now, to: &out)
    }
    out.append(UInt8(ascii: "\n"))
  }

  // MARK: For people

  private mutating func writeText(
    _ event: TraceEvent, _ command: [UInt8], _ now: UInt64, to out: inout [UInt8]
  ) {
    if now / 1_000_000_000 != second {
      second = now / 1_000_000_000
      clock = TraceWriter.timeOfDay(second)
    }
    out += clock
    out.append(UInt8(ascii: "."))
    out.append(number: now % 1_000_000_000 / 1000, digits: 6)
    out.append(UInt8(ascii: " "))
    let name = event.operation.bytes
    out += name
    for _ in name.count..<max(name.count + 1, 10) { out.append(UInt8(ascii: " ")) }
    if let path = event.path { out.append(printable: path) }
    if !event.detail.isNone {
      out.append(UInt8(ascii: " "))
      out.append(event.detail)
    }
    out.append(" = ")
    switch event.result {
    case .success(let number): out.append(number: number)
    case .failure(let error):
      paint("\u{1B}[31m", &out) { $0 += (error.name ?? "\(error.rawValue)").utf8 }
    }
    out.append("  ")
    if event.total >= TraceWriter.slow {
      paint("\u{1B}[33m", &out) { $0.append(number: event.total / 1000) }
    } else {
      out.append(number: event.total / 1000)
    }
    out.append("us ruby=")
    out.append(number: event.ruby / 1000)
    out.append(" wait=")
    out.append(number: event.waiting / 1000)
    out.append("  ")
    out.append(printable: command)
    out.append(UInt8(ascii: "["))
    out.append(number: event.caller.pid)
    out.append(UInt8(ascii: "]"))
  }

  private func paint(_ colour: StaticString, _ out: inout [UInt8], _ body: (inout [UInt8]) -> Void)
  {
    guard colours else { return body(&out) }
    out.append(colour)
    body(&out)
    out.append("\u{1B}[0m")
  }

  private static func timeOfDay(_ second: UInt64) -> [UInt8] {
    var second = time_t(second)
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
    _ event: TraceEvent, _ command: [UInt8], _ now: UInt64, to out: inout [UInt8]
  ) {
    out.append(#"{"time":"#)
    out.append(number: now / 1_000_000_000)
    out.append(UInt8(ascii: "."))
    out.append(number: now % 1_000_000_000 / 1000, digits: 6)
    out.append(#","operation":""#)
    out += event.operation.bytes
    out.append(#"","path":"#)
    if let path = event.path { out.append(quoted: path) } else { out.append("null") }
    out.append(#","arguments":"#)
    var detail: [UInt8] = []
    detail.append(event.detail)
    out.append(quoted: detail)
    switch event.result {
    case .success(let number):
      out.append(#","result":"#)
      out.append(number: number)
      out.append(#","errno":null"#)
    case .failure(let error):
      out.append(#","result":null,"errno":""#)
      out += (error.name ?? "\(error.rawValue)").utf8
      out.append(UInt8(ascii: "\""))
    }
    out.append(#","microseconds":"#)
    out.append(number: event.total / 1000)
    out.append(#","ruby":"#)
    out.append(number: event.ruby / 1000)
    out.append(#","waiting":"#)
    out.append(number: event.waiting / 1000)
    out.append(#","pid":"#)
    out.append(number: event.caller.pid)
    out.append(#","command":"#)
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

  /// "O_WRONLY|O_APPEND"; flags that say little, such as O_CLOEXEC, are left out.
  fileprivate static func names(of flags: Int32) -> String {
    let access = [O_RDONLY: "O_RDONLY", O_WRONLY: "O_WRONLY", O_RDWR: "O_RDWR"][flags & O_ACCMODE]
    let others = [
      (O_APPEND, "O_APPEND"), (O_CREAT, "O_CREAT"), (O_EXCL, "O_EXCL"), (O_TRUNC, "O_TRUNC"),
      (O_NONBLOCK, "O_NONBLOCK"), (O_SYNC, "O_SYNC"),
    ].filter { flags & $0.0 == $0.0 }.map(\.1)
    return ([access ?? "\(flags)"] + others).joined(separator: "|")
  }

  /// "size=3,mode=0644".
  fileprivate static func list(_ changes: AttributeChanges) -> String {
    var parts: [String] = []
    if let size = changes.size { parts.append("size=\(size)") }
    if let mode = changes.mode { parts.append("mode=0\(String(mode & 0o7777, radix: 8))") }
    if let uid = changes.uid { parts.append("uid=\(uid)") }
    if let gid = changes.gid { parts.append("gid=\(gid)") }
    if changes.accessTime != nil { parts.append("atime") }
    if changes.modificationTime != nil { parts.append("mtime") }
    return parts.joined(separator: ",")
  }
}

extension [UInt8] {
  /// Appends a number in decimal, with leading zeros up to so many digits.
  fileprivate mutating func append(number: some BinaryInteger, digits: Int = 1) {
    if number < 0 { append(UInt8(ascii: "-")) }
    append(UInt64(number.magnitude), digits: digits)
  }

  private mutating func append(_ number: UInt64, digits: Int) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { text in
      var rest = number
      var start = text.count
      repeat {
        start -= 1
        text[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0 || text.count - start < digits
      append(contentsOf: UnsafeMutableBufferPointer(rebasing: text[start...]))
    }
  }

  /// Appends a text that stands in the source.
  fileprivate mutating func append(_ text: StaticString) {
    append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
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
    case .flags(let flags): self += TraceRecord.Detail.names(of: flags).utf8
    case .changes(let changes): self += TraceRecord.Detail.list(changes).utf8
    }
  }

  /// Appends bytes; what would move a terminal's cursor is shown as \xNN.
  fileprivate mutating func append(printable bytes: [UInt8]) {
    guard bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
      append(contentsOf: bytes)
      return
    }
    for byte in bytes {
      if byte >= 0x20 && byte != 0x7F {
        append(byte)
      } else {
        self += ("\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)).utf8
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
