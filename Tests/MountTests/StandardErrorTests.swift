import Glibc
import Testing

/// Standard streams that are closed, or that are not read.
@Suite struct StandardErrorTests {
  private static let script = """
    class T
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
      def on_readdir = ["file"]
      def on_read_all = (puts "read"; sleep 0.01; "slept\\n")
    end
    FUSE.run T

    """

  /// As `fusuma --trace script mnt 2>&1 | less` has it, once less has shown its first page.
  @Test func aTraceThatIsNotReadHoldsNobodyUp() throws {
    let folder = try Folder()
    try folder.write("script.rb", Self.script)
    try folder.makeDirectory("mnt")
    let path = folder.path
    #expect(mkfifo("\(path)/pipe", 0o600) == 0)
    // Keeps the pipe open at both ends and reads nothing.
    let pipe = open("\(path)/pipe", O_RDWR | O_CLOEXEC)
    defer { close(pipe) }
    let program = try Program(
      ["sh", "-c", "exec \"$0\" --trace script.rb mnt 2> pipe", Mount.binary], in: path)
    defer { _ = umount2("\(path)/mnt", 2) }
    #expect(eventually { MountTable.has("\(path)/mnt") })
    let outcome = try run([
      "sh", "-c", "cd '\(path)/mnt' && for i in $(seq 20000); do [ -e x$i ]; done; cat file",
    ])
    #expect(outcome.output == "slept\n", "\(outcome)")
    program.signal(SIGTERM)
    #expect(program.wait() == .exited(0))
    // What was not read is whole lines.
    Linux.clearBlocking(pipe)
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = read(pipe, &piece, piece.count), count > 0 { bytes += piece[..<count] }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    #expect(lines.count > 100)
    #expect(lines.dropLast().allSatisfy { $0.hasSuffix("]") || $0.hasSuffix(" lines were lost") })
  }

  @Test(arguments: ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
  func closedStreamsAreNoOtherDescriptor(closed: String) throws {
    let folder = try Folder()
    try folder.write("script.rb", Self.script)
    try folder.makeDirectory("mnt")
    let path = folder.path
    for option in ["-f", "-d"] {
      let program = try Program(
        ["sh", "-c", "exec \"$0\" \(option) script.rb mnt \(closed)", Mount.binary], in: path)
      defer { _ = umount2("\(path)/mnt", 2) }
      #expect(eventually { MountTable.has("\(path)/mnt") })
      for _ in 0..<3 {
        try #expect(run(["cat", "\(path)/mnt/file"], deadline: 5).output == "slept\n")
      }
      let attached = try run(
        ["sh", "-c", "echo 6 '*' 7 | \"$0\" attach mnt", Mount.binary], in: path)
      #expect(attached.output == "=> 42\n", "\(attached)")
      try #expect(run(["fusermount3", "-u", "\(path)/mnt"]).status == 0)
      #expect(program.wait() == .exited(0))
    }
  }
}

private enum Linux {
  static func clearBlocking(_ descriptor: Int32) {
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }
}
