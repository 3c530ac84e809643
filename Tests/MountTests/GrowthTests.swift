import Glibc
import Testing

/// Nothing grows: memory follows the files that exist, and what was opened is closed.
///
/// `FUSUMA_SOAK=100` does everything a hundred times as often, which is what is promised.
@Suite(.disabled(if: isSanitized, "a sanitizer's own memory would drown the figures"))
struct GrowthTests {
  private static let times = getenv("FUSUMA_SOAK").flatMap { Int(String(cString: $0)) } ?? 1

  private static let script = """
    class Grown
      LIVE = {}
      def initialize(path) = @path = path

      def on_getattr
        return FUSE::Stat.directory if @path == "/"
        raise "a mistake" if @path == "/raise"
        FUSE::Stat.file(PIECE * COUNT, 0666) if LIVE[@path] || !@path.start_with?("/absent")
      end

      def on_create(mode) = (LIVE[@path] = true) && 0
      def on_unlink = LIVE.delete(@path) && 0
      def on_open = 0
      def on_truncate(size) = 0

      def on_read(size, offset)
        case @path
        when "/http" then Curl.get(URL).body
        when "/child" then `echo x`
        when "/sleep" then sleep(0) && "x"
        else "x" * size
        end
      end

      def on_write(data, offset) = data.bytesize
    end

    PIECE = 1 << 20
    COUNT = ARGV[1].to_i
    URL = ARGV[0]
    FUSE.max_write = 1 << 20
    FUSE.run Grown
    """

  /// Does something often enough to be known, then `count` times more: memory must not have grown by
  /// 3 MiB, nor anything else at all.
  private func expectFlat(
    _ count: Int, reports: Bool = false, _ body: (Mount, Int) throws -> Void
  ) throws {
    let server = try LoopbackServer()
    let script = Script.source(Self.script)
    let arguments = [server.url(), "64"]
    try withMount(script, arguments: arguments, reports: reports, deadline: 3600) { mount in
      for number in 0..<max(count / 2, 200) { try body(mount, -1 - number) }
      let before = try Holdings(of: mount.program.pid)
      for number in 0..<count * Self.times { try body(mount, number) }
      let after = try Holdings(of: mount.program.pid)
      #expect(after.resident - before.resident < 3 << 10)
      #expect(after.descriptors == before.descriptors)
      #expect(after.threads == before.threads)
    }
  }

  @Test func statsKeepNothing() throws {
    try expectFlat(10_000) { mount, _ in _ = try mount.stat("file") }
  }

  @Test func absentNamesKeepNothing() throws {
    try expectFlat(10_000) { mount, number in
      #expect(throws: SystemError(ENOENT)) { try mount.stat("absent\(number)") }
    }
  }

  @Test func exceptionsKeepNothing() throws {
    try expectFlat(5_000, reports: true) { mount, _ in
      #expect(throws: SystemError(EIO)) { try mount.stat("raise") }
    }
  }

  @Test func filesThatWereDeletedKeepNothing() throws {
    try expectFlat(2_000) { mount, number in
      try mount.open("absent\(number)", O_WRONLY | O_CREAT).close()
      try mount.unlink("absent\(number)")
    }
  }

  @Test(arguments: [("http", 300), ("child", 100), ("sleep", 2_000)])
  func waitsKeepNothing(_ name: String, _ count: Int) throws {
    try expectFlat(count) { mount, _ in
      _ = try mount.open("\(name)", O_RDONLY).read(4096)
    }
  }

  @Test func contentThatPassesThroughKeepsNothing() throws {
    let pieces = 128 * min(Self.times, 8)
    let script = Script.source(Self.script)
    try withMount(script, arguments: ["", "\(pieces)"], deadline: 600) { mount in
      let idle = try Holdings(of: mount.program.pid)
      let piece = [UInt8](repeating: 7, count: 1 << 20)
      let file = try mount.open("file", O_RDWR)
      for number in 0..<pieces { try file.write(piece, at: number << 20) }
      for number in 0..<pieces {
        try #expect(file.read(1 << 20, at: number << 20).count == 1 << 20)
      }
      try file.close()
      let after = try Holdings(of: mount.program.pid)
      #expect(after.peak - idle.resident < 64 << 10)
    }
  }
}
