import Glibc
import Testing

/// Whatever a hook does with fibers, blocks and what the host keeps in the VM: it is answered, and so is
/// the next one.
@Suite struct SurvivalTests {
  /// A filesystem in which each file's content is what a piece of Ruby comes to.
  private func script(_ files: [(name: String, body: String)], before: String = "") -> Script {
    let cases = files.map { "when \"/\($0.name)\" then (\($0.body)).to_s" }
    return .source(
      """
      \(before)
      class Pieces
        NAMES = %w[\(files.map(\.name).joined(separator: " "))]
        def initialize(path) = @path = path
        def on_getattr
          return FUSE::Stat.directory if @path == "/"
          FUSE::Stat.file(nil) if NAMES.include?(@path[1..-1]) || @path == "/next"
        end
        def on_readdir = NAMES
        def on_read_all
          case @path
          \(cases.joined(separator: "\n    "))
          when "/next" then "next"
          end
        end
      end
      FUSE.run Pieces
      """)
  }

  @Test func aHookIsAnsweredWhateverBecomesOfItsFiber() throws {
    let files = [
      ("exec", "5.instance_exec { self + 1 }", "6"),
      ("make", "Fiber.new { $five = proc { 5 }; $six = Hash.new { 6 } }.resume; 1", "1"),
      ("use", "$five.call", "5"), ("hash", "$six[:x]", "6"),
      ("transfer", "Fiber.new { 7 }.transfer", "7"),
      ("yield", "begin; Fiber.yield(1); rescue FiberError; 8; end", "8"),
      ("break", "ObjectSpace.each_object { break 9 }", "9"),
      ("fibers", "ObjectSpace.each_object(Fiber) { |f| f.resume rescue 0 }; 10", "10"),
      (
        "deep",
        "k = Class.new { def to_s = Fiber.new { \"#{self.class.new}\" }.resume }; "
          + "begin; k.new.to_s; rescue SystemStackError; 11; end", "11"
      ),
    ]
    try withMount(script(files.map { ($0.0, $0.1) })) { mount in
      for _ in 0..<3 {
        for (name, _, content) in files {
          try #expect(mount.read(Name(stringLiteral: name)) == content, "\(name)")
          try #expect(mount.read("next") == "next", "after \(name)")
        }
      }
    }
  }

  @Test func whatTheHostKeepsIsOutOfReach() throws {
    let files = [
      (
        "clear",
        "ObjectSpace.each_object(Array) { |a| a.clear unless a.equal?(NAMES) || Symbol === a[0] }; 1"
      ),
      ("freeze", "ObjectSpace.each_object(Array) { |a| a.freeze }; 2"),
      ("fiber", "eval('class Fiber; def self.new(*) = nil; def initialize(*) = nil; end'); 3"),
    ]
    try withMount(script(files)) { mount in
      try #expect(mount.read("clear") == "1")
      try #expect(mount.read("next") == "next")
      try #expect(mount.read("freeze") == "2")
      try #expect(mount.read("fiber") == "3")
      try #expect(mount.list().count == 3)
    }
  }

  @Test func aHookThatGivesItsFiberAwayCostsOneOperation() throws {
    let files = [
      ("given", "Fiber.__yield(1)"), ("parked", "Fiber.__yield(FUSE::PARKED)"),
      ("begun", "FUSE.__park(:sleep, [0.05]); 1"), ("answered", "FUSE::PARKED"),
    ]
    try withMount(script(files), reports: true) { mount in
      for name in ["given", "parked"] {
        #expect(throws: SystemError(EIO)) { try mount.read(Name(stringLiteral: name)) }
        try #expect(mount.read("next") == "next")
      }
      for _ in 0..<3 {
        try #expect(mount.read("begun") == "1")
        try #expect(mount.read("next") == "next")
      }
      _ = try mount.sh("sleep 0.1")
      try #expect(mount.read("answered").hasPrefix("#<Object"))
      #expect(mount.log.contains("gave its fiber away"))
    }
  }

  // MARK: Values that a script decides

  @Test func aListingNamesWhatItWasGivenWhateverAccessorsDo() throws {
    let script: Script = """
      class Entry
        def initialize(name) = @name = name
        def st_mode = 0100644
        def st_size
          # Other Symbols are read, the name is changed and its list emptied, and all is collected.
          text = :small.to_s
          @name << "x" * 200 if @name.is_a?(String)
          $pair.clear
          GC.start
          text.size
        end
      end

      class Listing
        def initialize(path) = @path = path
        def on_getattr = @path.count("/") == 1 ? FUSE::Stat.directory : FUSE::Stat.file(5)
        def on_readdir
          case @path
          when "/" then ["symbols", "strings"]
          when "/symbols" then $pair = []; { one: Entry.new(:one), two: Entry.new(:two) }
          when "/strings"
            name = "n" * 40
            $pair = [name, Entry.new(name)]
            [$pair]
          end
        end
      end

      class String
        def count(character) = bytes.select { |each| each == character.bytes[0] }.size
      end
      FUSE.run Listing
      """
    try withMount(script) { mount in
      for _ in 0..<3 {
        let symbols = try mount.sh("ls -l symbols")
        #expect(symbols.output.contains(" one\n") && symbols.output.contains(" two\n"))
        let strings = try mount.sh("ls -l strings")
        #expect(strings.output.contains(String(repeating: "n", count: 40) + "\n"), "\(strings)")
      }
    }
  }

  @Test func aWrongAnswerThatContainsItselfIsReported() throws {
    let script: Script = """
      ROOT = { name: "root", children: [] }
      ROOT[:children] << { name: "a", parent: ROOT }
      DEEP = []
      inner = DEEP
      100_000.times { inner << (inner = []) }

      class Tree
        def initialize(path) = @path = path
        def on_getattr = FUSE::Stat.directory
        def on_readdir = @path == "/deep" ? [DEEP] : ROOT[:children]
      end
      FUSE.run Tree
      """
    try withMount(script, reports: true) { mount in
      for name in ["", "deep"] {
        #expect(throws: SystemError(EIO)) { try mount.list(Name(stringLiteral: name)) }
      }
      #expect(mount.isLive)
      #expect(mount.log.contains("on_readdir /: answered"))
    }
  }

  @Test(arguments: ["&method(:work)", "&:work"])
  func backgroundWorkWithoutSourceIsReported(_ block: String) throws {
    let script: Script = """
      class Empty
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : nil
        def on_readdir = []
      end
      def work(*) = raise("boom")
      FUSE.spawn(\(block))
      FUSE.run Empty
      """
    try withMount(script, reports: true) { mount in
      try #expect(mount.list() == [])
      #expect(mount.isLive)
      #expect(eventually { mount.log.contains("FUSE.spawn") })
    }
  }

  @Test func anInterruptIsToldOnce() throws {
    let files = [
      (
        "patient",
        "n = 0; begin; sleep(n == 0 ? 30 : 0.01); rescue => e; n += 1; $told = n; retry; end; n"
      ), ("told", "$told"),
    ]
    try withMount(script(files)) { mount in
      _ = try mount.sh("timeout -s INT 1 cat patient")
      for _ in 0..<5 { try #expect(mount.read("next") == "next") }
      try #expect(mount.read("told") == "1")
    }
  }

  @Test func aWaitInPlaceIsReportedOnceWithItsLine() throws {
    let files = [
      ("text", "\"#{Class.new { def to_s = (sleep 0.01; 'slow') }.new}\"")
    ]
    try withMount(script(files), reports: true) { mount in
      for _ in 0..<3 { try #expect(mount.read("text") == "slow") }
      let reports = mount.log.split(separator: "\n").filter { $0.contains("waits in a method") }
        .count
      #expect(reports == 1, "\(mount.log)")
      #expect(mount.log.contains("script.rb:"))
    }
  }

  @Test func aHashThatFetchesAsItIsAskedHoldsNobodyUp() throws {
    let files = [("cached", "CACHE['url']")]
    let before = "CACHE = Hash.new { |hash, key| hash[key] = (sleep 1; \"fetched\") }"
    try withMount(script(files, before: before)) { mount in
      let outcome = try mount.sh(
        "{ cat cached > /dev/null & sleep 0.2; timeout 0.6 cat next; wait; cat cached; }")
      #expect(outcome.output == "nextfetched", "\(outcome)")
    }
  }
}
