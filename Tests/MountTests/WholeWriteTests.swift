import Glibc
import Testing

/// on_write_all: a file's new content is handed over whole, once, and its errno is close(2)'s.
@Suite struct WholeWriteTests {
  private static let whole = """
    class Whole
      def initialize(path)
        @path = path
        @content = "old\\n"
      end

      def on_getattr
        case @path
        when "/" then FUSE::Stat.directory
        when "/file", "/refused", "/wordy" then FUSE::Stat.file(@content.size, 0666)
        end
      end

      def on_read_all = @content

      def on_write_all(data)
        puts "#{@path} #{data.size > 100 ? data.size : data.inspect}"
        raise Errno::EDQUOT if @path == "/refused"
        return "nonsense" if @path == "/wordy"
        @content = data
        0
      end
    end
    FUSE.run Whole

    """

  private func expect(
    _ mount: Mount, _ lines: [String], sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let expected = lines.map { $0 + "\n" }.joined()
    #expect(
      eventually { mount.output == expected }, "\(mount.output)", sourceLocation: sourceLocation)
  }

  @Test func echoIsOneCall() throws {
    try withMount(.source(Self.whole)) { mount in
      try #expect(mount.sh("echo hi > file").status == 0)
      expect(mount, [#"/file "hi\n""#])
      try #expect(mount.read("file") == "hi\n")
    }
  }

  @Test func manyWritesAreOneCall() throws {
    try withMount(.source(Self.whole)) { mount in
      try #expect(mount.sh("dd if=/dev/zero of=file bs=1000 count=3000 2>&1").status == 0)
      expect(mount, ["/file 3000000"])
      try #expect(mount.stat("file").st_size == 3_000_000)
    }
  }

  @Test func itsErrnoIsWhatCloseReturns() throws {
    try withMount(.source(Self.whole)) { mount in
      let file = try mount.open("refused", O_WRONLY | O_TRUNC)
      try #expect(file.write("no") == 2)
      #expect(throws: SystemError(EDQUOT)) { try file.close() }
      // A shell's own echo cannot tell: the shell closes the file with dup2(2), which forgets errors.
      let echo = try mount.sh("bash -c '/bin/echo hi > refused'")
      #expect(echo.status == 1)
      #expect(echo.errors.contains("quota"), "\(echo)")
      try #expect(mount.read("refused") == "old\n")
    }
  }

  @Test func whateverTheLastLineLeavesIsSuccess() throws {
    try withMount(.source(Self.whole)) { mount in
      try mount.write("wordy", "x")
    }
  }

  @Test func appendingHandsOverTheOldContentToo() throws {
    try withMount(.source(Self.whole)) { mount in
      try #expect(mount.sh("echo new >> file").status == 0)
      expect(mount, [#"/file "old\nnew\n""#])
    }
  }

  @Test func writingInTheMiddleHandsOverTheRestToo() throws {
    try withMount(.source(Self.whole)) { mount in
      let file = try mount.open("file", O_RDWR)
      try file.write("L", at: 1)
      try #expect(file.read(10, at: 0) == Array("oLd\n".utf8))
      try file.close()
      expect(mount, [#"/file "oLd\n""#])
    }
  }

  @Test func anEmptyRedirectionHandsOverNothing() throws {
    try withMount(.source(Self.whole)) { mount in
      try #expect(mount.sh(": > file").status == 0)
      expect(mount, [#"/file """#])
      try #expect(mount.read("file") == "")
    }
  }

  @Test func truncatingWithoutOpeningHandsOver() throws {
    try withMount(.source(Self.whole)) { mount in
      try mount.truncate("file", 2)
      expect(mount, [#"/file "ol""#])
      try mount.truncate("file", 3)
      expect(mount, [#"/file "ol""#, #"/file "ol\x00""#])
      #expect(throws: SystemError(EDQUOT)) { try mount.truncate("refused", 0) }
    }
  }

  @Test func aCloseWithoutAWriteIsNoCall() throws {
    try withMount(.source(Self.whole)) { mount in
      try mount.open("file", O_RDWR).close()
      try #expect(mount.sh("true >> file; cat file").output == "old\n")
      mount.unmount()
      expect(mount, [])
    }
  }

  @Test func aCopyThatIsClosedEndsNothing() throws {
    try withMount(.source(Self.whole)) { mount in
      let file = try mount.open("file", O_WRONLY | O_TRUNC)
      try file.write("one ")
      close(dup(file.descriptor))
      try file.write("two")
      try file.close()
      expect(mount, [#"/file "one two""#])
    }
  }

  @Test func aChildOfTheWriterEndsNothing() throws {
    try withMount(.source(Self.whole)) { mount in
      // The child is born with the open file, and closes it before the second half is written.
      try #expect(mount.sh("{ echo one; (exec 1>&-); echo two; } > file").status == 0)
      expect(mount, [#"/file "one\ntwo\n""#])
      try #expect(mount.sh("{ echo one; cat ../script.rb | head -n 1; } > file").status == 0)
      try #expect(mount.read("file") == "one\nclass Whole\n")
    }
  }

  @Test func editorsAndCopiesWork() throws {
    try withMount(.source(Self.whole)) { mount in
      try #expect(mount.sh("printf 'from elsewhere' > ../part; cp ../part file").status == 0)
      expect(mount, [#"/file "from elsewhere""#])
    }
  }

  @Test func whatIsOnlyWrittenNeedsNoContent() throws {
    let script: Script = """
      class Only
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(0, 0222)
        def on_write_all(data) = puts(data)
      end
      FUSE.run Only
      """
    try withMount(script) { mount in
      try #expect(mount.sh("echo one > a; echo two >> a; echo three > b").status == 0)
      expect(mount, ["one", "two", "three"])
    }
  }
}
