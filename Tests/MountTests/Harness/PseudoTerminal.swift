import Glibc

/// A program at a terminal, which a test types at and reads from.
///
/// Invariant: it is dead and reaped when this is gone, and never outlives its deadline.
final class PseudoTerminal {
  let pid: pid_t
  private let descriptor: Int32
  private var seen: [UInt8] = []
  /// How much of it was looked for and found.
  private var read = 0
  private var ending: Program.Ending?

  /// Starts a program with a terminal of its own as all three of its streams. openpty(3).
  init(
    _ words: [String], as user: User = .current, environment: [String: String] = [:],
    deadline: Double = 60
  ) throws {
    var (own, other): (Int32, Int32) = (-1, -1)
    guard openpty(&own, &other, nil, nil, nil) == 0 else { throw SystemError() }
    defer { close(other) }
    descriptor = own
    _ = fcntl(own, F_SETFD, FD_CLOEXEC)
    guard let name = ttyname(other) else { throw SystemError() }
    // A child that becomes the leader of a session has the first terminal that it opens as its own.
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, name, O_RDWR, 0)
    posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO)
    chmod(name, 0o666)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // The threads that tests run on have signals blocked, which a child would inherit.
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    posix_spawnattr_setflags(
      &attributes, Int16(PseudoTerminal.newSession) | Int16(POSIX_SPAWN_SETSIGMASK))

    let variables = Program.inherited.merging(["TERM": "dumb"]) { $1 }
      .merging(environment) { $1 }
    pid = try Program.spawn(user.prefix + words, variables, &actions, &attributes, deadline)
  }

  deinit {
    if !hasEnded {
      kill(-pid, SIGKILL)
      wait()
    }
    close(descriptor)
  }

  /// POSIX_SPAWN_SETSID, which glibc declares to those who ask for all of GNU only.
  private static let newSession = 0x80

  /// Types text; "\r" is the return key, "\u{3}" Ctrl-C.
  func type(_ text: String) {
    var text = text
    text.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
  }

  /// Types a line.
  func enter(_ line: String) { type(line + "\r") }

  /// Waits for a text to appear, behind what was found last time.
  func shows(_ text: String, within seconds: Double = 10) -> Bool {
    let wanted = Array(text.utf8)
    return eventually(within: seconds) {
      fetch()
      let rest = seen[read...]
      guard rest.count >= wanted.count else { return false }
      for start in rest.startIndex...(rest.endIndex - wanted.count)
      where rest[start..<start + wanted.count].elementsEqual(wanted) {
        read = start + wanted.count
        return true
      }
      return false
    }
  }

  /// Everything that it has shown so far.
  var screen: String {
    fetch()
    return String(decoding: seen, as: UTF8.self)
  }

  private func fetch() {
    var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while poll(&watched, 1, 0) > 0 {
      var piece = [UInt8](repeating: 0, count: 1 << 14)
      let count = Glibc.read(descriptor, &piece, piece.count)
      guard count > 0 else { return }
      seen += piece.prefix(count)
    }
  }

  /// Whether it has ended by now.
  var hasEnded: Bool {
    if ending != nil { return true }
    fetch()
    var status: Int32 = 0
    guard waitpid(pid, &status, WNOHANG) == pid else { return false }
    Watchdog.forget(pid)
    ending = status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .killed(by: status & 0x7F)
    return true
  }

  @discardableResult
  func wait() -> Program.Ending {
    while !hasEnded { usleep(Poll.interval) }
    return ending ?? .killed(by: 0)
  }
}
