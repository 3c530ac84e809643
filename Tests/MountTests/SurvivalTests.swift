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
}
