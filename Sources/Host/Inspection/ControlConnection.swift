// One client at the control socket: lines in, lines out.
//
// Invariant: nothing that a client does, or does not do, costs the mount more than a bounded amount of
// memory and no wait at all: what is sent to one that does not read is dropped, and counted.

import ControlProtocol
import Glibc
import Ruby
import Waiting

/// A client of the mount.
final class ControlConnection {
  let descriptor: Int32
  let pid: Int32
  let uid: UInt32

  /// Reports that there is something to read; nil before it is listened to.
  var readTicket: Ticket?
  /// Reports, once, that there is room to write; nil while nothing waits for that.
  var writeTicket: Ticket?
  private(set) var isOpen = true
  /// Called when there is something to send.
  var whenPending: () -> Void = {}

  private var input: [UInt8] = []
  private var output: [UInt8] = []
  /// How many lines were dropped since the client last took any.
  private var lost = 0

  /// What the client asked for.
  var console: Console?
  var sink: TraceSink?
  var statistics: StatisticsFeed?

  /// The longest line that a client may send, and the most that is kept for it, in bytes.
  static let longestLine = 1 << 20
  static let mostPending = 1 << 20

  init(_ descriptor: Int32, pid: Int32, uid: UInt32) {
    self.descriptor = descriptor
    self.pid = pid
    self.uid = uid
  }

  /// Takes in what has come; returns the whole lines, or nil where the client is gone or sends no lines.
  func receive() -> [[UInt8]]? {
    var piece = [UInt8](repeating: 0, count: 1 << 14)
    // So many pieces at most, so that a client that sends without end is not the only one listened to.
    for _ in 0..<8 {
      let count = recv(descriptor, &piece, piece.count, Int32(MSG_DONTWAIT))
      if count == 0 { return nil }
      if count < 0 {
        if errno == EAGAIN { break }
        if errno == EINTR { continue }
        return nil
      }
      input += piece.prefix(count)
    }
    var lines = input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    let rest = lines.popLast() ?? []
    guard rest.count <= ControlConnection.longestLine else { return nil }
    let whole = lines.map(Array.init)
    input = Array(rest)
    return whole
  }

  /// Sends a message, or drops it where too much is pending.
  func send(_ message: JSON) { send(line: message.text + [UInt8(ascii: "\n")]) }

  /// Sends bytes that end with a line's end; those that follow dropped ones begin by saying how many.
  func send(line: some Collection<UInt8>) {
    guard isOpen else { return }
    guard output.count + line.count <= ControlConnection.mostPending else {
      lost += line.count { $0 == UInt8(ascii: "\n") }
      return
    }
    if lost > 0 {
      output += JSON.object(["lost": .integer(lost)]).text + [UInt8(ascii: "\n")]
      lost = 0
    }
    output += line
  }

  /// Sends what is pending, now or as the client makes room.
  func deliver() { whenPending() }

  /// Writes what goes without waiting; returns whether something is left.
  func flush() -> Bool {
    var sent = 0
    defer { output.removeFirst(sent) }
    while isOpen, sent < output.count {
      let count = output.withUnsafeBytes {
        Glibc.send(
          descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent,
          Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
      }
      if count < 0 {
        if errno == EINTR { continue }
        if errno == EAGAIN { return true }
        // It is gone: reading will say so.
        sent = output.count
        return false
      }
      sent += count
    }
    return false
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    Glibc.close(descriptor)
  }
}
