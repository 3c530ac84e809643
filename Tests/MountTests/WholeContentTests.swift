import Glibc
import Testing

/// Whole files belong to an open: whoever writes at the same time, each content is handed over once.
@Suite struct WholeContentTests {
  private static let script: Script = """
    FUSE.max_content = 1 << 20
    class Store
      FILES = { "/readable" => "old\\n" }
      LOG = []

      def initialize(path) = @path = path
      def path=(path)
        @path = path
      end
      def on_getattr
        return FUSE::Stat.directory if @path == "/"
        return FUSE::Stat.file(0, 0222) if @path == "/notify"
        return FUSE::Stat.file(0, 0222) if @path == "/log"
        FILES[@path] && FUSE::Stat.file(FILES[@path].size)
      end
      def on_readdir = FILES.keys.map { |path| path[1..-1] } + ["notify", "log"]
      def on_create
        FILES[@path] = ""
        0
      end
      def on_unlink = FILES.delete(@path)
      def on_rename(to)
        FILES[to] = FILES.delete(@path)
      end
      def on_read_all = FILES[@path] || "must not be seen\\n"
      def on_write_all(text)
        puts "#{@path} #{text.inspect}" unless text.empty?
        sleep 0.01
        FILES[@path] = text unless @path == "/notify"
      end
    end
    class Log < Store
      def on_append(text) = puts("appended #{text.inspect}")
    end
    FUSE.run Log
    """

  private func expect(_ mount: Mount, _ lines: [String]) {
    let expected = lines.map { $0 + "\n" }.joined()
    #expect(eventually { mount.output == expected }, "\(mount.output)")
  }

  @Test(arguments: [
    "{ echo a; /bin/echo b; echo c; } > notify",
    "sh -c 'echo a; /bin/echo b; echo c' > notify",
    "for i in a b c; do /bin/echo $i; done > notify",
    "printf 'a\\nb\\nc\\n' | xargs -n1 echo > notify",
    "{ echo a; echo b 2> /dev/null; echo c; } > notify 2>&1",
    "exec 3> notify; echo a >&3; /bin/echo b >&3; echo c >&3; exec 3>&-",
  ])
  func oneRedirectionIsOneContent(_ command: String) throws {
    try withMount(Self.script) { mount in
      for shell in ["bash", "sh"] {
        let outcome = try run([shell, "-c", "cd \"$0\" && \(command)", mount.path])
        #expect(outcome.status == 0)
      }
      expect(mount, Array(repeating: #"/notify "a\nb\nc\n""#, count: 2))
    }
  }

  @Test func writersAtTheSameTimeEachHaveTheirs() throws {
    try withMount(Self.script) { mount in
      let outcome = try mount.sh(
        "for i in $(seq 10 49); do (echo n$i > notify) & done; wait")
      #expect(outcome.status == 0)
      let expected = Set((10...49).map { "/notify \"n\($0)\\n\"" })
      #expect(eventually { Set(mount.output.split(separator: "\n").map(String.init)) == expected })
    }
  }

  @Test func appendersDoNotUndoOneAnother() throws {
    try withMount(Self.script) { mount in
      let script =
        "for i in $(seq 10 29); do (printf %s, $i | dd of=readable oflag=append conv=notrunc status=none) & done; wait"
      try #expect(mount.sh(script).status == 0)
      let lines = mount.output.split(separator: "\n").filter { $0.hasPrefix("appended") }
      #expect(lines.count == 20)
    }
  }

  @Test func patchesOfDifferentWritersAreBothKept() throws {
    try withMount(Self.script) { mount in
      let first = try mount.open("readable", O_WRONLY)
      let second = try mount.open("readable", O_WRONLY)
      try first.call { Int32(pwrite($0, "A", 1, 0)) }
      try second.call { Int32(pwrite($0, "B", 1, 2)) }
      try first.close()
      try second.close()
      try #expect(mount.read("readable") == "AlB\n")
    }
  }

  @Test func whatHasNoNameIsNotHandedOver() throws {
    try withMount(Self.script) { mount in
      let file = try mount.open("new", O_RDWR | O_CREAT, 0o600)
      try file.write("secret")
      try mount.unlink("new")
      try #expect(file.rest() == [])
      try #expect(file.call { Int32(lseek($0, 0, SEEK_SET)) } == 0)
      try #expect(file.rest() == Array("secret".utf8))
      try mount.write("new", "successor")
      try file.close()
      expect(mount, [#"/new "successor""#])
      try #expect(mount.read("new") == "successor")
    }
  }

  @Test func whatCannotBeReadIsNoPrefix() throws {
    try withMount(Self.script) { mount in
      try #expect(mount.sh("bash -c 'exec 3<> notify; echo hi >&3'").status == 0)
      expect(mount, [#"/notify "hi\n""#])
    }
  }

  @Test func logsAreHandedWhatWasAppended() throws {
    try withMount(Self.script) { mount in
      try #expect(mount.sh("echo one >> readable; echo two >> readable").status == 0)
      expect(mount, [#"appended "one\n""#, #"appended "two\n""#])
    }
  }

  @Test func holesCostNothingAndContentsHaveALimit() throws {
    try withMount(Self.script) { mount in
      #expect(throws: SystemError(EFBIG)) { try mount.truncate("notify", 900 << 20) }
      let file = try mount.open("notify", O_WRONLY)
      #expect(throws: SystemError(EFBIG)) {
        try file.call { Int32(pwrite($0, "x", 1, 1 << 40)) }
      }
    }
  }
}
