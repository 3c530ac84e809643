import Glibc
import System

/// A process that calls, with the ends of the lines that are its own.
final class Caller {
  let pid: Int32
  fileprivate let name: [UInt8]
  /// Until when the name holds, on the monotonic clock.
  private let until: UInt64
  /// `cat[8418]`, and what a JSON object has instead: both with all that follows on the line.
  let text: [UInt8]
  let json: [UInt8]

  /// The most bytes that a name has (the kernel's have 15), and that either of the ends has.
  static let longest = 64 + Process.longestName * TraceText.longestEscape

  init(pid: Int32, name: [UInt8], until: UInt64) {
    self.pid = pid
    self.name = name
    self.until = until
    text = Caller.encoded { text in
      name.withUnsafeBytes { text.append(printable: $0) }
      text.append("[")
      text.append(number: Int(pid))
      text.append(literal: "]\n")
    }
    json = Caller.encoded { text in
      text.append(number: Int(pid))
      text.append(literal: #","command":"#)
      name.withUnsafeBytes { text.append(quoted: $0) }
      text.append(literal: "}\n")
    }
  }

  /// Whether the name still holds.
  func isKnown(at now: UInt64) -> Bool { now < until }

  private static func encoded(_ body: (inout TraceText) -> Void) -> [UInt8] {
    var text = TraceText(capacity: Caller.longest)
    defer { text.free() }
    body(&text)
    return [UInt8](text.bytes)
  }
}

/// The processes that call, by their ids, each name remembered for a second.
struct Callers {
  private var known: [Int32: Caller] = [:]
  let kernel = Caller(pid: 0, name: Array("kernel".utf8), until: .max)

  private static let lifetime: UInt64 = 1_000_000_000
  private static let most = 512

  mutating func caller(_ pid: Int32, at now: UInt64) -> Caller {
    if pid == 0 { return kernel }
    let old = known[pid]
    if let old, old.isKnown(at: now) { return old }
    // A process that is gone by now is still called what it was.
    let name = Process.name(of: pid) ?? old?.name ?? Array("?".utf8)
    if known.count >= Callers.most { known = [:] }
    let caller = Caller(pid: pid, name: name, until: now + Callers.lifetime)
    known[pid] = caller
    return caller
  }
}
