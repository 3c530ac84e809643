import Glibc
import Testing

import struct System.LinuxRelease

/// What is opened for writing only goes past the kernel's cache, and nobody sees anything but that it
/// is faster.
@Suite struct WritePastCacheTests {
  /// Says the size and the offset of each piece that is written, and keeps one file's content.
  private static let pieces = """
    class Pieces
      FILES = {}
      def initialize(path) = @path = path

      def on_getattr
        return FUSE::Stat.directory if @path == "/"
        content = FILES[@path] and FUSE::Stat.file(content.size, 0666)
      end

      def on_create(mode) = (FILES[@path] = "") && WISHES[@path]
      def on_open(flags) = flags & O_ACCMODE == O_RDONLY ? 0 : WISHES[@path]
      def on_read(size, offset) = FILES[@path][offset, size] || ""

      def on_truncate(size)
        content = FILES[@path]
        FILES[@path] = content[0, size] + "\\0" * [size - content.size, 0].max
        0
      end

      def on_write(data, offset)
        raise Errno::ENOSPC if offset + data.size > (4 << 20)
        puts "#{data.size}@#{offset}"
        sleep 0.3 if @path == "/slow"
        data = data[0, 5] if @path == "/part"
        content = FILES[@path]
        content += "\\0" * [offset - content.size, 0].max
        content[offset, data.size] = data
        FILES[@path] = content
        data.size
      end
    end

    WISHES = {
      "/cached" => { direct_io: false }, "/kept" => { keep_cache: true },
      "/other" => { nonseekable: false }
    }
    WISHES.default = 0
    """
  private static let script = Script.source(pieces + "\nFUSE.run Pieces")

  /// The kernels that tell readers of what was written so.
  private static let kernel = Comment(
    "before 6.12.64, 6.18.4 and 6.19 the kernel does not drop what readers have cached")

  private static let size = 1 << 20

  /// Memory of whole pages.
  private func withPages<R>(
    _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> R
  ) rethrows -> R {
    let pages = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
    defer { pages.deallocate() }
    for index in 0..<count { pages[index] = UInt8(truncatingIfNeeded: (index &* 31) >> 3) }
    return try body(pages)
  }

  /// What arrives of one write(2) of a MiB of whole pages, to an offset in the middle of one.
  private func arrives(
    _ name: Name, _ flags: Int32, setting: String = "", hook: String = "", options: [String] = []
  ) throws -> [String] {
    let source = Self.pieces + "\nclass Pieces\n\(hook)\nend\n\(setting)\nFUSE.run Pieces\n"
    return try withMount(.source(source), options: options) { mount in
      let file = try mount.open(name, flags | O_CREAT)
      try withPages(Self.size) { pages in
        #expect(pwrite(file.descriptor, pages.baseAddress, pages.count, 100) == Self.size)
        try file.close()
        try #expect(mount.bytes(name) == [UInt8](repeating: 0, count: 100) + Array(pages))
      }
      return mount.output.split(separator: "\n").map(String.init)
    }
  }

  /// What arrives past the cache, which would divide it at pages of its own.
  private static let whole = ["1048576@100"]

  @Test(.enabled(if: LinuxRelease.running.dropsCacheOnWrites, kernel))
  func aMebibyteArrivesInOnePiece() throws {
    try #expect(arrives("file", O_WRONLY) == Self.whole)
    try #expect(arrives("other", O_WRONLY) == Self.whole)
    try #expect(arrives("file", O_WRONLY, setting: "FUSE.direct_io = false") == Self.whole)
  }

  @Test func whoWantsTheCacheGetsIt() throws {
    try #expect(arrives("file", O_RDWR).count == 2)
    try #expect(arrives("cached", O_WRONLY).count == 2)
    try #expect(arrives("kept", O_WRONLY).count == 2)
    try #expect(arrives("file", O_WRONLY, setting: "FUSE.kernel_cache = true").count == 2)
    try #expect(arrives("file", O_WRONLY, options: ["-o", "auto_cache"]).count == 2)
    let delayed = try arrives("file", O_WRONLY, setting: "FUSE.writeback_cache = true")
    #expect(delayed.first?.hasSuffix("@0") == true, "\(delayed)")
  }

  @Test func aSynchronousWriteIsFollowedByAnFsync() throws {
    let hook = "def on_fsync(datasync) = puts(\"fsync #{datasync}\")"
    let calls = try arrives("file", O_WRONLY | O_DSYNC, hook: hook)
    #expect(calls.last == "fsync true", "\(calls)")
  }

  @Test func memoryNeedNotBeWholePages() throws {
    try withMount(Self.script) { mount in
      let file = try mount.open("file", O_WRONLY | O_CREAT)
      try withPages(Self.size + 17) { pages in
        let bytes = UnsafeRawBufferPointer(rebasing: pages[17...])
        #expect(write(file.descriptor, bytes.baseAddress, bytes.count) == Self.size)
        try file.close()
        try #expect(mount.bytes("file") == Array(bytes))
      }
    }
  }

  // MARK: Who reads meanwhile

  @Test func whoHadItCachedSeesWhatIsWritten() throws {
    try withMount(Self.script) { mount in
      var expected = [UInt8](repeating: 111, count: 300_000)
      try mount.write("file", expected)
      let reader = try mount.open("file", O_RDONLY)
      try reader.withMapping(expected.count) { mapped in
        #expect(Array(mapped) == expected)
        let writer = try mount.open("file", O_WRONLY)
        for (offset, count) in [(0, 1), (4095, 2), (5000, 1000), (131_000, 70_000), (299_999, 1)] {
          let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: offset), count: count)
          try #expect(writer.write(bytes, at: offset) == count)
          expected.replaceSubrange(offset..<offset + count, with: bytes)
          #expect(Array(mapped) == expected)
          try #expect(reader.read(400_000, at: 0) == expected)
        }
        // As `tail -f` does it.
        let log = try mount.open("file", O_WRONLY | O_APPEND)
        for number in 0..<20 {
          try log.write("line \(number)\n")
          let end = expected.count
          expected += Array("line \(number)\n".utf8)
          try #expect(reader.read(100, at: end) == Array(expected[end...]))
        }
      }
    }
  }

  @Test func whoReadsInTheMiddleOfAWriteSeesItAfterwards() throws {
    try withMount(Self.script) { mount in
      try mount.write("slow", "old old old")
      let reader = try mount.open("slow", O_RDONLY)
      let command = "printf 'new ' | dd of=slow bs=4 seek=1 conv=notrunc status=none"
      let writer = try Program(["sh", "-c", command], in: mount.path)
      #expect(eventually { mount.output.hasSuffix("4@4\n") })
      _ = try reader.read(100, at: 0)
      #expect(writer.wait() == .exited(0))
      try #expect(reader.read(100, at: 0) == Array("old new old".utf8))
    }
  }

  // MARK: Errors

  @Test func errorsAndShortCountsReachTheWriter() throws {
    try withMount(Self.script) { mount in
      try #expect(mount.open("part", O_WRONLY | O_CREAT).write("abcdefgh") == 5)
      try #expect(mount.read("part") == "abcde")
      let full = try mount.open("full", O_WRONLY | O_CREAT)
      #expect(throws: SystemError(ENOSPC)) { try full.write("x", at: 4 << 20) }
      // What fits is written, the rest fails.
      try withPages(6 << 20) { pages in
        #expect(pwrite(full.descriptor, pages.baseAddress, pages.count, 0) == 4 << 20)
        try #expect(mount.bytes("full") == Array(pages.prefix(4 << 20)))
      }
    }
  }

  @Test func programsWriteWhatTheyWereGiven() throws {
    try withMount(.example("memfs.rb")) { mount in
      let bytes = (0..<3_000_001).map { UInt8(truncatingIfNeeded: ($0 &* 31) >> 5) }
      try mount.write("a", bytes)
      let commands = """
        cp a b && cat a > c && cat a >> d && dd if=a of=e bs=1M status=none &&
        cp --reflink=never --sparse=never a f && tar cf - a | (mkdir t && cd t && tar xf -) &&
        python3 -c 'import shutil; shutil.copyfile("a", "g")' &&
        for copy in b c d e f g t/a; do cmp a $copy || exit 1; done
        """
      let outcome = try mount.sh(commands)
      #expect(outcome.status == 0, "\(outcome)")
      try #expect(
        mount.sh("printf XYZ | dd of=b bs=1 seek=1000000 conv=notrunc status=none").status == 0)
      try #expect(
        mount.bytes("b") == bytes[..<1_000_000] + Array("XYZ".utf8) + bytes[1_000_003...])
    }
  }
}
