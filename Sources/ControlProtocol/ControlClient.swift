// The other end of the control socket: for the command, which has nothing else to do than to wait.

import CLinux
import Glibc
import Synchronization
package import System

/// A conversation with a live mount.
package final class ControlClient {
  /// The status page, which is read without asking the mount.
  package let status: StatusView
  private let descriptor: Int32
  /// What has come, from `start` on; up to `searched` no line ends in it.
  private var input: [UInt8] = []
  private var start = 0
  private var searched = 0

  /// The longest line that is believed, in bytes: many times what a mount sends.
  private static let longestLine = 1 << 24

  /// Connects to the mount at a path.
  ///
  /// Throws one line where there is none, or none that may be talked to.
  package init(mountPoint: String) throws(HostError) {
    let address = try ControlAddress.find(mountPoint: mountPoint)
    guard var name = sockaddr_un(path: address.socket) else {
      throw HostError("\(address.socket) is too long for a socket's name")
    }
    let descriptor = socket(
      AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw HostError("socket: \(SystemError(number: errno))") }
    guard name.withAddress({ connect(descriptor, $0, $1) }) == 0 else {
      let number = errno
      close(descriptor)
      throw HostError(
        "the mount at \(mountPoint) does not answer: \(SystemError(number: number))")
    }
    do throws(HostError) {
      try ControlClient.check(descriptor, address)
      status = try StatusView(address.statusPage, owner: address.owner)
    } catch {
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Throws where the process behind the socket is not that of the user who mounts, or root's.
  private static func check(_ descriptor: Int32, _ address: ControlAddress) throws(HostError) {
    var pid: pid_t = 0
    var uid: uid_t = 0
    guard clinux_peer(descriptor, &pid, &uid) == 0, uid == address.owner || uid == 0 else {
      throw HostError("\(address.socket) belongs to a process of another user's than the mount")
    }
  }

  /// Sends a message; one that cannot be sent will be noticed when the answer is read.
  package func send(_ message: JSON) {
    let bytes = message.text + [UInt8(ascii: "\n")]
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent,
          Int32(MSG_NOSIGNAL))
      }
      if count < 0 && errno != EINTR { return }
      sent += max(count, 0)
    }
  }

  /// What came of waiting.
  package enum Event: Equatable {
    /// A whole line, without its end.
    case line([UInt8])
    /// Nothing came in time.
    case silence
    /// Ctrl-C.
    case interrupted
    /// The mount is gone, or lets nobody in.
    case closed
  }

  /// Waits for the next line, at most so many seconds.
  package func receive(within seconds: Double = .infinity) -> Event {
    let deadline = Double(monotonicNanoseconds()) / 1e9 + seconds
    while true {
      if let line = takeLine() { return .line(line) }
      guard input.count <= ControlClient.longestLine else { return .closed }
      if Interrupt.take() { return .interrupted }
      let left = deadline - Double(monotonicNanoseconds()) / 1e9
      if left <= 0 { return .silence }
      var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      // In short pieces: a signal may come just before the call, and would not end it.
      guard poll(&watched, 1, Int32(min(left, 0.2) * 1000) + 1) > 0 else { continue }
      var piece = [UInt8](repeating: 0, count: 1 << 16)
      let count = recv(descriptor, &piece, piece.count, 0)
      if count == 0 || count < 0 && errno != EINTR { return .closed }
      input += piece.prefix(max(count, 0))
    }
  }

  private func takeLine() -> [UInt8]? {
    guard let end = input[searched...].firstIndex(of: UInt8(ascii: "\n")) else {
      input.removeFirst(start)
      start = 0
      searched = input.count
      return nil
    }
    let line = Array(input[start..<end])
    start = end + 1
    searched = start
    return line
  }

  /// What holds the mount up, as the status page has it: work that goes on for a while.
  package func holder() -> String {
    let first = status.read()
    usleep(100_000)
    let second = status.read()
    guard first == second, let work = second.work else { return "other work" }
    switch second.pid {
    case 0: return work
    case getpid(): return "this line"
    default:
      let name = Process.name(of: second.pid).map { Printable.line($0) } ?? "?"
      return "\(work) for \(name) (pid \(second.pid))"
    }
  }
}

/// Ctrl-C, for clients: it is looked at where they wait.
package enum Interrupt {
  private static let hasCome = Atomic<Bool>(false)

  /// Lets Ctrl-C be looked at instead of ending the process.
  package static func install() {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in
      Interrupt.hasCome.store(true, ordering: .relaxed)
    }
    sigaction(SIGINT, &action, nil)
  }

  /// Whether it has come since the last time.
  package static func take() -> Bool { hasCome.exchange(false, ordering: .relaxed) }
}
