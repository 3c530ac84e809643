import Glibc
import Testing

/// The hooks of the original, seen from both sides: what a program asks for, and what the script is
/// handed.
@Suite struct HookTests {
  /// Says what it is called with, one line a call, and keeps one file's content.
  private static let recorder = """
    class Recorder
      def initialize(path)
        @path = path
        @content = "content"
      end

      def on_getattr
        case @path
        when "/" then FUSE::Stat.directory
        when "/file" then FUSE::Stat.file(@content.size, 0666)
        when "/link" then FUSE::Stat.symlink("file")
        end
      end

      def on_readdir = ["file", "link"]
      def on_readlink = "file"

      def on_open(flags)
        puts "open #{flags & (O_ACCMODE | O_TRUNC | O_APPEND)}"
        0
      end

      def on_read(size, offset)
        puts "read #{offset}"
        @content[offset, size] || ""
      end

      def on_write(data, offset)
        puts "write #{data.inspect} #{offset}"
        @content += "\\0" * [offset - @content.size, 0].max
        @content[offset, data.size] = data
        data.size
      end

      def on_truncate(size)
        puts "truncate #{size}"
        @content = @content[0, size] + "\\0" * [size - @content.size, 0].max
        0
      end

      def on_release
        puts "release"
        0
      end
    end
    FUSE.run Recorder

    """

  /// Waits for what the script says last: the kernel does not wait for a release.
  private func calls(_ mount: Mount, _ expected: String) -> Bool {
    eventually { mount.output == expected }
  }

  @Test func readingIsOpenReadRelease() throws {
    try withMount(.source(Self.recorder)) { mount in
      try #expect(mount.read("file") == "content")
      #expect(calls(mount, "open 0\nread 0\nrelease\n"), "\(mount.output)")
    }
  }

  @Test func theShellsRedirectionTruncatesAndWrites() throws {
    try withMount(.source(Self.recorder)) { mount in
      try #expect(mount.sh("echo hi > file").status == 0)
      #expect(calls(mount, "open 1\ntruncate 0\nwrite \"hi\\n\" 0\nrelease\n"), "\(mount.output)")
      try #expect(mount.read("file") == "hi\n")
    }
  }

  @Test func theShellsDoubleRedirectionAppends() throws {
    try withMount(.source(Self.recorder)) { mount in
      try #expect(mount.sh("echo hi >> file").status == 0)
      #expect(calls(mount, "open 1025\nwrite \"hi\\n\" 7\nrelease\n"), "\(mount.output)")
      try #expect(mount.read("file") == "contenthi\n")
    }
  }

  @Test func truncationLooksTheSameHoweverItIsAskedFor() throws {
    try withMount(.source(Self.recorder)) { mount in
      try mount.truncate("file", 4)
      #expect(calls(mount, "truncate 4\n"), "\(mount.output)")
      try #expect(mount.read("file") == "cont")
      try mount.truncate("file", 6)
      try #expect(mount.bytes("file") == Array("cont\0\0".utf8))
      let file = try mount.open("file", O_RDWR)
      #expect(ftruncate(file.descriptor, 2) == 0)
      try file.close()
      try #expect(mount.read("file") == "co")
      _ = try mount.open("file", O_WRONLY | O_TRUNC)
      try #expect(mount.stat("file").st_size == 0)
    }
  }

  @Test func writesArriveWhereTheyWereMade() throws {
    try withMount(.source(Self.recorder)) { mount in
      let file = try mount.open("file", O_RDWR)
      try file.write("XY", at: 2)
      try #expect(file.read(10, at: 0) == Array("coXYent".utf8))
      try file.write("Z", at: 9)
      try #expect(file.read(10, at: 6) == Array("t\0\0Z".utf8))
      try file.close()
    }
  }

  @Test func linksAreFollowed() throws {
    try withMount(.source(Self.recorder)) { mount in
      try #expect(mount.readlink("link") == "file")
      try #expect(mount.read("link") == "content")
      #expect(throws: SystemError(EINVAL)) { try mount.readlink("file") }
    }
  }

  // MARK: Without hooks

  @Test func whatTheScriptLacksAnswersAsItDidInTheOriginal() throws {
    let script: Script = """
      class Bare
        def initialize(path) = @path = path
        def on_getattr
          return FUSE::Stat.directory if @path == "/"
          @path == "/file" ? FUSE::Stat.file(4, 0666) : nil
        end
        def on_read_all = "text"
      end
      FUSE.run Bare
      """
    try withMount(script) { mount in
      try #expect(mount.sh("df .").status == 0)
      try #expect(
        mount.sh("touch -d 2001-02-03 file; stat -c %y file").output.hasPrefix("2001-02-03"))
      try #expect(mount.sh("sync file").status == 0)
      try #expect(mount.sh("fallocate -l 100 file").status == 0)
      try mount.truncate("file", 0)
      let file = try mount.open("file", O_RDWR)
      #expect(throws: SystemError(ENOSYS)) { try file.write("x") }
      try file.close()
      try mount.access("file", R_OK)
      #expect(throws: SystemError(EPERM)) { try mount.mkdir("new") }
      #expect(throws: SystemError(EPERM)) { try mount.unlink("file") }
      #expect(throws: SystemError(EPERM)) { try mount.rename("file", "new") }
      #expect(throws: SystemError(EPERM)) { try mount.chmod("file", 0o600) }
      try mount.chmod("file", 0o666)
      #expect(throws: SystemError(EINVAL)) { try mount.readlink("file") }
      #expect(throws: SystemError(ENOSYS)) { try mount.list() }
      try #expect(mount.sh("getfattr -n user.x file").errors.contains("Operation not supported"))
    }
  }

  @Test func aClassWithoutHooksIsAnEmptyRoot() throws {
    try withMount("class Nothing; def initialize(path); end; end\nFUSE.run Nothing") { mount in
      try #expect(mount.stat().st_mode & S_IFMT == S_IFDIR)
      #expect(throws: SystemError(ENOENT)) { try mount.stat("file") }
    }
  }

  // MARK: Bytes

  @Test func everyByteOfNamesAndContentsArrives() throws {
    let script: Script = """
      class Bytes
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(@path.size)
        def on_readdir = ["\\xff\\xfe", "n" * 255, "tab\\tnew\\nline", "日本"]
        def on_read_all = @path.bytes.reverse.map(&:chr).join
      end
      FUSE.run Bytes
      """
    try withMount(script) { mount in
      let names = [
        [0xff, 0xfe], [UInt8](repeating: UInt8(ascii: "n"), count: 255),
        Array("tab\tnew\nline".utf8), Array("日本".utf8),
      ]
      try #expect(mount.listBytes() == names)
      for name in names {
        try #expect(mount.bytes(Name(bytes: name)) == Array(([47] + name).reversed()))
      }
      #expect(throws: SystemError(ENAMETOOLONG)) {
        try mount.stat(Name(bytes: [UInt8](repeating: 120, count: 256)))
      }
    }
  }

  @Test func zerosInContentsSurvive() throws {
    try withMount(.source(Self.recorder)) { mount in
      let bytes = (0...255).map { UInt8($0) } + [0, 0, 0]
      try mount.write("file", bytes)
      try #expect(mount.bytes("file") == bytes)
      // Larger than one request, and no whole number of pages.
      let many = (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      try mount.truncate("file", 0)
      try mount.write("file", many)
      try #expect(mount.bytes("file") == many)
    }
  }

  // MARK: Attributes

  @Test func everyAttributeIsTold() throws {
    let script: Script = """
      class Told
        def initialize(path) = @path = path
        def on_getattr
          case @path
          when "/" then FUSE::Stat.directory
          when "/struct"
            FUSE::Stat.new(S_IFREG | 0751, 3, 12345, 7, 8, 99, 0, 24, 512, 1.5, Time.at(2), [3, 4])
          when "/hash"
            { st_mode: S_IFCHR | 0600, st_rdev: (1 << 8) | 3, st_mtime: Rational(5, 2) }
          when "/few" then { "st_mode" => S_IFIFO | 0644 }
          end
        end
      end
      FUSE.run Told
      """
    try withMount(script) { mount in
      let told = try mount.stat("struct")
      #expect(told.st_mode == S_IFREG | 0o751)
      #expect(told.st_nlink == 3)
      #expect(told.st_size == 12345)
      #expect(told.st_uid == 7)
      #expect(told.st_gid == 8)
      #expect(told.st_blocks == 24)
      #expect(told.st_blksize == 512)
      #expect(told.st_atim.tv_sec == 1 && told.st_atim.tv_nsec == 500_000_000)
      #expect(told.st_mtim.tv_sec == 2)
      #expect(told.st_ctim.tv_sec == 3 && told.st_ctim.tv_nsec == 4)
      let hash = try mount.stat("hash")
      #expect(hash.st_mode == S_IFCHR | 0o600)
      #expect(hash.st_rdev == 1 << 8 | 3)
      #expect(hash.st_mtim.tv_sec == 2 && hash.st_mtim.tv_nsec == 500_000_000)
      let few = try mount.stat("few")
      #expect(few.st_uid == geteuid())
      #expect(few.st_nlink == 1)
    }
  }

  @Test func aListingMayBringAttributes() throws {
    let script: Script = """
      class Listing
        def initialize(path) = @path = path
        def on_getattr
          puts "getattr #{@path}"
          FUSE::Stat.directory
        end
        def on_readdir
          stat = FUSE::Stat.file(7)
          @path == "/" ? { "a" => stat, :b => stat } : [["c", stat], "d", [".", nil], "..", ["e"][0]]
        end
      end
      FUSE.run Listing
      """
    try withMount(script) { mount in
      try #expect(mount.sh("ls -l | grep -c ' 7 '").output == "2\n")
      #expect(!mount.output.contains("/a") && !mount.output.contains("/b"), "\(mount.output)")
      try #expect(mount.list("sub") == ["c", "d", "e"])
    }
  }

  @Test func aDirectoryMayBeLarge() throws {
    let script: Script = """
      class Many
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(0)
        def on_readdir = (1..20000).map { |i| "name-#{i}" }
      end
      FUSE.run Many
      """
    try withMount(script) { mount in
      try #expect(mount.list() == (1...20000).map { "name-\($0)" })
    }
  }

  // MARK: Unknown sizes, handles, wishes

  @Test func aFileOfUnknownSizeIsReadToItsEnd() throws {
    let script: Script = """
      class Unknown
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
        def on_read_all
          $count = ($count || 0) + 1
          "#{$count} " + "x" * 300000
        end
      end
      FUSE.run Unknown
      """
    try withMount(script) { mount in
      try #expect(mount.stat("file").st_size == 0)
      let first = try mount.read("file")
      #expect(first == "1 " + String(repeating: "x", count: 300_000))
      // One read from beginning to end sees one content; the next reader sees the next.
      try #expect(mount.sh("cat file | head -c 2").output == "2 ")
      try #expect(mount.stat("file").st_size == 300_002)
    }
  }

  @Test func aHandleIsPassedBack() throws {
    let script: Script = """
      class Handles
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil, 0666)
        def on_open(flags)
          return nil if @path == "/none"
          return { handle: "hash", direct_io: true } if @path == "/hash"
          $opened = ($opened || 0) + 1
          "handle #{$opened}"
        end
        def on_read(size, offset, handle) = offset == 0 ? handle : ""
        def on_write(data, offset, handle) = puts("write #{handle}")
        def on_release(handle) = puts("release #{handle}")
      end
      FUSE.run Handles
      """
    try withMount(script) { mount in
      let one = try mount.open("file", O_RDWR)
      let two = try mount.open("file", O_RDONLY)
      try #expect(two.read(100, at: 0) == Array("handle 2".utf8))
      try #expect(one.read(100, at: 0) == Array("handle 1".utf8))
      try #expect(one.write("abc") == 3)
      try one.close()
      try #expect(mount.read("hash") == "hash")
      #expect(throws: SystemError(ENOENT)) { try mount.open("none", O_RDONLY) }
      #expect(
        eventually { mount.output == "write handle 1\nrelease handle 1\nrelease hash\n" },
        "\(mount.output)")
    }
  }

  @Test func aShortCountIsAShortWrite() throws {
    let script: Script = """
      class Short
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(0, 0666)
        def on_write(data, offset) = 2
      end
      FUSE.run Short
      """
    try withMount(script) { mount in
      try #expect(mount.open("file", O_WRONLY).write("abcdef") == 2)
    }
  }

  // MARK: What a hook can ask

  @Test func aHookKnowsWhoAsks() throws {
    let script: Script = """
      class Who
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
        def on_read_all = FUSE.context.to_a.join(" ")
      end
      FUSE.run Who
      """
    try withMount(script) { mount in
      let expected = "\(geteuid()) \(getegid()) "
      try #expect(mount.read("file").hasPrefix(expected))
      let program = try mount.sh("umask 027; cat file & wait; echo \" $!\"").output
      let words = program.split(separator: " ").map(String.init)
      #expect(words.count == 5)
      #expect(words[2] + "\n" == words[4])
    }
  }

  @Test func constantsAreThereBareToo() throws {
    let script: Script = """
      class Constants
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
        def on_read_all
          names = %w[S_IFDIR S_IFREG S_IFLNK S_IFIFO S_IFSOCK S_IFCHR S_IFBLK O_RDONLY O_WRONLY O_RDWR
            O_APPEND O_CREAT O_EXCL O_TRUNC R_OK W_OK X_OK RENAME_NOREPLACE RENAME_EXCHANGE]
          names.map { |n| (FUSE.const_get(n) == Object.const_get(n)).to_s }.uniq.join
        end
      end
      FUSE.run Constants
      """
    try withMount(script) { mount in try #expect(mount.read("x") == "true") }
  }
}
