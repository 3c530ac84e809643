// Programs that are started.
//
// Invariant: a child inherits its three streams and nothing else: no descriptor of the host's, no
// blocked and no ignored signal.

import CLinux
@preconcurrency import Glibc

/// What to start, and how.
package struct Program {
  /// The program, which is looked for in PATH, and its arguments.
  package var words: [[CChar]] = []
  /// `NAME=value` strings; nil is this process's own.
  package var environment: [[CChar]]?
  /// What the child has as its descriptors 0, 1 and 2.
  package var streams: [Int32] = []
  /// Where it starts; nil is where this process is.
  package var directory: [CChar]?

  /// Nothing yet.
  package init() {}

  /// Starts it; returns its process id. posix_spawnp(3).
  package func start() -> Result<Int32, SystemError> {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (number, stream) in streams.enumerated() where stream != Int32(number) {
      posix_spawn_file_actions_adddup2(&actions, stream, Int32(number))
    }
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    if let directory { posix_spawn_file_actions_addchdir_np(&actions, directory) }

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var pid: pid_t = 0
    let program = words[0]
    let code = Self.withPointers(words) { words in
      guard let environment else {
        return posix_spawnp(&pid, program, &actions, &attributes, words, environ)
      }
      return Self.withPointers(environment) {
        posix_spawnp(&pid, program, &actions, &attributes, words, $0)
      }
    }
    return code == 0 ? .success(pid) : .failure(SystemError(number: code))
  }

  /// Lends C strings as a list that ends with NULL, which is how execve(2) takes them.
  private static func withPointers<R>(
    _ strings: [[CChar]], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
  ) -> R {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
  }

  /// Runs a program to its end; returns its exit status, or -1 where it could not be run or a signal ended
  /// it. waitpid(2).
  package static func run(_ words: [String]) -> Int32 {
    var program = Program()
    program.words = words.map(RawText.cString)
    guard case .success(let process) = program.start() else { return -1 }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 { if errno != EINTR { return -1 } }
    return status & 0x7F == 0 ? status >> 8 & 0xFF : -1
  }
}
