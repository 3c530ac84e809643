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
  private var flagNames: [Int32: [UInt8]] = [:]
  private var errorNames = ErrorNames()

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
    let detail = text(of: event.detail)
    let path = event.path ?? []
    // At most four bytes for one that is printed, and all the rest is short.
    let bound = 256 + 4 * (path.count + detail.count + command.count)
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: bound) { memory in
      var line = Line(memory)
      line.append(clock)
      line.append(UInt8(ascii: "."))
      line.append(now % 1_000_000_000 / 1000, digits: 6)
      line.append(UInt8(ascii: " "))
      let name = event.operation.bytes
      line.append(name)
      for _ in name.count..<max(name.count + 1, 10) { line.append(UInt8(ascii: " ")) }
      line.append(printable: path)
      if case .range(let size, let offset) = event.detail {
        line.append(UInt8(ascii: " "))
        line.append(signed: Int64(size))
        line.append(UInt8(ascii: "@"))
        line.append(signed: offset)
      } else if !detail.isEmpty {
        line.append(UInt8(ascii: " "))
        line.append(detail)
      }
      line.append(" = ")
      switch event.result {
      case .success(let number): line.append(signed: Int64(number))
      case .failure(let error):
        paint("\u{1B}[31m", if: true, &line) { $0.append(errorNames.name(of: error)) }
      }
      line.append("  ")
      paint("\u{1B}[33m", if: event.total >= TraceWriter.slow, &line) {
        $0.append(event.total / 1000)
      }
      line.append("us ruby=")
      line.append(event.ruby / 1000)
      line.append(" wait=")
      line.append(event.waiting / 1000)
      line.append("  ")
      line.append(printable: command)
      line.append(UInt8(ascii: "["))
      line.append(signed: Int64(event.caller.pid))
      line.append(UInt8(ascii: "]"))
      out.append(contentsOf: line.bytes)
    }
  }

  private func paint(
    _ colour: StaticString, if isMeant: Bool, _ line: inout Line, _ body: (inout Line) -> Void
  ) {
    guard colours, isMeant else { return body(&line) }
    line.append(colour)
    body(&line)
    line.append("\u{1B}[0m")
  }

  /// The text of what is not made in the line itself; that of flags is remembered, as few are in use.
  private mutating func text(of detail: TraceRecord.Detail) -> [UInt8] {
    switch detail {
    case .none, .range: return []
    case .flags(let flags):
      if let known = flagNames[flags] { return known }
      let made = detail.printed
      if flagNames.count < 256 { flagNames[flags] = made }
      return made
    default: return detail.printed
    }
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
    out.append(quoted: event.detail.printed)
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

/// The names of errors as text, each made once.
private struct ErrorNames {
  private var known = [[UInt8]](repeating: [], count: 512)

  mutating func name(of error: Errno) -> [UInt8] {
    let index = Int(error.rawValue)
    guard known.indices.contains(index) else { return Array("\(error.rawValue)".utf8) }
    if known[index].isEmpty { known[index] = Array((error.name ?? "\(error.rawValue)").utf8) }
    return known[index]
  }
}

/// A line that is made in memory which somebody lends, and which has room for all of it: who begins
/// one has counted. (Even so, what would not fit is left out.)
private struct Line {
  private let memory: UnsafeMutableBufferPointer<UInt8>
  private var count = 0

  init(_ memory: UnsafeMutableBufferPointer<UInt8>) { self.memory = memory }

  var bytes: UnsafeMutableBufferPointer<UInt8>.SubSequence { memory[..<count] }

  mutating func append(_ byte: UInt8) {
    guard count < memory.count else { return }
    memory[count] = byte
    count += 1
  }

  mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBufferPointer { append($0) } }

  /// A text that stands in the source.
  mutating func append(_ text: StaticString) {
    append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  private mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard let source = bytes.baseAddress, let start = memory.baseAddress,
      bytes.count <= memory.count - count
    else { return }
    (start + count).update(from: source, count: bytes.count)
    count += bytes.count
  }

  /// A number in decimal, with leading zeros up to so many digits.
  mutating func append(_ number: UInt64, digits: Int = 1) {
    var width = digits
    var bound: UInt64 = 10
    for _ in 1..<digits { bound *= 10 }
    while number >= bound {
      width += 1
      let (next, isTooLarge) = bound.multipliedReportingOverflow(by: 10)
      if isTooLarge { break }
      bound = next
    }
    guard width <= memory.count - count else { return }
    var rest = number
    for place in stride(from: count + width - 1, through: count, by: -1) {
      memory[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
    count += width
  }

  mutating func append(signed number: Int64) {
    if number < 0 { append(UInt8(ascii: "-")) }
    append(number.magnitude)
  }

  /// Bytes; what would move a terminal's cursor is shown as \xNN.
  mutating func append(printable bytes: [UInt8]) {
    if bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) { return append(bytes) }
    append([UInt8](printable: bytes))
  }
}

extension TraceRecord.Detail {
  /// What is shown of it.
  fileprivate var printed: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(self)
    return bytes
  }

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

  fileprivate init(printable bytes: [UInt8]) {
    self = []
    append(printable: bytes)
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
