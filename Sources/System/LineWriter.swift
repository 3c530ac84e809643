// Lines for people, written by threads that must not wait.
//
// Invariant: no call in here blocks, whatever is at the other end: a pipe that is not read, a terminal
// that was stopped. What does not go at once is lost, by whole lines, and counted.

import Glibc
import Synchronization

/// Writes lines to a descriptor, without ever waiting for it.
package final class LineWriter: Sendable {
  private let state: Mutex<State>

  private struct State: ~Copyable {
    let descriptor: Int32
    /// The same file opened once more, so that O_NONBLOCK is no other process's; -1 for none.
    var own: Int32 = -1
    var kind: Kind = .quick
    /// Which file the descriptor was when that was looked at: it may be replaced.
    var identity: (device: dev_t, inode: ino_t)?
    /// The rest of a line that was begun.
    var rest: [UInt8] = []
    /// How many lines were lost since one was written.
    var lost = 0

    deinit { if own >= 0 { close(own) } }
  }

  private enum Kind {
    /// Never makes a writer wait for long: a file, /dev/null.
    case quick
    case own
    case socket
    /// Can only be asked whether it takes a piece of PIPE_BUF.
    case asked
  }

  /// As much as a pipe that is writable takes without waiting, and in one piece. PIPE_BUF of pipe(7)
  private static let piece = 4096
  /// What a pipe is asked to hold, in bytes.
  private static let room: Int32 = 1 << 20

  /// Makes one for a descriptor, which stays its owner's.
  package init(_ descriptor: Int32) { state = Mutex(State(descriptor: descriptor)) }

  /// That of standard error.
  package static let standardError = LineWriter(STDERR_FILENO)

  /// Writes lines; returns 0, also where they were lost, or an errno where none will ever be read.
  @discardableResult
  package func write(_ bytes: UnsafeRawBufferPointer) -> Int32 {
    state.withLock { state in
      let code = LineWriter.look(&state)
      return code == 0 ? LineWriter.write(bytes, &state) : code
    }
  }

  /// Writes a text that ends with a line's end.
  @discardableResult
  package func write(_ text: String) -> Int32 {
    var text = text
    return text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
  }

  private static func write(_ bytes: UnsafeRawBufferPointer, _ state: inout State) -> Int32 {
    if !state.rest.isEmpty {
      let (sent, code) = state.rest.withUnsafeBytes { send($0, state) }
      state.rest.removeFirst(sent)
      if code != 0 && code != EAGAIN { return code }
      guard state.rest.isEmpty else {
        state.lost += lines(bytes)
        return 0
      }
    }
    if state.lost > 0 {
      let note = Array("fusuma: \(state.lost) lines were lost\n".utf8)
      let (sent, code) = note.withUnsafeBytes { send($0, state) }
      if code != 0 && code != EAGAIN { return code }
      guard sent > 0 else {
        state.lost += lines(bytes)
        return 0
      }
      state.lost = 0
      state.rest = Array(note.dropFirst(sent))
      guard state.rest.isEmpty else {
        state.lost += lines(bytes)
        return 0
      }
    }
    let (sent, code) = send(bytes, state)
    if code != EAGAIN { return code }
    var left = UnsafeRawBufferPointer(rebasing: bytes[sent...])
    if sent > 0, bytes[sent - 1] != UInt8(ascii: "\n") {
      let end = left.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? left.count
      state.rest = Array(left[..<end])
      left = UnsafeRawBufferPointer(rebasing: left[end...])
    }
    state.lost += lines(left)
    return 0
  }

  private static func lines(_ bytes: UnsafeRawBufferPointer) -> Int {
    bytes.count { $0 == UInt8(ascii: "\n") }
  }

  /// Writes what goes at once, by whole lines where that is possible; returns how much that was, and EAGAIN
  /// or another errno where it was not all.
  private static func send(
    _ bytes: UnsafeRawBufferPointer, _ state: borrowing State
  ) -> (sent: Int, code: Int32) {
    var sent = 0
    while sent < bytes.count {
      var next = bytes[sent...].prefix(piece)
      if sent + next.count < bytes.count,
        let end = next.lastIndex(of: UInt8(ascii: "\n"))
      {
        next = bytes[sent...end]
      }
      let count = attempt(UnsafeRawBufferPointer(rebasing: next), state)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { return (sent, errno) }
      sent += count
    }
    return (sent, 0)
  }

  private static func attempt(_ piece: UnsafeRawBufferPointer, _ state: borrowing State) -> Int {
    switch state.kind {
    case .quick: return Glibc.write(state.descriptor, piece.baseAddress, piece.count)
    case .own: return Glibc.write(state.own, piece.baseAddress, piece.count)
    case .socket:
      return Glibc.send(
        state.descriptor, piece.baseAddress, piece.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
    case .asked:
      var asked = pollfd(fd: state.descriptor, events: Int16(POLLOUT), revents: 0)
      let count = poll(&asked, 1, 0)
      guard count > 0 else {
        if count == 0 { errno = EAGAIN }
        return -1
      }
      return Glibc.write(state.descriptor, piece.baseAddress, piece.count)
    }
  }

  /// Looks at what the descriptor is by now; returns 0 or an errno.
  private static func look(_ state: inout State) -> Int32 {
    var information = stat()
    guard fstat(state.descriptor, &information) == 0 else { return errno }
    if let identity = state.identity, identity.device == information.st_dev,
      identity.inode == information.st_ino
    {
      return 0
    }
    if state.own >= 0 { close(state.own) }
    state.own = -1
    state.rest = []
    state.identity = (information.st_dev, information.st_ino)
    switch information.st_mode & S_IFMT {
    case S_IFSOCK: state.kind = .socket
    case S_IFIFO, S_IFCHR:
      let isPipe = information.st_mode & S_IFMT == S_IFIFO
      guard isPipe || isatty(state.descriptor) == 1 else {
        state.kind = .quick
        return 0
      }
      state.own = open(
        "/proc/self/fd/\(state.descriptor)", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
      state.kind = state.own >= 0 ? .own : .asked
      // Refused where the user has many pipes: then it holds less.
      if isPipe { _ = fcntl(state.descriptor, Linux.setPipeSize, room) }
    default: state.kind = .quick
    }
    return 0
  }
}
