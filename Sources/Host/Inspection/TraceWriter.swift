// The line that an operation becomes: put together byte by byte in memory that has room for it.

import ControlProtocol
import FUSE
import Glibc
import System

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
  private var clock = ShortText("")

  init(format: TraceFormat, colours: Bool) {
    self.format = format
    self.colours = colours
  }

  /// What is shown as slow, in nanoseconds.
  private static let slow: UInt64 = 10_000_000

  /// The most bytes that the line of an operation takes: numbers, colours and the names of members
  /// have room enough in the first.
  static func longest(_ event: TraceEvent) -> Int {
    512 + Caller.longest + event.notes.count * TraceText.longestEscape
  }

  mutating func write(_ event: TraceEvent, to out: inout TraceText) {
    if event.ended >= nextLook {
      var now = timespec()
      clock_gettime(CLOCK_REALTIME, &now)
      let nanoseconds = UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
      realTime = nanoseconds &- monotonicNanoseconds()
      nextLook = event.ended + 1_000_000_000
    }
    let now = event.ended &+ realTime
    let (second, rest) = now.quotientAndRemainder(dividingBy: 1_000_000_000)
    switch format {
    case .text: writeText(event, second, rest / 1000, to: &out)
    case .json: writeJSON(event, second, rest / 1000, to: &out)
    }
  }

  // MARK: For people

  private mutating func writeText(
    _ event: TraceEvent, _ second: UInt64, _ microsecond: UInt64, to out: inout TraceText
  ) {
    if second != self.second {
      self.second = second
      clock = TraceWriter.timeOfDay(second)
    }
    out.append(clock)
    out.append(number: microsecond, digits: 6)
    out.append(" ")
    out.append(event.operation.column)
    let notes = event.notes
    out.append(printable: notes.path)
    let detail = notes.detail
    if !detail.isEmpty {
      out.append(" ")
      out.append(printable: detail)
    }
    out.append(literal: " = ")
    switch event.result {
    case .success(let number): out.append(number: number)
    case .failure(let error):
      if colours { out.append(literal: "\u{1B}[31m") }
      out.append(error.shortName)
      if colours { out.append(literal: "\u{1B}[0m") }
    }
    out.append(literal: "  ")
    let isPainted = colours && event.total >= TraceWriter.slow
    if isPainted { out.append(literal: "\u{1B}[33m") }
    out.append(number: event.total / 1000)
    if isPainted { out.append(literal: "\u{1B}[0m") }
    out.append(literal: "us ruby=")
    out.append(number: event.ruby / 1000)
    out.append(literal: " wait=")
    out.append(number: event.waiting / 1000)
    out.append(literal: "  ")
    out.append(notes.caller.text)
  }

  /// "20:24:24."
  private static func timeOfDay(_ second: UInt64) -> ShortText {
    var second = time_t(second)
    var parts = tm()
    localtime_r(&second, &parts)
    func digits(_ number: Int32) -> String { (number < 10 ? "0" : "") + "\(number)" }
    return ShortText(
      "\(digits(parts.tm_hour)):\(digits(parts.tm_min)):\(digits(parts.tm_sec)).")
  }

  // MARK: For programs

  private func writeJSON(
    _ event: TraceEvent, _ second: UInt64, _ microsecond: UInt64, to out: inout TraceText
  ) {
    out.append(literal: #"{"time":"#)
    out.append(number: second)
    out.append(".")
    out.append(number: microsecond, digits: 6)
    out.append(literal: #","operation":""#)
    out.append(event.operation.shortName)
    out.append(literal: #"","path":"#)
    let notes = event.notes
    let path = notes.path
    if path.isEmpty { out.append(literal: "null") } else { out.append(quoted: path) }
    out.append(literal: #","arguments":"#)
    out.append(quoted: notes.detail)
    switch event.result {
    case .success(let number):
      out.append(literal: #","result":"#)
      out.append(number: number)
      out.append(literal: #","errno":null"#)
    case .failure(let error):
      out.append(literal: #","result":null,"errno":""#)
      out.append(error.shortName)
      out.append("\"")
    }
    out.append(literal: #","microseconds":"#)
    out.append(number: event.total / 1000)
    out.append(literal: #","ruby":"#)
    out.append(number: event.ruby / 1000)
    out.append(literal: #","waiting":"#)
    out.append(number: event.waiting / 1000)
    out.append(literal: #","pid":"#)
    out.append(notes.caller.json)
  }
}

extension Operation {
  private static let shortNames = allCases.map { ShortText($0.name) }
  private static let columns = allCases.map {
    ShortText($0.name, columns: max($0.name.utf8.count + 1, 10))
  }
  fileprivate var shortName: ShortText { Operation.shortNames[rawValue] }
  /// The name with the spaces behind it.
  fileprivate var column: ShortText { Operation.columns[rawValue] }
}

extension Errno {
  private static let shortNames = (0...Int32(133)).map { number in
    ShortText(Errno(number).name ?? "\(number)")
  }
  fileprivate var shortName: ShortText {
    let names = Errno.shortNames
    return names.indices.contains(Int(rawValue)) ? names[Int(rawValue)] : ShortText("\(rawValue)")
  }
}
