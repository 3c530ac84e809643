import Glibc
import Testing

import struct System.LinuxRelease

/// Who reads in large pieces does so past the kernel's cache, and sees nothing but that it is faster.
@Suite(.enabled(if: LinuxRelease.running.mapsDirectIO, "files past the cache cannot be mapped"))
struct ReadPastCacheTests {
  /// Says which pieces are read; /slow has to fetch them.
  private static let pieces = """
    class Pieces
      SIZE = (1 << 20) + 992
      FILES = {}
      def initialize(path) = @path = path

      def on_getattr
        return FUSE::Stat.directory if @path == "/"
        return unless ["/file", "/slow", "/kept", "/cached"].include?(@path)
        FILES[@path] ||= "0123456789abcdef" * (SIZE / 16)
        FUSE::Stat.file(FILES[@path].size, 0666)
      end

      def on_open = WISHES[@path]

      def on_read(size, offset)
        puts "#{size}@#{offset}"
        sleep 0.02 if @path == "/slow"
        FILES[@path][offset, size] || ""
      end

      def on_write(data, offset)
        content = FILES[@path]
        content += "\\0" * [offset - content.size, 0].max
        content[offset, data.size] = data
        FILES[@path] = content
        data.size
      end

      def on_truncate(size) = (FILES[@path] = FILES[@path][0, size]) && 0
    end

    WISHES = { "/kept" => { keep_cache: true }, "/cached" => { direct_io: false } }
    WISHES.default = 0
    """
  private static let size = (1 << 20) + 992
  private static let content = (0..<size).map { Array("0123456789abcdef".utf8)[$0 % 16] }
  private static let large = 128 << 10

  /// The pieces that the script is asked for while `body` runs.
  private func asked(_ mount: Mount, _ body: () throws -> Void) rethrows -> [String] {
    let before = mount.output.count
    try body()
    return mount.output.dropFirst(before).split(separator: "\n").map(String.init)
  }

  /// Reads a file from its beginning to its end; answers the pieces that the script was asked for.
  @discardableResult
  private func pass(_ mount: Mount, _ name: Name = "file", pieces size: Int = large) throws
    -> [String]
  {
    try asked(mount) {
      let file = try mount.open(name, O_RDONLY)
      try #expect(file.rest(pieces: size) == Self.content)
      try file.close()
    }
  }

  /// What a pass past the cache asks for: what the reader does, and nothing behind the file's end.
  private static func asked(by size: Int) -> [String] {
    stride(from: 0, to: Self.size, by: size).map { "\(min(size, Self.size - $0))@\($0)" }
  }

  /// Whether two passes in a row, both in large pieces, leave the file with the cache.
  private func staysCached(_ mount: Mount, _ name: Name) throws -> Bool {
    for _ in 0..<2 { try pass(mount, name) }
    let pieces = try asked(mount) {
      let file = try mount.open(name, O_RDONLY)
      for _ in 0..<2 { try #expect(file.read(Self.large, at: 0).count == Self.large) }
    }
    return pieces.count { $0.hasSuffix("@0") } == 1
  }

  /// Whether passes leave the content with the kernel. It stays open, as the kernel is free to forget a
  /// file that nobody uses.
  private func keepsCache(_ mount: Mount, _ name: Name) throws -> Bool {
    let user = try mount.open(name, O_RDONLY)
    for _ in 0..<2 { try pass(mount, name) }
    let asked = try pass(mount, name)
    try user.close()
    return asked.isEmpty
  }

  private static let script = Script.source(pieces + "\nFUSE.run Pieces")

  /// Whether `condition` holds on a new mount, of which it takes as many as there is time for.
  ///
  /// Which scripts are quick is measured, and while other programs keep the processors busy none is.
  private func holdsForQuickScripts(_ condition: (Mount) throws -> Bool) throws -> Bool {
    try eventually(within: 50) { try withMount(Self.script, condition) }
  }

  @Test func largePiecesArriveAsTheyWereAskedFor() throws {
    let arriveSo = try holdsForQuickScripts { mount in
      try !staysCached(mount, "file") && pass(mount) == Self.asked(by: Self.large)
        && pass(mount, pieces: 300_000) == Self.asked(by: 300_000)
    }
    #expect(arriveSo)
  }

  @Test func smallPiecesAreReadAheadAgain() throws {
    let isPastCacheAgain = try holdsForQuickScripts { mount in
      for _ in 0..<3 { try #expect(pass(mount, pieces: 4096).count < 40) }
      guard try !staysCached(mount, "file"),
        // It takes twice as many to believe it again.
        try pass(mount, pieces: 4096) == Self.asked(by: 4096)
      else { return false }
      for _ in 0..<3 {
        try #expect(pass(mount, pieces: 4096).count < 40)
        try pass(mount)
      }
      return try !staysCached(mount, "file")
    }
    #expect(isPastCacheAgain)
  }

  @Test func whoIsSlowIsReadAhead() throws {
    try withMount(Self.script) { mount in try #expect(staysCached(mount, "slow")) }
  }

  @Test func whoWantsTheCacheHasIt() throws {
    try withMount(Self.script) { mount in
      try #expect(staysCached(mount, "cached"))
      try #expect(keepsCache(mount, "kept"))
    }
    for setting in ["kernel_cache", "auto_cache", "writeback_cache"] {
      try withMount(.source(Self.pieces + "\nFUSE.\(setting) = true\nFUSE.run Pieces")) { mount in
        // The first two keep it from one open file to the next.
        if setting == "writeback_cache" {
          try #expect(staysCached(mount, "file"))
        } else {
          try #expect(keepsCache(mount, "file"), "\(setting)")
        }
      }
    }
  }

  @Test func whoReadsAgainHasTheCache() throws {
    try withReader { mount, reader in
      for _ in 0..<20 { try #expect(reader.read(Self.large, at: Self.large).count == Self.large) }
      try reader.close()
      try #expect(pass(mount) != Self.asked(by: Self.large))
    }
  }

  /// What the script is asked for by one read of 2 MiB with O_DIRECT, on its own and behind others.
  private func directly(_ mount: Mount, _ name: Name) throws -> [[String]] {
    let pages = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 << 20, alignment: 4096)
    defer { pages.deallocate() }
    return try (0..<3).map { _ in
      try asked(mount) {
        let file = try mount.open(name, O_RDONLY | __O_DIRECT)
        #expect(pread(file.descriptor, pages.baseAddress, pages.count, 0) == Self.size)
        #expect(pages.prefix(Self.size).elementsEqual(Self.content))
        #expect(pread(file.descriptor, pages.baseAddress, 4096, 1 << 20) == 992)
        #expect(pread(file.descriptor, pages.baseAddress, 4096, 2 << 20) == 0)
        try file.close()
      }
    }
  }

  /// Pieces of a MiB that the kernel sends at once where the script takes its time.
  @Test func whoAsksForNoCacheHasNone() throws {
    let kernels = ["1048576@0", "1048576@1048576", "4096@1048576"]
    let hosts = ["1048576@0", "992@1048576", "992@1048576"]
    let areTheHosts = try holdsForQuickScripts { mount in
      try #expect(directly(mount, "slow") == [kernels, kernels, kernels])
      return try directly(mount, "file") == [kernels, hosts, hosts]
    }
    #expect(areTheHosts)
  }

  // MARK: The same file to everybody

  /// A file that is opened past the cache from now on.
  private func withReader(_ body: (Mount, OpenFile) throws -> Void) throws {
    let isPastCache = try holdsForQuickScripts { mount in
      guard try !staysCached(mount, "file") else { return false }
      try body(mount, try mount.open("file", O_RDONLY))
      return true
    }
    #expect(isPastCache)
  }

  @Test func itsEndMoves() throws {
    try withReader { mount, reader in
      func read(_ size: Int) throws -> Int { try reader.read(size, at: Self.size - 100).count }
      try #expect(read(Self.large) == 100)
      try mount.append("file", "0123456789")
      try #expect(read(Self.large) == 110)
      try #expect(read(105) == 105)
      try mount.truncate("file", Self.size - 50)
      try #expect(read(Self.large) == 50)
      try mount.truncate("file", 1000)
      try #expect(read(Self.large) == 0)
      try #expect(reader.read(Self.large, at: 0) == Array(Self.content.prefix(1000)))
    }
  }

  /// Attributes that the kernel would have believed are not asked for at the end either.
  @Test func attributesAreAskedForAsElsewhere() throws {
    func asked(_ timeout: Double) throws -> Int {
      let counting = """
        class Pieces
          alias getattr on_getattr
          def on_getattr = $stderr.print(@path == "/file" ? "?" : "") || getattr
        end
        FUSE.entry_timeout = FUSE.attr_timeout = \(timeout)
        FUSE.run Pieces
        """
      return try withMount(.source(Self.pieces + "\n" + counting), reports: true) { mount in
        for _ in 0..<3 { try pass(mount) }
        let file = try mount.open("file", O_RDONLY)
        let before = mount.log.count
        while try !file.read(300_000).isEmpty {}
        return mount.log.count - before
      }
    }
    try #expect(asked(60) == 0)
    try #expect(asked(0) == 2)
  }

  /// One content from beginning to end, as on_read_all has it.
  @Test func aWholeContentIsNotTorn() throws {
    let script = """
      class Whole
        CONTENTS = ["a" * 500_000, "b" * 200_000]
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(CONTENTS[0].size)
        def on_read_all = CONTENTS[0]
        def on_chmod(mode) = CONTENTS.reverse! && 0
      end
      FUSE.attr_timeout = 0
      FUSE.run Whole
      """
    try withMount(.source(script)) { mount in
      for _ in 0..<3 { try #expect(mount.bytes("file").count == 500_000) }
      let file = try mount.open("file", O_RDONLY)
      var content = try file.read(Self.large)
      try mount.chmod("file", 0o600)
      try #expect(mount.stat("file").st_size == 200_000)
      content += try file.rest()
      #expect(content == [UInt8](repeating: 97, count: 500_000))
      try #expect(mount.bytes("file") == [UInt8](repeating: 98, count: 200_000))
    }
  }

  @Test(arguments: [MAP_SHARED, MAP_PRIVATE]) func itCanBeMapped(_ kind: Int32) throws {
    try withReader { mount, reader in
      try reader.withMapping(Self.size, PROT_READ, kind) { mapped in
        #expect(mapped.elementsEqual(Self.content))
        try #expect(reader.read(Self.large, at: 0) == Array(Self.content.prefix(Self.large)))
      }
    }
  }

  @Test func whatIsWrittenThroughAMappingIsRead() throws {
    try withReader { mount, reader in
      let writer = try mount.open("file", O_RDWR)
      var expected = Self.content
      try writer.withMapping(Self.size, PROT_READ | PROT_WRITE) { mapped in
        for offset in [0, 5000, 700_000, Self.size - 1] {
          mapped[offset] = 33
          expected[offset] = 33
          let page = offset / 4096 * 4096
          try #expect(reader.read(2 << 20, at: page) == Array(expected[page...]))
        }
      }
      try writer.write("written", at: 100)
      try #expect(reader.read(7, at: 100) == Array("written".utf8))
    }
  }

  @Test(arguments: User.all) func programsReadWhatIsThere(user: User) throws {
    try withMount(.example("memfs.rb"), as: user) { mount in
      let commands = """
        python3 -c 'open("a", "wb").write(bytes((i * 31 >> 5) & 255 for i in range(3000001)))' &&
        cp /bin/ls program && chmod +x program || exit 1
        for pass in 1 2 3; do
          cat a > b && cmp a b && cp a c && cmp a c && dd if=a bs=1M status=none | cmp - a &&
          tar cf - a | tar xfO - | cmp - a && head -c 2999999 a | cmp -n 2999999 - a &&
          tail -c 1000000 a | cmp -i 0:2000001 - a && dd if=a bs=128K iflag=direct status=none | cmp - a &&
          cat program > /dev/null && ./program / > /dev/null && python3 - <<'END' || exit 1
        import mmap, os, shutil
        expected = bytes((i * 31 >> 5) & 255 for i in range(3000001))
        with open("a", "rb") as file:
            assert file.read() == expected
            for access in mmap.ACCESS_READ, mmap.ACCESS_COPY:
                assert mmap.mmap(file.fileno(), 0, access=access)[:] == expected
            with open("d", "wb") as copy:
                offset = 0
                while sent := os.sendfile(copy.fileno(), file.fileno(), offset, 1 << 20): offset += sent
        assert open("d", "rb", buffering=0).read() == expected
        shutil.copyfile("a", "e")
        assert open("e", "rb").read(3 << 20) == expected
        END
        done
        """
      let outcome = try mount.sh(commands, deadline: 60)
      #expect(outcome.status == 0, "\(outcome)")
    }
  }
}
