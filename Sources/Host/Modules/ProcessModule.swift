// Invariant: a child inherits its three streams and nothing else: no descriptor of the host's, no
// blocked and no ignored signal.

import CLinux
@preconcurrency import Glibc
package import Ruby

/// The natives of process.rb: starting children, watching them, and clocks.
package enum ProcessModule {
  /// Defines them in `vm`.
  ///
  /// Throws where there is no memory for that.
  package static func install(in vm: VM) throws(RubyException) {
    try installChildren(in: vm)
    try vm.define("FUSE", "__pipe") { [unowned vm] _ throws(RubyException) in
      var ends: [Int32] = [0, 0]
      guard pipe2(&ends, O_CLOEXEC) == 0 else { throw vm.systemError("pipe") }
      return try vm.array([try vm.integer(Int(ends[0])), try vm.integer(Int(ends[1]))])
    }
    try vm.define("FUSE", "__kill") { [unowned vm] call throws(RubyException) in
      guard kill(try vm.cInt(call[0], "kill"), try vm.cInt(call[1], "kill")) == 0 else {
        throw vm.systemError("kill")
      }
      return .nil
    }
    try vm.define("FUSE", "__signals") { [unowned vm] _ throws(RubyException) in
      let table = try vm.hash()
      for number in 1...Int32(31) {
        guard let name = sigabbrev_np(number) else { continue }
        let key = try vm.string(String(cString: name))
        try vm.set(key, to: try vm.integer(Int(number)), in: table)
      }
      return table
    }
    try vm.define("FUSE", "__pid") { [unowned vm] _ throws(RubyException) in
      try vm.integer(Int(getpid()))
    }
    try vm.define("FUSE", "__ppid") { [unowned vm] _ throws(RubyException) in
      try vm.integer(Int(getppid()))
    }
    try vm.define("FUSE", "__clock") { [unowned vm] call throws(RubyException) in
      let nanoseconds = clinux_clock(try vm.cInt(call[0], "clock_gettime"))
      guard nanoseconds >= 0 else { throw vm.systemError("clock_gettime") }
      return try vm.integer(Int(nanoseconds))
    }
  }

  private static func installChildren(in vm: VM) throws(RubyException) {
    try vm.define("FUSE", "__spawn") { [unowned vm] call throws(RubyException) in
      var order = Order()
      order.words = try vm.words(call[0])
      order.environment = call[1].isNil ? nil : try vm.words(call[1])
      order.streams = []
      for stream in call[2].elements ?? [] {
        order.streams.append(try vm.cInt(stream, "spawn"))
      }
      order.directory = call[3].isNil ? nil : try vm.cString(call[3], "chdir")
      guard !order.words.isEmpty, order.streams.count == 3 else {
        throw vm.exception("ArgumentError", "spawn: no command")
      }
      switch order.start() {
      case .success(let pid): return try vm.integer(Int(pid))
      case .failure(let failure):
        throw vm.systemError(call[0][0].text ?? "spawn", failure.errno)
      }
    }
    try vm.define("FUSE", "__pidfd") { [unowned vm] call throws(RubyException) in
      let descriptor = clinux_pidfd_open(try vm.cInt(call[0], "wait"), 0)
      guard descriptor >= 0 else { throw vm.systemError("wait") }
      return try vm.integer(Int(descriptor))
    }
    try vm.define("FUSE", "__reap") { [unowned vm] call throws(RubyException) in
      var status: Int32 = 0
      let pid = waitpid(try vm.cInt(call[0], "wait"), &status, WNOHANG)
      guard pid >= 0 else { throw vm.systemError("wait") }
      return pid == 0 ? .nil : try vm.integer(Int(status))
    }
  }
}

/// What to start, and how.
private struct Order {
  /// The program, which is looked for in PATH, and its arguments.
  var words: [[CChar]] = []
  /// `NAME=value` strings; nil is this process's own.
  var environment: [[CChar]]?
  /// What the child has as its descriptors 0, 1 and 2.
  var streams: [Int32] = []
  /// Where it starts; nil is where this process is.
  var directory: [CChar]?

  struct Failure: Error { let errno: Int32 }

  /// Starts it; returns its process id. posix_spawnp(3).
  func start() -> Result<pid_t, Failure> {
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
    return code == 0 ? .success(pid) : .failure(Failure(errno: code))
  }

  /// Lends C strings as a list that ends with NULL, which is how execve(2) takes them.
  private static func withPointers<R>(
    _ strings: [[CChar]], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
  ) -> R {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
  }
}

extension VM {
  /// An Array of Strings as C strings.
  fileprivate func words(_ list: Value) throws(RubyException) -> [[CChar]] {
    var words: [[CChar]] = []
    for word in list.elements ?? [] { words.append(try cString(word, "spawn")) }
    return words
  }
}
