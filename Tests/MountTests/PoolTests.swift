import Glibc
import Testing

/// The pool: one instance for each path, for as long as the path lives.
@Suite struct PoolTests {
  /// Files that are made, moved and removed; says what becomes of instances.
  private static let files = """
    class Files
      FILES = { "/" => FUSE::Stat.directory }
      attr_reader :path, :serial

      def initialize(path)
        @path = path
        $serial = ($serial || 0) + 1
        @serial = $serial
      end

      def on_getattr = FILES[@path]
      def on_readdir = FUSE.pool.keys.select { |path| path != "/" }.map { |path| path[1..-1].tr("/", ":") }
      def on_create(mode) = (FILES[@path] = FUSE::Stat.file(nil, 0666)) && 0
      def on_mkdir = (FILES[@path] = FUSE::Stat.directory) && 0
      def on_unlink = FILES.delete(@path) && 0
      def on_rmdir = FILES.delete(@path) && 0
      def on_read_all = "#{@serial} #{@path}"

      def on_rename(new_path)
        FILES.keys.each do |path|
          next unless path == @path || path[0, @path.size + 1] == @path + "/"
          FILES[new_path + path[@path.size..-1]] = FILES.delete(path)
        end
        0
      end
    end

    """

  /// With a path that can be changed.
  private static let movable = files + "class Files; attr_writer :path; end\nFUSE.run Files\n"

  @Test func anInstanceStaysWhileItsPathDoes() throws {
    let forgetting = """
      class Files
        def on_chmod(mode)
          FUSE.invalidate(@path)
          0
        end
      end
      FUSE.run Files
      """
    try withMount(.source(Self.files + forgetting)) { mount in
      try mount.write("a", "")
      let first = try mount.read("a")
      // Also after the kernel has forgotten it.
      try mount.chmod("a", 0o600)
      try #expect(mount.read("a") == first)
      try mount.unlink("a")
      try mount.write("a", "")
      try #expect(mount.read("a") != first)
    }
  }

  @Test func aRenameMovesTheInstanceAndThoseBelow() throws {
    try withMount(.source(Self.movable)) { mount in
      try mount.mkdir("d")
      try mount.mkdir("d/e")
      try mount.write("d/e/f", "")
      let serial = try mount.read("d/e/f").split(separator: " ")[0]
      try mount.rename("d", "g")
      try #expect(mount.read("g/e/f") == "\(serial) /g/e/f")
      #expect(throws: SystemError(ENOENT)) { try mount.stat("d/e/f") }
    }
  }

  @Test func anInstanceWithoutPathIsMadeAnew() throws {
    try withMount(.source(Self.files + "FUSE.run Files\n")) { mount in
      try mount.mkdir("d")
      try mount.write("d/f", "")
      let serial = try mount.read("d/f").split(separator: " ")[0]
      try mount.rename("d", "g")
      let moved = try mount.read("g/f")
      #expect(moved.hasSuffix(" /g/f"))
      #expect(!moved.hasPrefix("\(serial) "))
    }
  }

  @Test func aReplacedFileLosesItsInstance() throws {
    try withMount(.source(Self.movable)) { mount in
      try mount.write("a", "")
      try mount.write("b", "")
      let serial = try mount.read("a").split(separator: " ")[0]
      try mount.rename("a", "b")
      try #expect(mount.read("b") == "\(serial) /b")
      try #expect(mount.list() == ["b"])
    }
  }

  @Test func whatIsAbsentLeavesNothing() throws {
    try withMount(.source(Self.movable)) { mount in
      try mount.write("here", "")
      for number in 0..<100 { try #expect(!mount.exists("absent \(number)")) }
      try #expect(mount.list() == ["here"])
    }
  }

  @Test(
    .enabled(if: !isSanitized, "the sanitizer keeps what is freed")
  )
  func twoHundredThousandAbsentNamesTakeNoMemory() throws {
    try withMount(.source(Self.movable)) { mount in
      for number in 0..<5000 { try #expect(!mount.exists("warm \(number)")) }
      let before = try residentKilobytes(mount)
      for number in 0..<200_000 {
        if access("\(mount.path)/absent \(number)", F_OK) == 0 { Issue.record("\(number)") }
      }
      let after = try residentKilobytes(mount)
      #expect(after - before < 2048, "\(before) KiB before, \(after) KiB after")
    }
  }

  @Test func twoHundredThousandLooksAtOneFileTakeNoMemory() throws {
    try withMount(.source(Self.movable), options: ["-o", "attr_timeout=0,entry_timeout=0"]) {
      mount in
      try mount.write("here", "")
      for _ in 0..<5000 { _ = try mount.stat("here") }
      let before = try residentKilobytes(mount)
      for _ in 0..<100_000 { _ = try mount.stat("here") }
      let after = try residentKilobytes(mount)
      #expect(
        after - before < (isSanitized ? 1 << 20 : 2048), "\(before) KiB before, \(after) KiB after")
    }
  }

  private func residentKilobytes(_ mount: Mount) throws -> Int {
    let status = try Folder.read("/proc/\(mount.program.pid)/status")
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
    return try #require(Int(line.split(separator: " ").dropFirst()[1]))
  }

  // MARK: What a script can do with it

  @Test func anInstanceCanBeFoundOrMade() throws {
    let script: Script = """
      class Found
        attr_accessor :value
        def initialize(path, prefix)
          @path = path
          @value = prefix + path
        end
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
        def on_read_all
          other = FUSE.find_or_create_instance_by_path("/other")
          other.value += "!" if @path == "/file"
          @path == "/pool" ? FUSE.pool.keys.sort.join(" ") : other.value
        end
      end
      FUSE.run Found, "at "
      """
    try withMount(script) { mount in
      try #expect(mount.read("file") == "at /other!")
      try #expect(mount.read("other") == "at /other!")
      try #expect(mount.read("file") == "at /other!!")
      try #expect(mount.read("pool") == "/ /file /other /pool")
    }
  }

  @Test func whatIsInvalidatedIsAskedForAgain() throws {
    let script: Script = """
      FUSE.attr_timeout = FUSE.entry_timeout = FUSE.negative_timeout = 3600
      class Cached
        def initialize(path) = @path = path
        def on_getattr
          case @path
          when "/" then FUSE::Stat.directory
          when "/file" then FUSE::Stat.file($size ||= 1)
          when "/late" then $late && FUSE::Stat.file(0)
          when "/change", "/quietly" then FUSE::Stat.file(nil)
          end
        end
        def on_read_all
          $size += 1
          $late = true
          ["/file", "/late"].each { |path| FUSE.invalidate(path) } if @path == "/change"
          ""
        end
      end
      FUSE.run Cached
      """
    try withMount(script) { mount in
      try #expect(mount.stat("file").st_size == 1)
      try #expect(!mount.exists("late"))
      _ = try mount.read("quietly")
      try #expect(mount.stat("file").st_size == 1)
      try #expect(!mount.exists("late"))
      _ = try mount.read("change")
      try #expect(eventually { try mount.stat("file").st_size == 3 })
      try #expect(eventually { try mount.exists("late") })
    }
  }

  @Test func pathsThatShowOneInodeNumberAreOneFileWhereThatIsAskedFor() throws {
    let script = """
      class Twins
        def initialize(path) = @path = path
        def on_getattr
          return FUSE::Stat.directory if @path == "/"
          return nil unless ["/a", "/b", "/other"].include?(@path)
          stat = FUSE::Stat.file(@path.size, 0666)
          stat.st_ino = @path == "/other" ? 99 : 7
          stat.st_nlink = 2
          stat
        end
        def on_readdir = ["a", "b", "other"]
        def on_read(size, offset) = @path[offset, size]
      end
      FUSE.use_ino = true
      FUSE.run Twins
      """
    try withMount(.source(script)) { mount in
      try #expect(mount.read("a") == "/a")
      try #expect(mount.stat("a").st_ino == 7)
      // The second name leads to the first one's instance.
      try #expect(mount.read("b") == "/a")
      try #expect(mount.stat("b").st_ino == 7)
      try #expect(mount.read("other") == "/other")
    }
  }

  @Test func aFileThatBecomesAnotherTakesItsNamesAlong() throws {
    let script = """
      class Twins
        def initialize(path) = @path = path
        def on_getattr
          case @path
          when "/", "/c", "/d" then FUSE::Stat.directory
          when "/change" then FUSE::Stat.file(nil)
          when "/c/a", "/d/b" then { st_mode: S_IFREG | 0444, st_ino: $changed ? 7 : 5 }
          when "/other" then { st_mode: S_IFREG | 0444, st_ino: 7 }
          end
        end
        # With attributes, so that the directories have no instances.
        def on_readdir = { "c" => FUSE::Stat.directory, "d" => FUSE::Stat.directory }
        def on_read_all
          $changed = true
          ["/c/a", "/d/b", "/d"].each { |path| FUSE.invalidate(path) }
          "changed"
        end
      end
      FUSE.use_ino = FUSE.readdirplus = true
      FUSE.attr_timeout = FUSE.entry_timeout = 100
      FUSE.run Twins
      """
    try withMount(.source(script)) { mount in
      try #expect(mount.sh("ls -l | grep -c ^d").output == "2\n")
      try #expect(mount.stat("c/a").st_ino == 5)
      try #expect(mount.stat("d/b").st_ino == 5)
      try #expect(mount.stat("other").st_ino == 7)
      try #expect(mount.read("change") == "changed")
      // The kernel forgets d, which is in the tree only for the sake of its name b.
      try #expect(eventually { try mount.stat("c/a").st_ino == 7 })
      // Notifications about another directory come when they come.
      try #expect(eventually { try mount.stat("d/b").st_ino == 7 })
    }
  }

  @Test func nothingComesBelowItself() throws {
    let script = """
      class Changing
        attr_writer :path
        def initialize(path) = @path = path
        def on_getattr
          return FUSE::Stat.directory if %w[/ /c /a/z].include?(@path)
          return unless @path == "/a"
          $linked ? FUSE::Stat.directory : FUSE::Stat.file(0)
        end
        # What has two names then is a directory.
        def on_link(path) = ($linked = true) && 0
        def on_rename(path) = 0
      end
      FUSE.attr_timeout = FUSE.entry_timeout = 0
      FUSE.run Changing
      """
    try withMount(.source(script)) { mount in
      try #expect(mount.sh("ln a c/y").status != 0)
      try mount.rename("c", "a/z")
      try #expect(mount.exists("a"))
      try #expect(mount.sh("ls a/z/y").status != 0)
    }
  }

  @Test func aNewThatTheScriptHasChangedIsCalled() throws {
    let script = """
      class Class
        alias make new
        def new(*arguments, &block)
          make(*arguments, &block).tap { |object| object.made_by = "me" if object.is_a?(Made) }
        end
      end

      class Made
        attr_writer :made_by
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
        def on_read_all = @made_by
      end
      FUSE.run Made
      """
    try withMount(.source(script)) { mount in try #expect(mount.read("a") == "me") }
  }

  @Test func anUnlinkedFileServesItsOpenDescriptors() throws {
    try withMount(.source(Self.movable)) { mount in
      try mount.write("a", "")
      let file = try mount.open("a", O_RDONLY)
      let before = try file.read(100, at: 0)
      try mount.unlink("a")
      #expect(throws: SystemError(ENOENT)) { try mount.stat("a") }
      try #expect(file.read(100, at: 0) == before)
      var information = stat()
      #expect(fstat(file.descriptor, &information) == 0)
      #expect(information.st_nlink == 0)
      try file.close()
    }
  }
}

/// Whether these tests, and so the binary beside them, were built with the address sanitizer.
let isSanitized = dlsym(nil, "__asan_init") != nil
