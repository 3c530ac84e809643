import Glibc
import Testing

/// One setting makes the kernel treat the files as it does those of any other FUSE file system.
@Suite struct AdaptiveCachingTests {
  /// Says which requests for content arrive.
  private static let pieces = """
    class Pieces
      SIZE = 1 << 20
      CONTENT = "x" * SIZE
      def initialize(path) = @path = path
      def on_getattr
        return FUSE::Stat.directory if @path == "/"
        puts "getattr #{@path}"
        FUSE::Stat.file(SIZE, 0666)
      end
      def on_readdir = { "file" => FUSE::Stat.file(SIZE, 0666) }
      def on_open(flags) = 0
      def on_read(size, offset)
        puts "read #{size}@#{offset}"
        CONTENT[offset, size]
      end
      def on_write(data, offset)
        puts "write #{data.size}@#{offset}"
        data.size
      end
      %HOOK%
    end
    """

  /// What arrives while the line runs; everything before it, too, is run in the mount's root.
  private func arrives(
    _ line: String, after before: String = "true", setting: String = "", hook: String = "",
    options: [String] = []
  ) throws -> [String] {
    let source = Self.pieces.replacing("%HOOK%", with: hook) + "\n\(setting)\nFUSE.run Pieces\n"
    return try withMount(.source(source), options: options) { mount in
      try #expect(mount.sh(before).status == 0)
      let count = mount.output.count
      try #expect(mount.sh(line).status == 0)
      return mount.output.dropFirst(count).split(separator: "\n").map(String.init)
    }
  }

  private static let off = "FUSE.adaptive_caching = false"
  private static let setTimes = "FUSE.attr_timeout = FUSE.entry_timeout = 0"

  @Test func readsAndWritesGoThroughTheCache() throws {
    let read = "cat file > /dev/null"
    // As far as the kernel reads ahead, and not as far as the program reads.
    let piece = "dd if=file of=/dev/null bs=300000 count=1 status=none"
    let again = try arrives(piece, after: "\(read); \(read)", setting: Self.off)
    #expect(!again.contains("read 300000@0"), "\(again)")
    // A piece that does not begin at a page arrives in two.
    let write =
      "dd if=/dev/zero of=file bs=300000 count=1 seek=100 oflag=seek_bytes conv=notrunc status=none"
    for (setting, options) in [(Self.off, []), ("", ["-o", "no_adaptive_caching"])] {
      let pieces = try arrives(write, setting: setting, options: options)
        .filter { $0.hasPrefix("write") }
      #expect(pieces.count > 1, "\(pieces)")
    }
  }

  @Test func attributesOfAListingHoldNoLongerThanOthers() throws {
    func asked(_ setting: String) throws -> Int {
      try arrives("ls -l > /dev/null", setting: Self.setTimes + "; " + setting)
        .count { $0 == "getattr /file" }
    }
    try #expect(asked("") == 0)
    try #expect(asked(Self.off) > 0)
  }

  @Test func aSettingIsOverriddenByAnOption() throws {
    let asked = try arrives(
      "ls -l > /dev/null", setting: Self.setTimes + "; " + Self.off,
      options: ["-o", "adaptive_caching"])
    #expect(!asked.contains("getattr /file"))
  }

  @Test func closingWhatWasOnlyReadSendsAFlushUnlessTold() throws {
    let hook = "def on_flush = puts(\"flush\")"
    func flushes(_ line: String, _ options: [String]) throws -> Bool {
      try arrives(line, hook: hook, options: options).contains("flush")
    }
    let read = "cat file > /dev/null"
    try #expect(flushes(read, []))
    try #expect(!flushes(read, ["-o", "no_rofd_flush"]))
    try #expect(flushes("echo hi >> file", ["-o", "no_rofd_flush"]))
  }
}
