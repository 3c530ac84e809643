import CFiles
import Glibc
import Testing

/// What a line of the trace says of an operation, where that is not plain.
@Suite struct TraceLineTests {
  /// Whatever has a dot in its name is a file; everything else is a directory. What is
  /// called made has to be made.
  private static let script = """
    class Anything
      def initialize(path) = @path = path
      attr_writer :path
      def on_getattr
        name = @path.split("/").last || ""
        return nil if name.start_with?("absent") || (name.start_with?("made") && !@made)
        return FUSE::Stat.symlink(@made) if @made.is_a?(String)
        name.include?(".") ? FUSE::Stat.file(5) : FUSE::Stat.directory
      end
      def on_read(size, offset) = "12345"[offset, size] || ""
      def on_rename(path) = nil
      def on_chmod(mode) = nil
      def on_chown(uid, gid) = nil
      def on_utimens(atime, mtime) = nil
      def on_mkdir(mode) = (@made = true; nil)
      def on_symlink(target) = (@made = target; nil)
      def on_getxattr(name) = "value"
    end
    FUSE.attr_timeout = FUSE.entry_timeout = 0
    FUSE.run Anything

    """

  /// The lines of a trace of what `body` does; the file is read as it is, without repairs.
  private func trace(
    _ options: [String] = [], _ body: (Mount) throws -> Void
  ) throws -> [String] {
    let output = try Folder()
    let options = ["--trace=\(output.path)/trace"] + options
    try withMount(.source(Self.script), options: options) { try body($0) }
    let text = try output.read("trace")
    #expect(text.isEmpty || text.hasSuffix("\n"))
    return text.split(separator: "\n").map(String.init)
  }

  @Test func whatMovedIsShownUnderItsNewPath() throws {
    let lines = try trace { mount in
      try #expect(mount.read("old/sub/one.txt") == "12345")
      try mount.rename("old", "new")
      try #expect(mount.read("new/sub/one.txt") == "12345")
      try mount.rename("new/sub/one.txt", "two.txt")
      try #expect(mount.read("two.txt") == "12345")
    }
    let shown = lines.filter { $0.contains(" read  ") || $0.contains(" rename  ") }
      .map { $0.dropFirst("20:24:24.744416 ".count).prefix { $0 != "=" } }
    var distinct: [Substring] = []
    for line in shown {
      let line = line.hasPrefix("read") ? line.prefix { $0 != "@" } : line
      let words = line.split(separator: " ").prefix(line.hasPrefix("read") ? 2 : 3)
      let text = words.joined(separator: " ")[...]
      if distinct.last != text { distinct.append(text) }
    }
    #expect(
      distinct == [
        "read /old/sub/one.txt", "rename /old /new", "read /new/sub/one.txt",
        "rename /new/sub/one.txt /two.txt", "read /two.txt",
      ], "\(lines.joined(separator: "\n"))")
  }

  @Test func argumentsAreShown() throws {
    let lines = try trace { mount in
      try mount.chmod("a.txt", 0o640)
      try mount.chown("a.txt", 12, 34)
      _ = try mount.sh("touch a.txt")
      try mount.mkdir("made", 0o750)
      try mount.symlink("far/away", "made.txt")
      var value = [UInt8](repeating: 0, count: 64)
      getxattr(mount.path + "/a.txt", "user.colour", &value, value.count)
    }
    for text in [
      " setattr   /a.txt mode=0640 = 0  ", " setattr   /a.txt uid=12,gid=34 = 0  ",
      " setattr   /a.txt atime,mtime = 0  ", " mkdir     /made 0750 = ",
      " symlink   /made.txt far/away = ", " getxattr  /a.txt user.colour = ",
    ] {
      #expect(
        lines.contains { $0.contains(text) }, "no \(text) in \(lines.joined(separator: "\n"))")
    }
  }

  @Test func bytesThatATerminalWouldObeyAreSpelledOut() throws {
    let name = Name(bytes: Array("e\u{1B}[2Jq\"\\\u{7F}".utf8) + [0xFF] + Array("\n.txt".utf8))
    let spelled = "/e\\x1b[2Jq\"\\\\x7f\u{FFFD}\\x0a.txt"
    let lines = try trace { _ = try $0.read(name) }
    #expect(
      lines.contains { $0.contains(" read      \(spelled) ") }, "\(lines.joined(separator: "\n"))")
    let objects = try trace(["--trace-format=json"]) { _ = try $0.read(name) }
    let quoted = #""operation":"read","path":"/e\u001b[2Jq\"\\\u007f"# + "\u{FFFD}" + #"\n.txt""#
    #expect(objects.contains { $0.contains(quoted) }, "\(objects.joined(separator: "\n"))")
  }

  /// Many times what is gathered before it is written.
  @Test func noLineOfManyIsTornOrLost() throws {
    let count = 10_000
    let lines = try trace(["--trace-path=/absent*"]) { mount in
      for number in 0..<count { try #expect(!mount.exists("absent-\(number)")) }
    }
    #expect(lines.count == count)
    for (number, line) in lines.enumerated() {
      let isWhole = line.contains(" lookup    /absent-\(number) = ENOENT  ") && line.hasSuffix("]")
      guard !isWhole else { continue }
      Issue.record("line \(number) is \(line)")
      break
    }
  }

  /// A path is as long as its directories are deep: longer than what is gathered before it is written.
  @Test func aPathOfAnyLengthIsShownWhole() throws {
    let name = String(repeating: "d", count: 250)
    let depth = 300
    for format in ["text", "json"] {
      let lines = try trace(["--trace-format=\(format)", "--trace-operation=opendir"]) { mount in
        var directory = Glibc.open(mount.path, O_RDONLY | O_DIRECTORY)
        for level in 0..<depth {
          let next = openat(directory, name, O_RDONLY | O_DIRECTORY)
          try #require(next >= 0, "level \(level): \(SystemError(errno))")
          close(directory)
          directory = next
        }
        close(directory)
      }
      let path = String(repeating: "/" + name, count: depth)
      #expect(lines.count == depth + 1)
      #expect(lines.last?.contains(path + (format == "json" ? "\"" : " ")) == true)
    }
  }
}
