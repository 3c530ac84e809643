import CLinux
import Glibc
import Ruby
import System

/// The natives of process.rb: starting children, watching them, and clocks.
enum ProcessModule {
  /// Defines them in `vm`.
  ///
  /// Throws where there is no memory for that.
  static func install(in vm: VM) throws(RubyException) {
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
      var order = Program()
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
        throw vm.systemError(call[0][0].text ?? "spawn", failure.number)
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

extension VM {
  /// An Array of Strings as C strings.
  fileprivate func words(_ list: Value) throws(RubyException) -> [[CChar]] {
    var words: [[CChar]] = []
    for word in list.elements ?? [] { words.append(try cString(word, "spawn")) }
    return words
  }
}
