import Glibc
import Testing

/// What people are told of errors in their scripts.
@Suite struct ReportTests {
  /// A filesystem in which reading /NAME runs a piece of Ruby.
  private func script(_ pieces: [String: String]) -> Script {
    let cases = pieces.sorted { $0.key < $1.key }.map {
      "    when \"/\($0.key)\"\n      \($0.value)\n"
    }
    return .source(
      """
      class Faulty
        def initialize(path)
          @path = path
        end
        def on_getattr
          @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
        end
        def on_read_all
          case @path
      \(cases.joined())    end
        end
        def each_twice
          2.times { |i| yield i }
        end
        def helper; end
      end
      FUSE.run Faulty
      """)
  }

  /// What is reported when a file is read.
  private func report(of ruby: String, times: Int = 1) throws -> String {
    try withMount(script(["x": ruby]), reports: true) { mount in
      for _ in 0..<times { #expect(throws: SystemError(EIO)) { try mount.read("x") } }
      mount.unmount()
      return mount.log
    }
  }

  @Test func anExceptionShowsTheLinesAroundItAndTheWayThere() throws {
    let log = try report(of: "each_twice do |i|\n  raise 'no luck' if i == 1\nend")
    let expected = """
      fusuma: on_read_all /x: no luck (RuntimeError)
          11 |       each_twice do |i|
        > 12 |   raise 'no luck' if i == 1
          13 | end
          from FILE:12:in on_read_all
          from FILE:17:in each_twice
          from FILE:17:in times
          from FILE:17:in each_twice
          from FILE:11:in on_read_all

      """
    // In mruby 3.3 it is a method in Ruby that has no lines.
    let since = expected.replacing("    from FILE:17:in times\n", with: "")
    #expect([expected, since].contains(log.withoutFolders))
  }

  @Test(arguments: [
    ("helpr", "undefined method 'helpr' for an instance of Faulty", "did you mean 'helper'?"),
    ("nil.upcase", "undefined method 'upcase' for nil", nil),
    ("'x'.upcas", "undefined method 'upcas' for an instance of String", "did you mean 'upcase'?"),
    ("Faulty.make", "undefined method 'make' for class Faulty", nil),
    ("Strng.new", "uninitialized constant Faulty::Strng", "did you mean 'String'?"),
    ("Stat.file(3)", "uninitialized constant Faulty::Stat", "did you mean 'FUSE::Stat'?"),
    ("1 + nil", "can't convert nil into Float", nil),
  ])
  func aMessageSaysWhatWasMeant(_ ruby: String, _ message: String, _ hint: String?) throws {
    let log = try report(of: ruby)
    #expect(log.contains(": \(message) ("))
    if let hint {
      #expect(log.contains("\n  \(hint)\n"))
    } else {
      #expect(!log.contains("did you"))
    }
  }

  @Test func whatIsEvaluatedFromAStringLeadsToTheScript() throws {
    let log = try report(of: "eval('1 / 0')")
    #expect(log.contains("  > 11 |       eval('1 / 0')\n"))
  }

  @Test func theSameErrorIsCounted() throws {
    let log = try report(of: "raise 'again'", times: 500)
    let told = log.split(separator: "\n").filter { $0.contains("again (RuntimeError)") }
    #expect(told.first == "fusuma: on_read_all /x: again (RuntimeError)")
    // In one line, or in a few where it took more than a second.
    let counted = told.dropFirst().compactMap { line in
      line.hasSuffix(": once more")
        ? 1 : Int(line.split(separator: " ").dropLast(2).last ?? "")
    }
    #expect(counted.reduce(0, +) == 499, "\(log)")
    #expect(told.count < 6)
  }

  @Test func theSameErrorIsCountedWhileItGoesOn() throws {
    try withMount(script(["x": "raise 'again'"]), reports: true) { mount in
      for _ in 0..<3 { #expect(throws: SystemError(EIO)) { try mount.read("x") } }
      #expect(eventually { mount.log.contains(": 2 times more\n") })
    }
  }

  @Test func endlessRecursionIsCutShort() throws {
    let log = try report(of: "on_read_all")
    #expect(log.contains("stack level too deep (SystemStackError)"))
    #expect(log.split(separator: "\n").count < 20)
    #expect(log.contains("    ... and "))
  }

  @Test func aWrongAnswerSaysWhatIsExpectedWithAnExampleAndWhereTheHookIs() throws {
    let log = try report(of: "42")
    #expect(
      log == """
        fusuma: on_read_all /x: answered 42, but should answer a String, or [String, size]; for \
        example "hello\\n"
            7 |   end
          > 8 |   def on_read_all
            9 |     case @path

        """)
  }

  @Test func coloursAreForTerminals() throws {
    let folder = try Folder()
    let script = try folder.write("script.rb", "raise 'no luck'")
    let point = try folder.makeDirectory("mnt")
    let command = "\(Mount.binary) \(script) \(point)"
    let plain = try run(["sh", "-c", "\(command) 2>&1"], environment: ["TERM": "xterm"])
    #expect(!plain.output.contains("\u{1B}"))
    let terminal = ["script", "-qec", command, "/dev/null"]
    let coloured = try run(terminal, environment: ["TERM": "xterm"])
    #expect(coloured.output.contains("\u{1B}[1;31mfusuma:\u{1B}[0m"), "\(coloured)")
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
      let plain = try run(terminal, environment: ["TERM": "xterm"].merging([name: value]) { $1 })
      #expect(!plain.output.contains("\u{1B}"))
    }
  }
}

extension String {
  /// With the script's path shortened to FILE.
  fileprivate var withoutFolders: String {
    split(separator: " ", omittingEmptySubsequences: false).map { word in
      guard let start = word.firstRange(of: "/tmp/"), let end = word.firstRange(of: "script.rb")
      else { return String(word) }
      return word[..<start.lowerBound] + "FILE" + word[end.upperBound...]
    }.joined(separator: " ")
  }
}
