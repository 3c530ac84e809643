import Glibc
import Testing

/// What cannot be mounted costs one clear line and a status, and leaves nothing mounted.
@Suite struct BadInputTests {
  /// A filesystem with nothing wrong in it.
  private static let good = """
    class Empty
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : nil
      def on_readdir = []
    end
    FUSE.run Empty

    """

  /// Runs fusuma in a folder with the script `script.rb` and the directory `mnt`; what it says must be
  /// `lines` and nothing may be mounted.
  private func refuses(
    _ arguments: [String], script: String = good, as user: User = .current,
    before: [String] = [], status: Int32 = 1, says lines: String...,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let folder = try Folder(owner: user)
    try folder.write("script.rb", script)
    try folder.write("file", "")
    try folder.makeDirectory("mnt")
    let outcome = try run(
      before + [Mount.binary] + arguments, as: user, in: folder.path, deadline: 30)
    #expect(outcome.status == status, "\(outcome)", sourceLocation: sourceLocation)
    #expect(outcome.errors == lines.map { $0 + "\n" }.joined(), sourceLocation: sourceLocation)
    #expect(!MountTable.has(folder.path + "/mnt"), sourceLocation: sourceLocation)
  }

  // MARK: The script

  @Test func theScriptIsAbsent() throws {
    try refuses(
      ["absent.rb", "mnt"],
      says: "fusuma: cannot read the script absent.rb: No such file or directory")
  }

  @Test func theScriptIsADirectory() throws {
    try refuses(["mnt", "mnt"], says: "fusuma: cannot read the script mnt: Is a directory")
  }

  @Test func theScriptIsNotRuby() throws {
    try refuses(
      ["script.rb", "mnt"], script: "class A\n  def x\n    1 +* 2\n  end\nend\n",
      says: "fusuma: script.rb:3:4: syntax error, unexpected *")
    try refuses(
      ["script.rb", "mnt"], script: "\u{7f}ELF",
      says: "fusuma: script.rb:1:1: Invalid char in expression: 0x7F")
  }

  @Test func theScriptRaisesAtTheTop() throws {
    try refuses(
      ["script.rb", "mnt"],
      script: "def start\n  raise ArgumentError, 'oh no'\nend\nstart\nFUSE.run Empty\n",
      says: "fusuma: script.rb:2:in start: oh no (ArgumentError)",
      "    1 | def start",
      "  > 2 |   raise ArgumentError, 'oh no'",
      "    3 | end",
      "    from script.rb:4")
  }

  @Test func theScriptNeverCallsRun() throws {
    try refuses(
      ["script.rb", "mnt"], script: "1 + 1\n",
      says: "fusuma: script.rb never called FUSE.run, so there is nothing to mount")
  }

  @Test func theScriptCallsRunTwice() throws {
    let script: Script = .source(Self.good + "FUSE.run Empty\n")
    try withMount(script, ending: .exited(1), reports: true) { mount in
      try #expect(mount.list() == [])
      mount.unmount()
      #expect(mount.log.contains("script.rb:7: FUSE.run was called a second time"))
      #expect(!mount.isLive)
    }
  }

  @Test func runIsGivenNoClass() throws {
    try refuses(
      ["script.rb", "mnt"], script: "FUSE.run 12\n",
      says: "fusuma: script.rb:1: FUSE.run needs the class that describes the filesystem, not 12 "
        + "(TypeError)", "  > 1 | FUSE.run 12")
  }

  @Test func theClassTakesNoPath() throws {
    try refuses(
      ["script.rb", "mnt"], script: "class Empty; end\nFUSE.run Empty",
      says: "fusuma: script.rb:2: Empty.new is handed a path, so the class needs: "
        + "def initialize(path) (ArgumentError)", "    1 | class Empty; end",
      "  > 2 | FUSE.run Empty")
  }

  @Test func thereIsNoMountPoint() throws {
    try refuses(
      ["script.rb"],
      says: "fusuma: there is no mount point: name one behind the script, or set FUSE.path in it")
  }

  @Test func aSettingIsNone() throws {
    try refuses(
      ["script.rb", "mnt"], script: "FUSE.attr_timeout = 'soon'\n" + Self.good,
      says: "fusuma: FUSE.attr_timeout = \"soon\": expected a number")
  }

  // MARK: The mount point

  @Test func theMountPointIsAbsent() throws {
    try refuses(
      ["script.rb", "nowhere"],
      says: "fusuma: the mount point nowhere does not exist; mkdir nowhere makes it")
  }

  @Test func theMountPointIsAFile() throws {
    try refuses(
      ["script.rb", "file"], says: "fusuma: the mount point file is not a directory")
  }

  @Test func theMountPointMayHaveFilesInIt() throws {
    let folder = try Folder()
    try folder.write("hidden", "")
    let script: Script = .source("FUSE.path = '\(folder.path)'\n" + Self.good)
    try withMount(script, at: folder.path) { mount in
      try #expect(mount.list() == [])
    }
    #expect(try folder.read("hidden") == "")
  }

  @Test func theMountPointIsBusy() throws {
    try withMount(.source(Self.good)) { mount in
      let second = try run([Mount.binary, "script.rb", "mnt"], in: mount.folder.path)
      #expect(second.status == 1)
      #expect(
        second.errors == """
          fusuma: the mount point mnt is busy: fusuma (fuse.fusuma) is mounted there; \
          'fusermount3 -u mnt' unmounts it

          """)
      try #expect(mount.list() == [])
    }
  }

  /// A script that never comes back from reading /x, and says so before.
  private static let endless = """
    class Endless
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
      def on_read_all
        puts "looping"
        loop { }
      end
    end
    FUSE.run Endless
    """

  @Test func aMountThatItsScriptHoldsUpIsRefusedAndEndedByASecondSignal() throws {
    try withMount(.source(Self.endless), ending: .exited(1), reports: true) { mount in
      let reader = try Program(["cat", mount.path + "/x"])
      try #require(eventually { mount.output.contains("looping") })

      let second = try run([Mount.binary, "script.rb", "mnt"], in: mount.folder.path)
      #expect(second.status == 1)
      #expect(second.errors.hasPrefix("fusuma: the mount point mnt is busy: fusuma"))

      #expect(
        eventually {
          mount.program.signal(SIGTERM)
          return mount.program.hasEnded
        })
      #expect(!mount.isLive)
      #expect(mount.log == "fusuma: the script does not come to an end: unmounting without it\n")
      reader.wait()
    }
  }

  @Test(arguments: User.all) func aDeadMountIsInTheWay(_ user: User) throws {
    try withMount(.source(Self.good), as: user, ending: .killed(by: SIGKILL)) { mount in
      mount.program.signal(SIGKILL)
      mount.program.wait()
      let words = [Mount.binary, "script.rb", "mnt"]
      let refused = try run(words, as: user, in: mount.folder.path)
      #expect(refused.status == 1)
      #expect(
        refused.errors == """
          fusuma: the mount point mnt is a dead mount (Transport endpoint is not connected): \
          'fusermount3 -u mnt' clears it, and so does fusuma --force

          """)
      let forced = try Program(words + ["--force"], as: user, in: mount.folder.path)
      #expect(try eventually { try mount.sh("stat -f -c %T .").output == "fuseblk\n" })
      forced.signal(SIGTERM)
      #expect(forced.wait() == .exited(0))
      #expect(!mount.isLive)
    }
  }

  @Test func aDeadMountIsKnownAsDeadWhateverIsCachedOfIt() throws {
    let script = "FUSE.attr_timeout = 3600\n" + Self.good
    try withMount(.source(script), ending: .killed(by: SIGKILL)) { mount in
      var information = stat()
      try #require(stat(mount.path, &information) == 0)
      mount.program.signal(SIGKILL)
      mount.program.wait()
      try #require(stat(mount.path, &information) == 0, "nothing is cached")
      let words = [Mount.binary, "script.rb", "mnt"]
      let refused = try run(words, in: mount.folder.path)
      #expect(refused.status == 1)
      #expect(refused.errors.contains("mnt is a dead mount"), "\(refused)")
      let forced = try Program(words + ["--force"], in: mount.folder.path)
      #expect(try eventually { try mount.sh("stat -f -c %T .").output == "fuseblk\n" })
      forced.signal(SIGTERM)
      #expect(forced.wait() == .exited(0), "\(forced.errors)")
    }
  }

  @Test func aRootThatIsNoDirectoryCostsOneOperation() throws {
    let script: Script = """
      FUSE.attr_timeout = 0
      class Odd
        def initialize(path) = @path = path
        def on_getattr
          return FUSE::Stat.file(nil) unless @path == "/"
          $odd ? ($odd = false; FUSE::Stat.file(3)) : FUSE::Stat.directory
        end
        def on_readdir = ["a"]
        def on_read_all = ($odd = true).inspect
      end
      FUSE.run Odd
      """
    try withMount(script, reports: true) { mount in
      var information = stat()
      for _ in 0..<2 {
        try #expect(mount.read("a") == "true")
        #expect(stat(mount.path, &information) == -1 && errno == EIO)
        #expect(stat(mount.path, &information) == 0)
        try #expect(mount.list() == ["a"])
      }
      #expect(mount.log.contains("the attributes of a directory for /"), "\(mount.log)")
    }
  }

  @Test(.enabled(if: geteuid() == 0, "two users are needed"))
  func aDeadMountOfSomebodyElseStays() throws {
    try withMount(.source(Self.good), ending: .killed(by: SIGKILL)) { mount in
      mount.program.signal(SIGKILL)
      mount.program.wait()
      let refused = try run(
        [Mount.binary, "--force", "script.rb", "mnt"], as: .ordinary, in: mount.folder.path)
      #expect(refused.status == 1)
      #expect(refused.errors.contains("mnt is busy"), "\(refused)")
      #expect(mount.isLive)
    }
  }

  @Test(.enabled(if: geteuid() == 0, "an ordinary user is needed beside the one who runs this"))
  func theMountPointIsNotOurs() throws {
    let folder = try Folder()
    try folder.write("script.rb", Self.good)
    let mountPoint = try folder.makeDirectory("mnt")
    let outcome = try run(
      [Mount.binary, "script.rb", "mnt"], as: .ordinary, in: folder.path)
    #expect(outcome.status == 1)
    #expect(
      outcome.errors
        == "fusuma: could not mount mnt: user has no write access to mountpoint \(mountPoint)\n")
  }

  // MARK: The command line

  @Test func theCommandLineIsWrong() throws {
    let help = "; 'fusuma help' tells how to use it"
    try refuses([], status: 2, says: "fusuma: Missing expected argument '<script>'" + help)
    try refuses(
      ["--sideways", "script.rb", "mnt"], status: 2,
      says: "fusuma: Unknown option '--sideways'" + help)
    try refuses(
      ["-f", "-d", "script.rb", "mnt"], status: 2,
      says: "fusuma: -f and -d exclude each other" + help)
    try refuses(
      ["script.rb", "mnt", "more"], status: 2, says: "fusuma: Unexpected argument 'more'" + help)
  }

  @Test func aMountOptionIsWrong() throws {
    try refuses(
      ["script.rb", "mnt", "-o", "ro,no_such=1"],
      says: "fusuma: mount options: unknown option(s): `-o no_such=1'")
    try refuses(
      ["script.rb", "mnt", "-o", "attr_timeout=soon"],
      says: "fusuma: mount option attr_timeout=soon: a number of seconds, 0 or more, is expected")
  }

  // MARK: The machine

  @Test(.enabled(if: geteuid() == 0, "taking /dev/fuse away needs root"))
  func thereIsNoDevice() throws {
    try refuses(
      ["script.rb", "mnt"], before: Self.withOwnDevices("mknod -m 666 /dev/null c 1 3"),
      says: "fusuma: could not mount mnt: there is no /dev/fuse "
        + "(as root: modprobe fuse; a container needs --device /dev/fuse)")
  }

  @Test(.enabled(if: geteuid() == 0, "taking /dev/fuse away needs root"))
  func theDeviceIsNotForEverybody() throws {
    let folder = try Folder(owner: .ordinary)
    try folder.write("script.rb", Self.good)
    try folder.makeDirectory("mnt")
    let devices = "mknod -m 666 /dev/null c 1 3; mknod -m 600 /dev/fuse c 10 229"
    let outcome = try run(
      Self.withOwnDevices(devices) + User.ordinary.prefix + [Mount.binary, "script.rb", "mnt"],
      in: folder.path)
    #expect(outcome.status == 1)
    #expect(
      outcome.errors == """
        fusuma: could not mount mnt: no permission to open /dev/fuse \
        (as root: chmod 666 /dev/fuse, as udev would)

        """)
  }

  /// A command line's beginning: in a mount namespace whose /dev has what `commands` make there.
  private static func withOwnDevices(_ commands: String) -> [String] {
    ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /dev; \(commands); exec \"$@\"", "sh"]
  }

  /// Whether /etc/fuse.conf lets ordinary users mount for everybody.
  private static let everybodyMay =
    (try? Folder.read("/etc/fuse.conf"))?.split(separator: "\n").contains("user_allow_other")
    ?? false

  @Test(
    .enabled(if: !everybodyMay, "user_allow_other is set"), arguments: [User.all.last ?? .current])
  func ordinaryUsersMayNotLetOthersIn(_ user: User) throws {
    guard user.id != 0 else { return }
    try refuses(
      ["script.rb", "mnt", "-o", "allow_other"], as: user,
      says:
        "fusuma: could not mount mnt: option allow_other only allowed if 'user_allow_other' is set "
        + "in /etc/fuse.conf (as root: echo user_allow_other >> /etc/fuse.conf)")
  }
}
