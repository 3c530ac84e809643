import Glibc
import Testing

/// `fusuma new` and `fusuma check`.
@Suite struct CheckTests {
  private func check(_ source: String, _ options: [String] = []) throws -> Outcome {
    let folder = try Folder()
    try folder.write("script.rb", source)
    return try run([Mount.binary, "check"] + options + ["script.rb"], in: folder.path)
  }

  /// The warnings about a class with this body.
  private func warnings(_ body: String) throws -> [String] {
    let outcome = try check(
      """
      class Files
        def initialize(path); @path = path; end
      \(body)
      end
      FUSE.run Files
      """)
    #expect(outcome.errors == "")
    let lines = outcome.output.split(separator: "\n").map(String.init)
    let warnings = lines.filter { $0.contains(": warning: ") }
    #expect(outcome.status == (warnings.isEmpty ? 0 : 1))
    return warnings
  }

  private static let getattr =
    "def on_getattr; @path == '/' ? FUSE::Stat.directory : FUSE::Stat.file(2); end\n"

  // MARK: check

  @Test func aHookThatWaitsIsWaitedFor() throws {
    try #expect(
      warnings(
        """
        def on_getattr
          sleep 0.01
          @path == '/' ? FUSE::Stat.directory : FUSE::Stat.file(2)
        end
        def on_readdir; ["a"]; end
        def on_read_all; `echo 1`; end
        """) == [])
  }

  @Test(arguments: ["string", "class", "object", "hash", "FUSE", "curl"])
  func newLeavesRubysOwnClassesAlone(_ name: String) throws {
    let folder = try Folder()
    try #require(run([Mount.binary, "new", name], in: folder.path).status == 0)
    let outcome = try run([Mount.binary, "check", name + ".rb"], in: folder.path)
    #expect(outcome.status == 0 && outcome.errors == "", "\(outcome)")
  }

  @Test func whatMrubyDoesOtherwiseIsNamed() throws {
    let outcome = try check(
      """
      class Files
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : nil
        def on_readdir
          n = 0
          begin
            n += 1
          end while n > 10
          begin
            n += 1
          ensure
            while true
              break
            end
          end
          []
        end
        def first(a, key: 1)
          block_given?
        end
        def method_missing(name, *rest, key: 1)
          super
        end
        # Nothing is wrong with these.
        def second(a, b = :c)
          while true
            break
          end
          block_given?
        end
      end
      FUSE.run Files
      """)
    let warnings = outcome.output.split(separator: "\n").filter { $0.contains(": warning: ") }
    let lines = warnings.map { $0.split(separator: ":")[1] }
    #expect(lines.sorted() == ["11", "19", "22", "8"], "\(outcome)")
    #expect(outcome.status == 1 && outcome.errors == "")
  }

  @Test func hooksAreListedWithTheirLines() throws {
    let outcome = try check(
      """
      class Files
        include FUSE::Attributes if false
        def initialize(path); end
        def on_getattr; FUSE::Stat.directory; end
        def on_readdir; []; end
      end
      FUSE.run Files
      """)
    #expect(
      outcome.output == """
        script.rb: Files has 2 of the hooks
          on_getattr  script.rb:4
          on_readdir  script.rb:5

        """)
    #expect(outcome.status == 0)
  }

  @Test(arguments: [
    ("on_raed", "on_read"), ("on_get_attr", "on_getattr"), ("on_readall", "on_read_all"),
    ("onopen", "on_open"), ("on_realease", "on_release"),
  ])
  func aMisspeltHookIsNamed(_ misspelt: String, _ meant: String) throws {
    let body = Self.getattr + "def \(misspelt); end\ndef on_my_own; end\ndef only_this; end"
    try #expect(
      warnings(body) == [
        "script.rb:4: warning: \(misspelt) is not a hook; did you mean \(meant)?"
      ])
  }

  @Test func hooksInTheWrongPlaceAreNamed() throws {
    try #expect(
      warnings(Self.getattr + "def on_init; end\ndef self.on_read; end") == [
        "script.rb:4: warning: on_init is called on the class: def self.on_init",
        "script.rb: warning: self.on_read is never called: hooks are methods of the instances: "
          + "def on_read",
      ])
  }

  @Test func anArityThatNeverFitsIsNamed() throws {
    let body = Self.getattr + "def on_read(a, b, c, d); end\ndef on_readlink(a = 1, *b); end"
    try #expect(
      warnings(body) == [
        "script.rb:4: warning: on_read needs 4 arguments, but is handed at most 3: size, offset, handle"
      ])
  }

  @Test func aRequiredKeywordIsNamed() throws {
    let body = Self.getattr + "def on_mkdir(mode:); end\ndef on_rmdir(a: 1); puts 'no'; end"
    try #expect(
      warnings(body) == [
        "script.rb:4: warning: on_mkdir needs the keyword mode:, but is handed no keywords"
      ])
  }

  @Test func aMethodOfTheClassThatNeedsArgumentsIsNamed() throws {
    let body =
      Self.getattr + "def self.on_init(a, b); end\ndef self.on_reload(a); end\n"
      + "def self.on_destroy(a = 1); end"
    try #expect(
      warnings(body) == [
        "script.rb:4: warning: self.on_init needs 2 arguments, but is handed none",
        "script.rb:5: warning: self.on_reload needs 1 argument, but is handed none",
      ])
  }

  @Test func whatIsNoNameIsNamed() throws {
    let body = Self.getattr + "def on_readdir; ['a', :b, ['c', nil], 3, nil]; end"
    try #expect(
      warnings(body) == [
        "script.rb:4: warning: on_readdir lists 3 in /, which is no String",
        "script.rb:4: warning: on_readdir lists nil in /, which is no String",
      ])
  }

  @Test func aHelperThatIsCalledIsNoMisspeltHook() throws {
    let helper = Self.getattr + "def on_line; end\n"
    try #expect(warnings(helper + "def on_access\non_line\nend") == [])
    try #expect(warnings(helper + "# on_line").count == 1)
  }

  @Test func whatIsAlwaysEmptyNeedsNoTruncating() throws {
    let body = """
        def on_getattr
          return FUSE::Stat.directory if @path == '/'
          @path == '/a' ? FUSE::Stat.file(0, 0222) : FUSE::Stat.file(5, 0444)
        end
        def on_readdir; ['a', 'b']; end
        def on_write(data, offset); data.size; end
      """
    try #expect(warnings(body) == [])
    try #expect(warnings(body.replacing("'a', 'b'", with: "")).count == 1)
    try #expect(warnings(body.replacing("0444", with: "0644")).count == 1)
  }

  @Test func aByteOrderMarkIsSkipped() throws {
    let folder = try Folder()
    try folder.write("part.rb", "\u{FEFF}PART = 1")
    try folder.write(
      "script.rb",
      """
      \u{FEFF}require_relative "part"
      class Files
        def initialize(path); end
        def on_getattr; FUSE::Stat.directory; end
      end
      FUSE.run Files
      """)
    let outcome = try run([Mount.binary, "check", "script.rb"], in: folder.path)
    #expect(outcome.status == 0, "\(outcome)")
  }

  @Test func nothingIsLikeOneLetter() throws {
    let outcome = try check("n")
    #expect(outcome.errors.contains("undefined"), "\(outcome)")
    #expect(!outcome.errors.contains("did you mean"), "\(outcome)")
  }

  @Test func writingWithoutTruncatingIsNamed() throws {
    let write = Self.getattr + "def on_write(data); end\n"
    try #expect(
      warnings(write) == [
        "script.rb:4: warning: on_write without on_truncate: '>' cannot empty a file, so what was in "
          + "it stays"
      ])
    try #expect(warnings(write + "def on_truncate(size); end") == [])
    try #expect(warnings(Self.getattr + "def on_write_all(data); end") == [])
  }

  @Test func filesThatAreListedAndDeniedAreNamed() throws {
    let body = """
        def on_readdir; %w[a b c d]; end
        def on_getattr
          case @path
          when '/' then FUSE::Stat.directory
          when '/a' then nil
          when '/b' then -2
          when '/c' then raise Errno::EACCES
          when '/d' then { st_mode: FUSE::S_IFREG | 0644, st_size: 0 }
          end
        end
      """
    try #expect(
      warnings(body) == [
        "script.rb:4: warning: on_readdir lists /a, but on_getattr answers nil for it",
        "script.rb:4: warning: on_readdir lists /b, but on_getattr answers -2 for it",
        "script.rb:4: warning: on_readdir lists /c, but on_getattr raises Errno::EACCES for it",
      ])
  }

  @Test func sizesThatDoNotMatchAreNamed() throws {
    let list = Self.getattr + "def on_readdir; ['a']; end\n"
    let warning = "script.rb:3: warning: st_size of /a is 2, but"
    try #expect(
      warnings(list + "def on_read_all; 'long'; end") == ["\(warning) on_read_all answers 4 bytes"])
    try #expect(
      warnings(list + "def on_read(size, offset); 'long'[offset, size]; end") == [
        "\(warning) on_read answers 3 bytes"
      ])
    try #expect(warnings(list + "def on_read_all; 'ok'; end") == [])
    try #expect(
      warnings(list + "def on_open; raise Errno::EACCES; end\ndef on_read_all; end") == [])
    try #expect(
      warnings(list + "def on_open; [@path]; end\ndef on_read_all(handle); handle[0]; end") == [])
  }

  @Test func hooksThatRaiseAreNamed() throws {
    let body = Self.getattr + "def on_readdir; ['a']; end\ndef on_read_all\nnil.foo\nend"
    try #expect(
      warnings(body) == [
        "script.rb:6: warning: on_read_all /a: undefined method 'foo' for nil (NoMethodError)"
      ])
  }

  @Test(arguments: [
    "sleep 0.01", "`echo`", "IO.popen('echo') { |io| io.read }", "Queue.new.push(1)",
    "begin; Curl.get('http://127.0.0.1:1/'); rescue RuntimeError; end",
  ])
  func hooksMayWait(_ wait: String) throws {
    let body = """
      def wait; \(wait); end
      def on_getattr; wait; @path == '/' ? FUSE::Stat.directory : FUSE::Stat.file(2); end
      def on_readdir; wait; ['a']; end
      def on_open; wait; 0; end
      def on_read_all; wait; 'ok'; end
      """
    try #expect(warnings(body) == [])
  }

  @Test func aHookThatWaitsForEverIsLeftAlone() throws {
    let body = Self.getattr + "def on_readdir; ['a']; end\ndef on_read_all; Queue.new.pop; end"
    try #expect(warnings(body) == [])
  }

  @Test func noHookIsCalledWhereThatIsNotWanted() throws {
    let source = "class A; def initialize(p); end; def on_getattr; raise 'x'; end; end; FUSE.run A"
    try #expect(check(source, ["--no-calls"]).status == 0)
    try #expect(check(source).status == 1)
  }

  @Test(arguments: [
    ("class", "script.rb:1:5: syntax error"), ("raise 'no luck'", "script.rb:1: no luck"),
    ("1", "never called FUSE.run"),
  ])
  func whatDoesNotLoadIsToldOf(_ source: String, _ message: String) throws {
    let outcome = try check(source)
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains(message), "\(outcome)")
  }

  // MARK: new

  @Test(arguments: ["hello", "webhook", "memory"])
  func aNewScriptIsInOrderAndIsNotOverwritten(_ template: String) throws {
    let folder = try Folder()
    let words = [Mount.binary, "new", "my-files", "--template", template]
    try #expect(run(words, in: folder.path).status == 0)
    let checked = try run([Mount.binary, "check", "my-files.rb"], in: folder.path)
    #expect(checked.status == 0, "\(checked)")
    let before = try folder.read("my-files.rb")
    let again = try run(words, in: folder.path)
    #expect(again.status == 1)
    #expect(again.errors == "fusuma: cannot write my-files.rb: File exists\n")
    try #expect(folder.read("my-files.rb") == before)
  }

  @Test(arguments: [
    ("string", "hello"), ("class", "hello"), ("FUSE", "memory"), ("object", "memory"),
    ("JSON", "webhook"), ("curl", "webhook"), ("URL", "webhook"), ("END", "hello"),
  ])
  func aNameThatIsTakenMakesAnotherClass(_ name: String, _ template: String) throws {
    let folder = try Folder()
    try #expect(run([Mount.binary, "new", name, "-t", template], in: folder.path).status == 0)
    let checked = try run([Mount.binary, "check", "\(name).rb"], in: folder.path)
    #expect(checked.status == 0, "\(checked)")
    #expect(checked.output.contains("Filesystem has "), "\(checked)")
  }

  @Test func aNameThatLooksLikeAnOptionIsAdvisedAsAPath() throws {
    let folder = try Folder()
    let outcome = try run([Mount.binary, "new", "--", "-x"], in: folder.path)
    #expect(outcome.output.contains("fusuma --watch ./-x.rb /tmp/-x\n"), "\(outcome)")
    try #expect(run([Mount.binary, "check", "./-x.rb"], in: folder.path).status == 0)
  }

  private func withNew(_ template: String, _ body: (Mount) throws -> Void) throws {
    let folder = try Folder()
    _ = try run([Mount.binary, "new", "mine", "-t", template], in: folder.path)
    try withMount(.source(folder.read("mine.rb")), body)
  }

  @Test func helloRuns() throws {
    try withNew("hello") { mount in
      try #expect(mount.read("hello") == "Hello from Ruby!\n")
      try #expect(!mount.read("now").isEmpty)
    }
  }

  @Test func webhookRuns() throws {
    try withNew("webhook") { mount in
      // Nobody listens there.
      #expect(throws: SystemError.self) { try mount.write("notify", "hello") }
      try #expect(!mount.read("notify").isEmpty)
    }
  }

  @Test func memoryRuns() throws {
    try withNew("memory") { mount in
      let outcome = try mount.sh(
        """
        set -e; mkdir d; echo one > d/a; echo two >> d/a; cp d/a b; mv b d/c; diff d/a d/c; ls d
        truncate -s 3 d/a; cat d/a; chmod 600 d/a; stat -c %a d/a; rm d/a; ! rmdir d 2> /dev/null
        mv d e; ls e; rm e/c; rmdir e; ls
        """)
      #expect(outcome.output == "a\nc\none600\nc\n", "\(outcome)")
      #expect(outcome.status == 0)
    }
  }

  @Test(arguments: ["1x", "a b", "", "é", "-"])
  func aNameThatMakesNoClassIsRefused(_ name: String) throws {
    let folder = try Folder()
    let outcome = try run([Mount.binary, "new", "--", name], in: folder.path)
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("makes no name for a class"))
  }
}
