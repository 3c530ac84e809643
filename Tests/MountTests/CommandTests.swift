import Glibc
import Testing

/// The command's own life: in front and in the background, signals, statuses, and what a script finds
/// around it.
@Suite struct CommandTests {
  private static let one = """
    class One
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
      def on_readdir = ["file"]
      def on_read_all = "text"
    end

    """

  @Test func tellsHelpAndVersion() throws {
    for words in [["help"], ["--help"], ["-h"]] {
      let outcome = try run([Mount.binary] + words)
      #expect(outcome.status == 0)
      #expect(outcome.output.contains("fusuma SCRIPT [MOUNTPOINT]"))
    }
    for words in [["version"], ["--version"]] {
      let outcome = try run([Mount.binary] + words)
      #expect(outcome.status == 0)
      #expect(outcome.output.hasPrefix("fusuma 0."))
    }
  }

  // MARK: Signals

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func aSignalUnmounts(_ number: Int32) throws {
    try withMount(.source(Self.one + "puts FUSE.run(One)")) { mount in
      try #expect(mount.read("file") == "text")
      mount.program.signal(number)
      #expect(mount.program.wait() == .exited(0))
      #expect(!mount.isLive)
      #expect(mount.output == "0\n")
    }
  }

  @Test func aTerminalThatIsNotToBeMindedEndsNothing() throws {
    let folder = try Folder()
    try folder.write("script.rb", Self.one + "FUSE.run One")
    let point = try folder.makeDirectory("mnt")
    let program = try Program(
      ["sh", "-c", "trap '' HUP; exec $0 script.rb mnt", Mount.binary], in: folder.path)
    defer { _ = umount2(point, 2) }
    try #require(eventually { MountTable.has(point) })
    program.signal(SIGHUP)
    #expect(!eventually(within: 1) { program.hasEnded })
    try #expect(folder.read("mnt/file") == "text")
    program.signal(SIGTERM)
    #expect(program.wait() == .exited(0))
  }

  /// Interrupts a mount while a shell has a file of it open, until it is through with some commands.
  private func interrupted(_ user: User, whileHeldBy commands: String) throws -> (
    path: String, log: String
  ) {
    try withMount(.source(Self.one + "FUSE.run One"), as: user, reports: true) { mount in
      let reader = try Program(
        ["sh", "-c", "exec < '\(mount.path)/file'; echo open; \(commands)"], as: user)
      #expect(eventually { reader.output == "open\n" })
      mount.program.signal(SIGINT)
      #expect(mount.program.wait() == .exited(0))
      #expect(!mount.isLive)
      return (mount.path, mount.log)
    }
  }

  @Test(arguments: User.all) func aSignalUnmountsAlsoWhileAFileIsOpen(_ user: User) throws {
    let (path, log) = try interrupted(user, whileHeldBy: "sleep 30")
    #expect(log == "fusuma: \(path) is in use: unmounted lazily, files open there are lost\n")
  }

  /// A child has what is open until it executes another program.
  @Test(arguments: User.all) func aFileThatIsHeldForAMomentIsNotInUse(_ user: User) throws {
    try #expect(interrupted(user, whileHeldBy: "read line; sleep 0.05").log == "")
  }

  // MARK: The background

  /// Runs fusuma to the end of its first process, lets `body` look into the mount, and unmounts.
  private func withDaemon(
    _ script: String, _ options: [String], _ body: (Folder) throws -> Void
  ) throws {
    let folder = try Folder()
    try folder.write("script.rb", script)
    let mountPoint = try folder.makeDirectory("mnt")
    let first = try run([Mount.binary] + options + ["script.rb", "mnt"], in: folder.path)
    defer { _ = try? run(["fusermount3", "-u", "-z", "-q", mountPoint]) }
    #expect(first.status == 0, "\(first)")
    #expect(first.output == "ready\n")
    #expect(MountTable.has(mountPoint))
    try body(folder)
    try #expect(run(["fusermount3", "-u", mountPoint]).status == 0)
    #expect(eventually { (try? folder.read("ended")) == "0" })
  }

  @Test(arguments: [["-d"], []]) func goesToTheBackground(_ options: [String]) throws {
    let script =
      Self.one + """
        FUSE.daemonize = \(options.isEmpty)
        class One
          def on_read_all = Process.pid.to_s
        end
        puts "ready"
        status = FUSE.run One
        File.open("ended", "w") { |file| file.write(status.to_s) }
        """
    try withDaemon(script, options) { folder in
      // Nothing waits for it: it leads a session of its own, and its parent is gone.
      let pid = try folder.read("mnt/file")
      let identity = try run(["ps", "-o", "sid=,tty=", "-p", pid]).output
      #expect(identity.split(separator: " ").map(String.init) == [pid, "?\n"])
    }
  }

  @Test func reportsFromTheBackgroundGoOnIntoAPipe() throws {
    let folder = try Folder()
    try folder.write(
      "script.rb",
      Self.one + """
        class One
          def on_read_all = raise("told from the background")
        end
        FUSE.run One
        """)
    let point = try folder.makeDirectory("mnt")
    let reader = try Program(
      ["sh", "-c", "{ $0 -d script.rb mnt 2>&1 >&3 | cat; } 3>/dev/null", Mount.binary],
      in: folder.path)
    defer { _ = umount2(point, 2) }
    try #require(eventually { MountTable.has(point) })
    try #expect(run(["cat", "mnt/file"], in: folder.path).status == 1)
    #expect(eventually { reader.output.contains("told from the background") })
    try #expect(run(["fusermount3", "-u", point]).status == 0)
    // What reads finds the end once the mount is over.
    #expect(reader.wait() == .exited(0))
  }

  @Test func staysInFrontWhereTheCommandLineSaysSo() throws {
    try withMount(
      .source(Self.one + "FUSE.daemonize = true\nFUSE.run One"), options: ["-f"]
    ) { mount in
      try #expect(mount.read("file") == "text")
      #expect(!mount.program.hasEnded)
    }
  }

  @Test func theFirstProcessReportsThatItCouldNotMount() throws {
    let folder = try Folder()
    try folder.write("script.rb", Self.one + "FUSE.run One")
    let outcome = try run([Mount.binary, "-d", "script.rb", "nowhere"], in: folder.path)
    #expect(outcome.status == 1)
    #expect(outcome.errors.hasPrefix("fusuma: the mount point nowhere does not exist"))
  }

  @Test func theFirstProcessReportsThatTheScriptRefused() throws {
    let folder = try Folder()
    try folder.write(
      "script.rb", Self.one + "class One; def self.on_init = raise('not today'); end\nFUSE.run One")
    let mountPoint = try folder.makeDirectory("mnt")
    let outcome = try run([Mount.binary, "-d", "script.rb", "mnt"], in: folder.path)
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("not today"))
    #expect(eventually { !MountTable.has(mountPoint) })
  }

  // MARK: What the script says and how it ends

  @Test func whatIsPutIsShownAtOnce() throws {
    let script =
      Self.one + """
        class One
          def on_read_all
            puts "reading"
            print "a", "b"
            "text"
          end
        end
        puts "mounting"
        FUSE.run One
        puts "after"
        """
    try withMount(.source(script)) { mount in
      #expect(mount.output == "mounting\n")
      try #expect(mount.read("file") == "text")
      #expect(mount.output == "mounting\nreading\nab")
      mount.unmount()
      #expect(mount.output == "mounting\nreading\nabafter\n")
    }
  }

  @Test(arguments: [
    ("FUSE.run One", 0), ("FUSE.run One\nexit", 0), ("FUSE.run One\nexit 3", 3),
    ("FUSE.run One\nexit false", 1), ("at_exit { exit 4 }\nFUSE.run One", 4),
    ("at_exit { 1 }\nFUSE.run One\nexit 5", 5),
  ])
  func theStatusIsTheScripts(_ end: String, _ status: Int32) throws {
    try withMount(.source(Self.one + end), ending: .exited(status)) { mount in
      try #expect(mount.read("file") == "text")
    }
  }

  @Test func theScriptMayEndWithoutAMount() throws {
    let folder = try Folder()
    try folder.write("script.rb", "at_exit { puts 'bye' }\nputs ARGV.inspect\nexit 6")
    let outcome = try run([Mount.binary, "script.rb", "--", "a", "-b"], in: folder.path)
    #expect(outcome.status == 6)
    #expect(outcome.output == "[\"a\", \"-b\"]\nbye\n")
    #expect(outcome.errors == "")
  }

  @Test func exitInAHookEndsTheMount() throws {
    let script = Self.one + "class One; def on_read_all = exit(7); end\nFUSE.run One"
    // The reader may still have the file open when the mount goes.
    try withMount(.source(script), ending: .exited(7), reports: true) { mount in
      #expect(throws: SystemError(EIO)) { try mount.read("file") }
      #expect(mount.program.wait() == .exited(7))
    }
  }

  @Test func unmountInAHookEndsTheMount() throws {
    let script = Self.one + "class One; def on_read_all = FUSE.unmount.to_s; end\nFUSE.run One"
    try withMount(.source(script)) { mount in
      try #expect(mount.read("file") == "")
      #expect(mount.program.wait() == .exited(0))
    }
  }

  @Test func whatIsRaisedAfterTheMountIsReported() throws {
    try withMount(
      .source(Self.one + "FUSE.run One\nraise 'late'"), ending: .exited(1), reports: true
    ) { mount in
      mount.unmount()
      #expect(
        mount.log.hasPrefix("fusuma: \(mount.folder.path)/script.rb:8: late (RuntimeError)\n"))
    }
  }

  // MARK: What the script finds

  @Test func theScriptFindsItsSurroundings() throws {
    let script = """
      require "json"
      require_relative "lib/part"
      class Say < Part
        def on_read_all
          JSON.generate([ENV["COLOUR"], ARGV, $0 == __FILE__, File.basename($0), PART, FUSE.mountpoint,
            FUSE.args, S_IFDIR == FUSE::S_IFDIR, File.exist?("script.rb")])
        end
      end
      FUSE.run Say, 1, "two"
      """
    let part = """
      PART = File.basename(__FILE__) + ":" + __LINE__.to_s
      class Part
        def initialize(path, *args) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
      end
      """
    let folder = try Folder()
    try folder.write("script.rb", "require '\(folder.path)/inner.rb'")
    try folder.write("inner.rb", "puts [$0, File.basename(__FILE__)].inspect\nexit")
    try #expect(
      run([Mount.binary, "script.rb"], in: folder.path).output
        == "[\"script.rb\", \"inner.rb\"]\n")
    try withMount(
      .source(script), arguments: ["x", "--y"], environment: ["COLOUR": "blue"],
      files: ["lib/part.rb": part]
    ) { mount in
      try #expect(
        mount.read("any") == """
          ["blue",["x","--y"],true,"script.rb","part.rb:1","\(mount.path)",[1,"two"],true,true]
          """)
    }
  }

  @Test func errorsOfRequiredFilesNameThem() throws {
    let folder = try Folder()
    try folder.write("script.rb", "require_relative 'part'\nFUSE.run 1")
    try folder.write("part.rb", "def x\n  1 +* 2\nend\n")
    let syntax = try run([Mount.binary, "script.rb", "/tmp"], in: folder.path)
    #expect(syntax.status == 1)
    #expect(syntax.errors.contains("\(folder.path)/part.rb:2:4: syntax error"), "\(syntax)")
    try folder.write("part.rb", "\n\nraise 'inside'\n")
    let raised = try run([Mount.binary, "script.rb", "/tmp"], in: folder.path)
    #expect(raised.status == 1)
    #expect(
      raised.errors.hasPrefix("fusuma: \(folder.path)/part.rb:3: inside (RuntimeError)"),
      "\(raised)")
    #expect(raised.errors.contains("from script.rb:1"), "\(raised)")
  }

  @Test func theHelpListsTheHooks() throws {
    let folder = try Folder()
    try folder.write("script.rb", "puts FUSE.help\nexit")
    let outcome = try run([Mount.binary, "script.rb"], in: folder.path)
    #expect(outcome.output.contains("on_read(size, offset, handle)\n"))
  }
}
