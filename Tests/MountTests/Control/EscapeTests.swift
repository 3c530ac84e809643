import Glibc
import Testing

/// What comes from names, messages and other processes is shown as text, and never obeyed.
@Suite struct EscapeTests {
  /// Sets a title, begins a line of its own, and clears the screen by a control of C1.
  private static let name = "\u{1B}]0;PWNED\u{07}\nfusuma: forged \u{9B}2J\u{202E}"

  private static let script = """
    class T
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : raise("no such page: #{@path}")
    end
    FUSE.run T

    """

  private func isHarmless(_ text: String) -> Bool {
    !text.unicodeScalars.contains { $0.properties.generalCategory == .control && $0 != "\n" }
      && !text.contains("\nfusuma: forged")
  }

  @Test func reportsSpellThemOut() throws {
    try withMount(.source(Self.script), reports: true) { mount in
      _ = try? mount.exists("\(Self.name)")
      #expect(mount.log.contains("no such page: /\\x1b]0;PWNED\\x07\\x0afusuma: forged \\u009b2J"))
      #expect(isHarmless(mount.log), "\(mount.log)")
      #expect(!mount.log.contains("\u{202E}"))
    }
  }

  @Test(arguments: ["text", "json"])
  func theTraceSpellsThemOut(format: String) throws {
    try withMount(.source(Self.script), reports: true) { mount in
      let trace = try Program([Mount.binary, "trace", "--format", format, mount.path])
      #expect(
        eventually {
          _ = try? mount.exists("\(Self.name)")
          return trace.output.contains("forged")
        })
      trace.signal(SIGINT)
      trace.wait()
      #expect(isHarmless(trace.output), "\(trace.output)")
    }
  }

  @Test func statisticsAndConsolesSpellThemOut() throws {
    try withMount(.source(Self.script), reports: true) { mount in
      for options in [["--once"], ["--once", "--json"]] {
        let stats = try Program(
          [Mount.binary, "stats", "--interval", "0.3"] + options + [mount.path])
        while stats.output.isEmpty {
          _ = try? mount.exists("\(Self.name)")
        }
        stats.wait()
        #expect(stats.output.contains("PWNED"), "\(stats.output)")
        #expect(isHarmless(stats.output), "\(stats.output)")
      }
      let outcome = try run([
        "sh", "-c",
        "printf 'raise \"\\\\e]0;PWNED\\\\a \\\\u009b2J\"\\n' | \"$0\" attach \"$1\"",
        Mount.binary, mount.path,
      ])
      #expect(outcome.output.contains("PWNED"), "\(outcome)")
      #expect(isHarmless(outcome.output + outcome.errors), "\(outcome)")
    }
  }

  @Test func errorsOfTheCommandSpellThemOut() throws {
    for words in [["stats", "/\(Self.name)"], ["/\(Self.name)", "/tmp"]] {
      let outcome = try run([Mount.binary] + words)
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("PWNED"))
      #expect(isHarmless(outcome.errors), "\(outcome)")
    }
  }
}
