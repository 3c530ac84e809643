import Glibc
import Host
import Testing

/// What an answer means: every hook, with every kind of bad answer, is one errno and one report, and the
/// mount lives on.
@Suite struct AnswerTests {
  /// An instance at /HOOK.ANSWER gives that answer in that hook, and good ones in every other.
  private static let script = """
    FUSE.default_permissions = false
    FUSE.attr_timeout = FUSE.entry_timeout = 0
    LONG = {
      "on_getattr" => { st_mode: S_IFREG, st_size: -1 },
      "on_readlink" => "x" * 5000,
      "on_readdir" => ["n" * 256],
      "on_read" => "x" * 2_000_000_000,
      "on_read_all" => ["short", 100],
      "on_write" => 1 << 40,
      "on_getxattr" => "x" * 65537,
      "on_listxattr" => ["n" * 65536],
      "on_lseek" => -(1 << 40),
      "on_ioctl" => [0, "x" * 100],
    }
    ANSWERS = {
      "nil" => proc { nil }, "false" => proc { false }, "object" => proc { Object.new },
      "negative" => proc { -Errno::EACCES::Errno }, "unknown" => proc { -100_000 },
      "errno" => proc { raise Errno::EDQUOT, "by hand" }, "exception" => proc { raise "on purpose" }
    }

    class Answers
      def initialize(path)
        @hook, answer = path[1..-1].split(".")
        return if answer.nil?
        block = answer == "long" ? proc { LONG[@hook] || 1 } : ANSWERS[answer]
        define_singleton_method(@hook) do |*_|
          @made = true
          block.call
        end
      end

      def on_getattr
        case @hook
        when nil, "on_opendir", "on_readdir", "on_releasedir", "on_fsyncdir", "on_rmdir"
          FUSE::Stat.directory
        when "on_readlink" then FUSE::Stat.symlink("target")
        when "on_mknod", "on_create" then @made ? FUSE::Stat.file(0) : nil
        when "on_mkdir" then @made ? FUSE::Stat.directory : nil
        when "on_symlink" then @made ? FUSE::Stat.symlink("target") : nil
        else @hook[0, 3] == "on_" ? FUSE::Stat.file(5, 0666) : nil
        end
      end

      def on_readdir = []
      def on_lock(*) = 0
      def on_flock(*) = 0
    end
    FUSE.run Answers

    """

  /// An operation that calls a hook, and what it comes to with each answer that is not one to every
  /// hook alike.
  struct Case: CustomTestStringConvertible, Sendable {
    let hook: String
    var expected: [String: Int32] = [:]
    let operation: @Sendable (Mount, Name) throws -> Void
    var testDescription: String { hook }
  }

  /// Where a thing is asked for, nil is that there is none.
  private static let asked: [String: Int32] = ["nil": ENOENT]
  /// Any object is a handle.
  private static let opened: [String: Int32] = ["nil": ENOENT, "object": 0, "long": 0]
  /// What the kernel does not wait for cannot fail.
  private static let ignored: [String: Int32] = [
    "false": 0, "object": 0, "negative": 0, "unknown": 0, "errno": 0, "exception": 0, "long": 0,
  ]

  private static let cases: [Case] = [
    Case(hook: "on_getattr", expected: asked) { _ = try $0.stat($1) },
    Case(hook: "on_access") { try $0.access($1, R_OK) },
    Case(hook: "on_readlink", expected: asked) { _ = try $0.readlink($1) },
    Case(hook: "on_opendir", expected: opened) { _ = try $0.list($1) },
    // readdir(3) takes ENOENT for the end of a directory that was removed.
    Case(hook: "on_readdir", expected: ["nil": 0]) { _ = try $0.list($1) },
    Case(hook: "on_releasedir", expected: ignored) { _ = try $0.list($1) },
    Case(hook: "on_fsyncdir") { try $0.open($1, O_RDONLY).call { fsync($0) } },
    Case(hook: "on_mknod") { mount, name in try mount.at(name) { mknod($0, S_IFREG | 0o644, 0) } },
    Case(hook: "on_mkdir") { try $0.mkdir($1) },
    Case(hook: "on_symlink") { try $0.symlink("target", $1) },
    Case(hook: "on_create", expected: opened) { _ = try $0.open($1, O_WRONLY | O_CREAT) },
    Case(hook: "on_unlink") { try $0.unlink($1) },
    Case(hook: "on_rmdir") { try $0.rmdir($1) },
    Case(hook: "on_rename") { try $0.rename($1, $1.prefixed("new-")) },
    Case(hook: "on_link") { try $0.link($1, $1.prefixed("new-")) },
    Case(hook: "on_chmod") { try $0.chmod($1, 0o600) },
    Case(hook: "on_chown") { try $0.chown($1, geteuid(), getegid()) },
    Case(hook: "on_truncate") { try $0.truncate($1, 2) },
    Case(hook: "on_utimens") { mount, name in
      try mount.at(name) { utimensat(AT_FDCWD, $0, nil, 0) }
    },
    Case(hook: "on_open", expected: opened) { _ = try $0.open($1, O_RDONLY) },
    Case(hook: "on_read", expected: asked) { _ = try $0.bytes($1) },
    Case(hook: "on_read_all", expected: asked) { _ = try $0.bytes($1) },
    Case(hook: "on_write") { _ = try $0.open($1, O_WRONLY).write("hello") },
    Case(hook: "on_write_all") { try $0.write($1, "hello", O_WRONLY) },
    Case(hook: "on_flush") { try $0.open($1, O_RDONLY).close() },
    Case(hook: "on_release", expected: ignored) { try $0.open($1, O_RDONLY).close() },
    Case(hook: "on_fsync") { try $0.open($1, O_RDONLY).call { fsync($0) } },
    Case(hook: "on_setxattr") { try tool("setfattr -n user.x -v 1", $0, $1) },
    Case(hook: "on_getxattr", expected: ["nil": ENODATA]) {
      try tool("getfattr -n user.x", $0, $1)
    },
    Case(hook: "on_listxattr") { try tool("getfattr", $0, $1) },
    Case(hook: "on_removexattr") { try tool("setfattr -x user.x", $0, $1) },
    Case(hook: "on_lock") { mount, name in
      var lock = flock()
      lock.l_type = Int16(F_RDLCK)
      try mount.open(name, O_RDONLY).call { fcntl($0, F_SETLK, &lock) }
    },
    Case(hook: "on_flock") { mount, name in
      try mount.open(name, O_RDONLY).call { flock($0, LOCK_EX | LOCK_NB) }
    },
    Case(hook: "on_fallocate") { try tool("fallocate -l 10", $0, $1) },
    Case(hook: "on_lseek", expected: ["nil": EIO]) { mount, name in
      let seekData: Int32 = 3
      try mount.open(name, O_RDONLY).call { Int32(truncatingIfNeeded: lseek($0, 0, seekData)) }
    },
    Case(hook: "on_ioctl") { mount, name in
      let noData: UInt = 0x7A01
      try mount.open(name, O_RDONLY).call { ioctl($0, noData, 0) }
    },
  ]

  private static let acts = Set(
    Hook.table.filter { [.act, .count, .lock].contains($0.expected) }.map(\.name))

  @Test func everyHookTurnsEveryAnswerIntoItsErrno() throws {
    try withMount(.source(Self.script), reports: true) { mount in
      for row in Self.cases {
        for answer in [
          "nil", "false", "object", "negative", "unknown", "errno", "exception", "long",
        ] {
          var usual: [String: Int32] = ["nil": 0, "negative": EACCES, "errno": EDQUOT]
          // Whatever the last line of a hook that acts leaves is success.
          if Self.acts.contains(row.hook) {
            usual.merge(["false": 0, "object": 0]) { $1 }
            if row.hook != "on_write" { usual["long"] = 0 }
          }
          let expected = row.expected[answer] ?? usual[answer] ?? EIO
          var outcome: Int32 = 0
          do { try row.operation(mount, Name(bytes: Array("\(row.hook).\(answer)".utf8))) } catch {
            outcome = (error as? SystemError)?.number ?? -1
          }
          #expect(
            outcome == expected,
            "\(row.hook) with \(answer): \(SystemError(outcome)), not \(SystemError(expected))")
          // Two wrong Integers are one error to the reporter.
          if expected == EIO, answer != "long" {
            let isReported = mount.log.contains("\(row.hook) /\(row.hook).\(answer): ")
            #expect(isReported, "\(row.hook) with \(answer)")
          }
        }
      }
      try #expect(mount.list() == [])
    }
  }

  @Test(arguments: [
    ("nil", 0), ("{}", 0), ("{ f_blocks: 100, f_bfree: 50 }", 0), ("false", EIO), ("12", EIO),
    ("{ f_blocks: -1 }", EIO), ("-Errno::EACCES::Errno", EACCES), ("raise(Errno::EDQUOT)", EDQUOT),
    ("raise('on purpose')", EIO),
  ])
  func statisticsAreJudgedToo(_ answer: String, _ expected: Int32) throws {
    let script: Script = """
      class Statistics
        def initialize(path) = @path = path
        def on_getattr = FUSE::Stat.directory
        def on_statfs = \(answer)
      end
      FUSE.run Statistics
      """
    try withMount(script, reports: expected == EIO) { mount in
      var outcome: Int32 = 0
      do { try tool("stat -f", mount, "") } catch {
        outcome = (error as? SystemError)?.number ?? -1
      }
      #expect(outcome == expected)
      #expect(mount.log.contains("on_statfs /: ") == (expected == EIO))
    }
  }

  @Test func aHookThatRunsAwayCostsOneOperation() throws {
    let script: Script = """
      class Runaway
        def initialize(path) = @path = path
        def on_getattr
          case @path
          when "/" then FUSE::Stat.directory
          when "/stat" then on_getattr
          else FUSE::Stat.file(10)
          end
        end
        def on_read(size, offset)
          case @path
          when "/deep" then on_read(size, offset)
          when "/block" then [1].each { on_read(size, offset) }
          when "/large" then "x" * (2 << 30)
          when "/infinite" then "x" * (1 << 62)
          when "/fiber" then Fiber.yield(1)
          when "/inspect" then Class.new { def inspect = raise("no") }.new
          when "/message" then raise Class.new(StandardError) { def message = raise("no") }
          when "/exception" then raise Exception, "no StandardError"
          when "/jump" then proc { break 1 }.call
          else "0123456789"
          end
        end
      end
      FUSE.run Runaway
      """
    try withMount(script, reports: true) { mount in
      #expect(throws: SystemError(EIO)) { try mount.stat("stat") }
      for name in [
        "deep", "block", "large", "infinite", "fiber", "inspect", "message", "exception", "jump",
      ] {
        #expect(throws: SystemError(EIO), "\(name)") {
          try mount.bytes(Name(bytes: Array(name.utf8)))
        }
      }
      #expect(mount.log.contains("on_getattr /stat: stack level too deep (SystemStackError)"))
      #expect(mount.log.contains("on_read /large: answered \"xxxx"))
      #expect(mount.log.contains("of at most"))
      #expect(mount.log.contains("on_read /deep: stack level too deep (SystemStackError)"))
      #expect(mount.log.contains("on_read /fiber: can't yield from root fiber (FiberError)"))
      #expect(mount.log.split(separator: "\n").count < 100)
      try #expect(mount.read("good") == "0123456789")
    }
  }

  @Test func theSameErrorIsCountedNotRepeated() throws {
    let script: Script = """
      class Again
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : raise("again")
      end
      FUSE.run Again
      """
    try withMount(script, reports: true) { mount in
      for number in 0..<150 { #expect(throws: SystemError(EIO)) { try mount.stat("\(number)") } }
      let reports = mount.log.split(separator: "\n").filter { $0.contains("again (RuntimeError)") }
      #expect(reports.count == 1, "\(mount.log)")
      mount.unmount()
      #expect(mount.log.contains("149 times more"), "\(mount.log)")
    }
  }
}

extension Name {
  fileprivate func prefixed(_ prefix: String) -> Name { Name(bytes: Array(prefix.utf8) + bytes) }
}

/// Runs a program on a file, and throws the errno that it tells of, in the words of strerror(3).
private func tool(_ words: String, _ mount: Mount, _ name: Name, _ more: String...) throws {
  let file = mount.path + "/" + String(decoding: name.bytes, as: UTF8.self)
  let outcome = try run(words.split(separator: " ").map(String.init) + [file] + more)
  if outcome.status == 0 && outcome.errors.isEmpty { return }
  for number in [ENOENT, EIO, EACCES, EDQUOT, ENODATA, ENOSYS, EPERM, EOPNOTSUPP, ERANGE, E2BIG] {
    if outcome.errors.contains(SystemError(number).description) { throw SystemError(number) }
  }
  // getfattr(1) has words of its own.
  throw SystemError(outcome.errors.contains("No such attribute") ? ENODATA : ENOTRECOVERABLE)
}
