import Glibc
import Testing

/// The trace, against operations that are known.
@Suite struct TraceTests {
  private static let script = """
    class Files
      def initialize(path) = @path = path
      def on_getattr
        return FUSE::Stat.directory if @path == "/"
        FUSE::Stat.file(5) if ["/quick", "/slow", "/broken", "/odd\\nname"].include?(@path)
      end
      def on_readdir = ["quick", "slow", "broken", "odd\\nname"]
      def on_read(size, offset)
        sleep 0.2 if @path == "/slow"
        raise Errno::EACCES if @path == "/broken"
        offset == 0 ? "12345" : ""
      end
      def on_write(data, offset) = nil
      def on_truncate(size) = nil
    end
    FUSE.attr_timeout = 0
    FUSE.run Files

    """

  /// Works on the mount: each of these has its line.
  private func work(_ mount: Mount) throws {
    try #expect(mount.read("quick") == "12345")
    try #expect(mount.read("slow") == "12345")
    #expect(throws: SystemError(EACCES)) { try mount.read("broken") }
    #expect(throws: SystemError(ENOENT)) { try mount.read("absent") }
    try mount.append("quick", "abc")
  }

  private func lines(_ text: String) -> [String] {
    text.split(separator: "\n").map(String.init)
  }

  @Test func aTraceThatCannotBeWrittenIsToldOfOnce() throws {
    let options = ["--trace=/dev/full"]
    try withMount(.source(Self.script), options: options, reports: true) { mount in
      try work(mount)
      try #require(eventually { !mount.log.isEmpty })
      try work(mount)
      #expect(
        lines(mount.log) == [
          "fusuma: cannot write the trace /dev/full: No space left on device; its lines are lost"
        ])
    }
  }

  @Test func everyOperationHasItsLine() throws {
    let output = try Folder()
    let file = output.path + "/trace"
    try withMount(.source(Self.script), options: ["--trace=\(file)"]) { mount in
      try work(mount)
      _ = try mount.sh("cat quick; : > quick; cat absent || true")
    }
    let lines = lines(try output.read("trace"))
    func line(_ text: String) -> String? { lines.first { $0.contains(text) } }
    for text in [
      " open      /quick ", " open      /quick O_WRONLY|O_APPEND ",
      " setattr   /quick size=0 = 0  ",
      " read      /quick ", "@0 = 5  ", " read      /broken ", " = EACCES ",
      " lookup    /absent = ENOENT  ", " write     /quick 3@5 = 3  ",
      " release   /quick = 0  ", " cat[",
    ] { #expect(line(text) != nil, "no \(text) in \(lines.joined(separator: "\n"))") }
    let slow = try #require(line(" read      /slow "))
    #expect(number(behind: "wait=", in: slow) ?? 0 >= 200_000)
    #expect(number(behind: " = 5  ", in: slow) ?? 0 >= 200_000)
    #expect(number(behind: "ruby=", in: slow) ?? .max < 100_000)
    // Times of day that go up, and nothing for a terminal.
    #expect(lines.map { String($0.prefix(15)) }.allSatisfy { $0.contains(":") && $0.contains(".") })
    #expect(!lines.joined().contains("\u{1B}"))
  }

  private func number(behind text: String, in line: String) -> Int? {
    guard let start = line.indices.first(where: { line[$0...].hasPrefix(text) }) else { return nil }
    return Int(line[start...].dropFirst(text.count).prefix { $0.isNumber })
  }

  @Test func eachLineOfTheJSONFormatIsAnObject() throws {
    let output = try Folder()
    let options = ["--trace=\(output.path)/trace", "--trace-format=json"]
    try withMount(.source(Self.script), options: options) { mount in
      try work(mount)
      try #expect(mount.read("odd\nname") == "12345")
    }
    let script = """
      File.open("\(output.path)/trace").each_line { |line| $all = ($all || []) << JSON.parse(line) }
      read = $all.find { |each| each["operation"] == "read" && each["path"] == "/odd\\nname" }
      failed = $all.find { |each| each["errno"] == "ENOENT" }
      puts read["result"], read["arguments"].end_with?("@0"), read["pid"] > 0, read["errno"].nil?
      puts failed["path"], failed["result"].nil?, failed["microseconds"] >= failed["ruby"]
      puts read["time"] > 1_000_000_000, read["command"].size > 0

      """
    let outcome = try run([Mount.binary, try output.write("read.rb", script)])
    #expect(
      outcome.output == "5\ntrue\ntrue\ntrue\n/absent\ntrue\ntrue\ntrue\ntrue\n", "\(outcome)")
  }

  @Test func withoutAFileTheTraceIsOnStandardError() throws {
    try withMount(.source(Self.script), options: ["--trace"], reports: true) { mount in
      try work(mount)
      #expect(eventually { mount.log.contains(" write     /quick 3@5 = 3  ") })
    }
  }

  /// Traces a mount with a client while `body` runs; answers its lines.
  private func trace(
    _ mount: Mount, _ options: [String], _ body: () throws -> Void
  ) throws -> [String] {
    let client = try Program([Mount.binary, "trace", mount.path] + options)
    // It is on once an operation of its own kind comes through; one of the kernel's own is enough.
    usleep(500_000)
    try body()
    usleep(300_000)
    client.signal(SIGINT)
    #expect(client.wait() == .exited(0), "\(client.errors)")
    return lines(client.output)
  }

  @Test func aClientTurnsItOnAndOff() throws {
    try withMount(.source(Self.script)) { mount in
      let lines = try trace(mount, []) { try work(mount) }
      #expect(lines.contains { $0.contains("lookup    /absent = ENOENT") })
      try work(mount)
      let second = try trace(mount, ["--format", "json"]) { _ = try mount.stat("quick") }
      #expect(!second.isEmpty && second.allSatisfy { $0.hasPrefix("{") })
      #expect(!second.contains { $0.contains("absent") })
    }
  }

  @Test func filtersLeaveOut() throws {
    try withMount(.source(Self.script)) { mount in
      let reads = try trace(mount, ["--operation", "read,write"]) { try work(mount) }
      #expect(reads.contains { $0.contains(" write ") })
      #expect(reads.allSatisfy { $0.contains(" read ") || $0.contains(" write ") })
      let paths = try trace(mount, ["--path", "/s*"]) { try work(mount) }
      #expect(!paths.isEmpty && paths.allSatisfy { $0.contains(" /slow") })
      let denied = try trace(mount, ["--errno", "eacces"]) { try work(mount) }
      #expect(
        !denied.isEmpty
          && denied.allSatisfy { $0.contains(" /broken ") && $0.contains(" = EACCES ") })
      let failed = try trace(mount, ["--errno", "any"]) { try work(mount) }
      #expect(
        failed.contains { $0.contains("ENOENT") } && failed.allSatisfy { $0.contains(" = E") })
      let slow = try trace(mount, ["--slower", "150ms"]) { try work(mount) }
      #expect(slow.count == 1 && slow[0].contains("/slow"))
    }
  }

  @Test(arguments: [
    ["--operation", "raed"], ["--errno", "ENOSUCH"], ["--slower", "soon"], ["--format", "xml"],
  ])
  func aFilterThatMeansNothingIsOneClearLine(_ options: [String]) throws {
    let outcome = try run([Mount.binary, "trace", "/"] + options)
    #expect(outcome.status ?? 0 != 0)
    #expect(outcome.errors.contains(options[1]) && lines(outcome.errors).count == 1, "\(outcome)")
  }

  @Test func coloursAreForTerminals() throws {
    try withMount(.source(Self.script)) { mount in
      for (environment, hasColours) in [
        (["TERM": "xterm"], true), (["TERM": "xterm", "NO_COLOR": "1"], false),
      ] {
        let terminal = try PseudoTerminal(
          [Mount.binary, "trace", mount.path, "--errno", "ENOENT"], environment: environment)
        usleep(500_000)
        _ = try mount.exists("absent")
        #expect(terminal.shows("ENOENT"))
        #expect(terminal.screen.contains("\u{1B}[31m") == hasColours)
        terminal.type("\u{3}")
        #expect(terminal.wait() == .exited(0))
      }
    }
  }

  @Test func aTraceThatCannotBeWrittenKeepsTheMountAway() throws {
    let folder = try Folder()
    let script = try folder.write("script.rb", Self.script)
    let outcome = try run([
      Mount.binary, "--trace=/nonexistent/trace", script, try folder.makeDirectory("mnt"),
    ])
    #expect(outcome.status == 1)
    #expect(outcome.errors.hasPrefix("fusuma: cannot write the trace /nonexistent/trace: "))
  }

  // MARK: Statistics

  @Test func statsTellHooksPathsAndWaits() throws {
    try withMount(.source(Self.script)) { mount in
      let client = try Program([
        Mount.binary, "stats", "--once", "--interval", "1.5", mount.path,
      ])
      usleep(300_000)
      try work(mount)
      #expect(client.wait() == .exited(0))
      let table = client.output
      for text in [
        mount.path, "pool ", "memory ", "operation ", "lookup ", "hook ", "on_getattr ", "on_read ",
        "path ", "/quick",
      ] { #expect(table.contains(text), "no \(text) in \(table)") }
      #expect(!table.contains("\u{1B}"))
    }
  }

  @Test func statsTellWhoWaitsForWhat() throws {
    let script = Self.script.replacing("sleep 0.2", with: "sleep 3")
    try withMount(.source(script)) { mount in
      let reader = try Program(["cat", mount.path + "/slow"])
      let client = try Program([
        Mount.binary, "stats", "--json", "--once", "--interval", "0.5", mount.path,
      ])
      #expect(client.wait() == .exited(0))
      for text in [
        #""for":"sleep 3.0""#, #""path":"/slow""#, #""who":"on_read""#, #""waits":1"#,
        #""pid":\#(reader.pid)"#,
      ] { #expect(client.output.contains(text), "no \(text) in \(client.output)") }
      #expect(reader.wait() == .exited(0))
    }
  }

  @Test func statsRefreshOnATerminal() throws {
    try withMount(.source(Self.script)) { mount in
      let terminal = try PseudoTerminal(
        [Mount.binary, "stats", "--interval", "0.2", mount.path], environment: ["TERM": "xterm"])
      for _ in 0..<3 { #expect(terminal.shows("\u{1B}[H")) }
      terminal.type("\u{3}")
      #expect(terminal.wait() == .exited(0))
    }
  }

  @Test func aHookThatHoldsTheMountUpIsNamed() throws {
    let script = Self.script.replacing(
      "sleep 0.2", with: "(t = Time.now; while Time.now - t < 4; end)")
    try withMount(.source(script)) { mount in
      let reader = try Program(["cat", mount.path + "/slow"])
      usleep(300_000)
      let client = try Program([Mount.binary, "stats", "--once", mount.path])
      #expect(
        eventually {
          client.errors.contains("held up by on_read (read) for cat (pid \(reader.pid))")
        }, "\(client.errors)")
      #expect(client.wait() == .exited(0))
      #expect(reader.wait() == .exited(0))
    }
  }
}

extension String {
  fileprivate func replacing(_ text: String, with other: String) -> String {
    guard let start = indices.first(where: { self[$0...].hasPrefix(text) }) else { return self }
    return self[..<start] + other + self[start...].dropFirst(text.count)
  }
}
