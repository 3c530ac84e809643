import Glibc
import Testing

/// Consoles, at a terminal of their own, on live mounts.
@Suite struct ConsoleTests {
  private static let script = """
    class Notes
      @@text = "first\\n"
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
      def on_readdir = ["note"]
      def on_read_all = text
      def text = @@text
      def fail = raise("on purpose")
    end
    FUSE.run Notes

    """

  /// Opens a console on a mount, with a home of its own, and waits for its prompt.
  private func attach(
    _ mount: Mount, as user: User = .current, environment: [String: String] = [:]
  ) throws -> PseudoTerminal {
    let terminal = try PseudoTerminal(
      [Mount.binary, "attach", mount.path], as: user,
      environment: ["HOME": mount.folder.path].merging(environment) { $1 })
    try #require(terminal.shows("fusuma> "), "\(terminal.screen)")
    return terminal
  }

  @Test(arguments: User.all) func linesRunInTheLiveVM(_ user: User) throws {
    try withMount(.source(Self.script), as: user) { mount in
      try #expect(mount.sh("cat note").output == "first\n")
      let console = try attach(mount, as: user)
      #expect(console.screen.contains("script.rb at \(mount.path)"))
      console.enter("FUSE.pool.keys.sort")
      #expect(console.shows(#"=> ["/", "/note"]"#))
      console.enter("FUSE.pool['/note'].text")
      #expect(console.shows(#"=> "first\n""#))
      console.enter("class Notes; def text = 'second'; end")
      #expect(console.shows("=> :text"))
      console.enter("FUSE.invalidate '/note'")
      #expect(console.shows("=> nil"))
      #expect(try eventually { try mount.sh("cat note").output == "second" })
      console.enter("exit")
      #expect(console.wait() == .exited(0))
    }
  }

  @Test func whatIsPipedInAndEndsInTheMiddleIsSaid() throws {
    try withMount(.source(Self.script)) { mount in
      let outcome = try run(
        ["sh", "-c", "printf '1 + 1\n[1,\n' | \(Mount.binary) attach \(mount.path)"])
      #expect(outcome.output == "=> 2\n")
      #expect(outcome.status == 1)
      #expect(
        outcome.errors == "fusuma: the input ends in the middle of this, which was not run: [1,\n")
    }
  }

  @Test func localVariablesStayFromLineToLine() throws {
    try withMount(.source(Self.script)) { mount in
      let console = try attach(mount)
      console.enter("x = 40")
      #expect(console.shows("=> 40"))
      console.enter("[1].each { |y| x += y + 1 }; x")
      #expect(console.shows("=> 42"))
      console.enter("_ + 1")
      #expect(console.shows("=> 43"))
      console.enter("a, b = x, [x]")
      #expect(console.shows("=> [42, [42]]"))
      console.enter("add = proc { |n| x + n }; x = 1; add.call(b[0])")
      #expect(console.shows("=> 43"))
      console.enter("y")
      #expect(console.shows(" 'y'"))
    }
  }

  @Test func moreVariablesThanMrubyCanNestScopesFor() throws {
    try withMount(.source(Self.script)) { mount in
      let lines = (0..<450).map { "v\($0) = \($0)" } + ["[v0, v1, v99, v100, v260, v449]"]
      let output = try feed(lines, to: mount)
      #expect(output.hasSuffix("=> 449\n=> [0, 1, 99, 100, 260, 449]\n"), "\(output.suffix(100))")
    }
  }

  /// Runs lines through a console that has no terminal; answers what it wrote.
  private func feed(_ lines: [String], to mount: Mount) throws -> String {
    let file = try mount.folder.write("lines", lines.joined(separator: "\n") + "\n")
    let outcome = try run(["sh", "-c", "\"$0\" attach \"$1\" < \(file)", Mount.binary, mount.path])
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    return outcome.output
  }

  @Test func withoutATerminalThereIsNothingButAnswers() throws {
    try withMount(.source(Self.script)) { mount in
      let output = try feed(
        ["1 +", "2", "", "puts 'said'", "def six", "  6", "end", "six"], to: mount)
      #expect(output == "=> 3\nsaid\n=> nil\n=> :six\n=> 6\n")
      #expect(mount.output.isEmpty)
    }
  }

  @Test func anUnfinishedLineAsksForAnother() throws {
    try withMount(.source(Self.script)) { mount in
      let console = try attach(mount)
      console.enter("def twice(x)")
      #expect(console.shows("...> "))
      console.enter("  x * 2")
      #expect(console.shows("...> "))
      console.enter("end")
      #expect(console.shows("=> :twice"))
      console.enter("[twice(4),")
      #expect(console.shows("...> "))
      console.type("\u{3}")
      #expect(console.shows("fusuma> "))
      console.enter("twice(21)")
      #expect(console.shows("=> 42"))
      console.enter("1 + )")
      #expect(console.shows("syntax error"))
    }
  }

  @Test func anErrorShowsItsBacktraceAndNothingOfTheHost() throws {
    try withMount(.source(Self.script)) { mount in
      let console = try attach(mount)
      console.enter("Notes.new('/').fail")
      #expect(console.shows("on purpose (RuntimeError)"))
      #expect(console.shows("script.rb:8:in fail"))
      #expect(console.shows("from (console):1"))
      console.enter("'still' + ' here'")
      #expect(console.shows(#"=> "still here""#))
      #expect(!console.screen.contains("fusuma:"))
    }
  }

  @Test func whatALinePrintsGoesToItsConsole() throws {
    try withMount(.source(Self.script)) { mount in
      let console = try attach(mount)
      console.enter("puts 'one'; p :two; print 'th', \"ree\\n\"; $stderr.puts 'four'")
      #expect(console.shows("one\r\n:two\r\nthree\r\nfour\r\n"))
      #expect(mount.output.isEmpty)
    }
  }

  @Test func tabCompletes() throws {
    try withMount(.source(Self.script)) { mount in
      let console = try attach(mount)
      console.type("FUSE.invali\t '/note'\r")
      #expect(console.shows("=> nil"), "\(console.screen)")
      console.enter("number_of_notes = 3")
      #expect(console.shows("=> 3"))
      console.type("number_o\t + 1\r")
      #expect(console.shows("=> 4"))
      console.type("Note\t.name\r")
      #expect(console.shows(#"=> "Notes""#))
      console.type("FUSE::Sta\t.class\r")
      #expect(console.shows("=> Class"))
      console.type("[].\t")
      #expect(console.shows("\r\n"))
    }
  }

  @Test func linesAreRemembered() throws {
    try withMount(.source(Self.script)) { mount in
      let console = try attach(mount)
      console.enter("6 * 7")
      #expect(console.shows("=> 42") && console.shows("fusuma> "))
      console.type("\u{4}")
      #expect(console.wait() == .exited(0))
      let again = try attach(mount)
      again.type("\u{10}\r")
      #expect(again.shows("=> 42"))
      let history = try mount.folder.read(".local/state/fusuma/history")
      #expect(history.contains("6"))
    }
  }

  @Test func operationsGoOnWhileALineWaitsAndCtrlCEndsTheWait() throws {
    try withMount(.source(Self.script)) { mount in
      let console = try attach(mount)
      console.enter("sleep 30")
      usleep(200_000)
      try #expect(mount.read("note") == "first\n")
      console.type("\u{3}")
      #expect(console.shows("interrupted (Interrupt)", within: 3))
      console.enter("begin; sleep 30; ensure; puts 'ensured'; end")
      usleep(200_000)
      console.type("\u{3}")
      #expect(console.shows("ensured", within: 3))
    }
  }

  @Test func ctrlCEndsALoopThatCallsSomethingOfTheHosts() throws {
    try withMount(.source(Self.script)) { mount in
      let console = try attach(mount)
      console.enter("loop { FUSE.mountpoint }")
      usleep(300_000)
      console.type("\u{3}")
      #expect(console.shows("interrupted (Interrupt)", within: 5))
      try #expect(mount.read("note") == "first\n")
    }
  }

  @Test func whatCannotBeInterruptedIsNamedAsWhatHoldsTheMountUp() throws {
    try withMount(.source(Self.script)) { mount in
      let console = try attach(mount)
      console.enter("t = Time.now; while Time.now - t < 4; end; :over")
      usleep(300_000)
      let other = try Program([Mount.binary, "stats", "--once", mount.path])
      console.type("\u{3}")
      #expect(console.shows("the mount is held up by this line", within: 3))
      #expect(
        eventually {
          other.errors.contains(
            "\(mount.path) does not answer: it is held up by a console's line for fusuma (pid")
        }, "\(other.errors)")
      #expect(console.shows("=> :over"))
      #expect(other.wait() == .exited(0))
    }
  }

  @Test func severalConsolesHaveVariablesOfTheirOwn() throws {
    try withMount(.source(Self.script)) { mount in
      let consoles = try (0..<3).map { _ in try attach(mount) }
      for (number, console) in consoles.enumerated() { console.enter("mine = \(number); $all = 7") }
      for console in consoles { console.enter("sleep 0.3; [mine, $all]") }
      for (number, console) in consoles.enumerated() {
        #expect(console.shows("=> [\(number), 7]"))
      }
    }
  }

  @Test func anUnmountEndsAConsole() throws {
    try withMount(.source(Self.script)) { mount in
      let console = try attach(mount)
      console.enter("sleep 30")
      usleep(200_000)
      mount.unmount()
      #expect(console.shows("FUSE::Unmounted"))
      console.enter("1")
      #expect(console.shows("the filesystem was unmounted"))
      #expect(console.wait() == .exited(0))
    }
  }

  @Test func aMountInTheBackgroundHasAConsoleToo() throws {
    let folder = try Folder()
    let point = try folder.makeDirectory("mnt")
    let script = try folder.write("script.rb", Self.script)
    let started = try run([Mount.binary, "-d", script, point])
    #expect(started.status == 0, "\(started)")
    defer { _ = try? run(["fusermount3", "-u", "-z", point]) }
    let console = try PseudoTerminal(
      [Mount.binary, "attach", point], environment: ["HOME": folder.path])
    #expect(console.shows("fusuma> "))
    console.enter("FUSE.unmount; :bye")
    #expect(console.shows("=> :bye"))
    #expect(eventually { !MountTable.has(point) })
  }

  // MARK: fusuma console

  private func open(
    _ folder: Folder, _ arguments: [String] = []
  ) throws -> (console: PseudoTerminal, point: String) {
    let point = try folder.makeDirectory("mnt")
    let script = try folder.write("script.rb", Self.script)
    let console = try PseudoTerminal(
      [Mount.binary, "console"] + arguments + [script, point],
      environment: ["HOME": folder.path])
    try #require(console.shows("fusuma> "), "\(console.screen)")
    return (console, point)
  }

  @Test(arguments: ["exit\r", "\u{4}"]) func consoleMountsAndLeavingUnmounts(_ key: String) throws {
    let folder = try Folder()
    let (console, point) = try open(folder, ["-o", "fsname=proto"])
    #expect(MountTable.has(point))
    try #expect(Folder.read(point + "/note") == "first\n")
    console.type("puts 'be' + 'gun'; sleep 20\r")
    #expect(console.shows("begun"))
    // Ctrl-C is the console's alone: it does not unmount.
    console.type("\u{3}")
    #expect(console.shows("interrupted") && console.shows("fusuma> "))
    console.type(key)
    #expect(console.wait() == .exited(0))
    #expect(!MountTable.has(point))
  }

  @Test func aConsoleThatIsKilledTakesItsMountAlong() throws {
    let folder = try Folder()
    let (console, point) = try open(folder)
    kill(console.pid, SIGKILL)
    #expect(eventually { !MountTable.has(point) })
  }

  @Test func consoleTellsWhatKeepsAScriptFromMounting() throws {
    let folder = try Folder()
    let script = try folder.write("script.rb", "FUSE.run 3")
    let outcome = try run([Mount.binary, "console", script, try folder.makeDirectory("mnt")])
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("FUSE.run needs the class"))
  }
}
