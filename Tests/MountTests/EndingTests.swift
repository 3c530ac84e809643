import Glibc
import Testing

/// What an abort of a connection takes: root can mount fusectl where it is not.
private let canAbort =
  geteuid() == 0
  || (try? Folder.read("/proc/self/mountinfo"))?.contains(" - fusectl ") == true

/// A mount ends, and with it everything that waits for it, while notifications are held up in the kernel by
/// requests that only the mount could reply to.
@Suite(.enabled(if: canAbort, "an abort takes root, or fusectl")) struct EndingTests {
  /// `/slow` is looked up for ever, `/a` unlinked for ever; and names are invalidated all the time.
  private static let heldUp: Script = """
    class Slow
      def initialize(path) = @path = path
      def on_getattr
        return FUSE::Stat.directory if @path == "/"
        if @path.start_with?("/slow")
          puts "asked"
          sleep 1000
        end
        return FUSE::Stat.file(nil)
      end
      def on_readdir = ["a"]
      def on_read_all = "hi"
      def on_unlink
        puts "asked"
        sleep 1000
      ensure
        sleep 3
      end
    end
    FUSE.spawn { loop { sleep 0.05; FUSE.invalidate("/a") } }
    FUSE.run Slow
    """

  enum Request: String, CaseIterable {
    case lookup = "cat slow"
    case unlink = "rm -f a"
  }

  /// Whether a thread of the mount is held up in the kernel.
  private func isHeldUp(_ mount: Mount) -> Bool {
    let tasks = "/proc/\(mount.program.pid)/task"
    guard let stream = opendir(tasks) else { return false }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if (try? Folder.read("\(tasks)/\(name)/stat"))?.contains(") D ") == true { return true }
    }
    return false
  }

  /// Lets a process hold up a notification, ends the mount in some way, and sees everything end: the mount,
  /// the process, and others that come then.
  private func end(
    _ request: Request, _ ending: Program.Ending, environment: [String: String] = [:],
    _ way: (Mount) throws -> Void
  ) throws {
    try withMount(Self.heldUp, environment: environment, ending: ending, reports: true) { mount in
      try #expect(mount.read("a") == "hi")
      let caller = try Program(["sh", "-c", request.rawValue], in: mount.path)
      try #require(eventually { mount.output == "asked\n" })
      try #require(eventually { isHeldUp(mount) }, "nothing is held up")
      try way(mount)
      #expect(eventually { mount.program.hasEnded }, "the mount did not end")
      #expect(eventually { caller.hasEnded }, "a caller did not end")
      #expect(eventually { guards(mount).isEmpty }, "the guard did not end")
      let late = try run(["ls", mount.path + "/late"], deadline: 5)
      #expect(late.status == 2)
    }
  }

  /// The processes that guard a mount.
  private func guards(_ mount: Mount) -> [String] {
    let parent = "\(mount.program.pid)"
    let list = try? run(["ps", "-e", "-o", "ppid=,stat=,args="]).output.split(separator: "\n")
    return (list ?? []).map(String.init).filter {
      $0.contains("fusuma-guard") && $0.split(separator: " ").first == parent[...]
    }
  }

  @Test(arguments: Request.allCases) func aKilledMountEndsWhateverItsNotificationsWaitFor(
    _ request: Request
  ) throws {
    try end(request, .killed(by: SIGKILL)) { $0.program.signal(SIGKILL) }
  }

  @Test(arguments: Request.allCases) func aCrashedMountEndsWhateverItsNotificationsWaitFor(
    _ request: Request
  ) throws {
    // Swift's own report of a crash, for developers, waits for every thread of the process.
    let environment = ["SWIFT_BACKTRACE": "enable=no"]
    try end(request, .killed(by: SIGABRT), environment: environment) { $0.program.signal(SIGABRT) }
  }

  @Test(arguments: Request.allCases) func aSignalEndsTheMountWhateverItsNotificationsWaitFor(
    _ request: Request
  ) throws {
    try end(request, .exited(0)) { $0.program.signal(SIGTERM) }
  }

  @Test func aSecondSignalEndsTheMountWhateverItsNotificationsWaitFor() throws {
    try end(.lookup, .exited(1)) { mount in
      // At the console, as nothing can be looked up any more.
      let line = "puts 'endless'; loop {}"
      let words = ["sh", "-c", "echo \"$2\" | $0 attach $1", Mount.binary, mount.path, line]
      let console = try Program(words)
      let isEndless = eventually { console.output.contains("endless") }
      #expect(isEndless, "\(console.errors)")
      _ = eventually {
        mount.program.signal(SIGTERM)
        return mount.program.hasEnded
      }
    }
  }

  @Test func onlyAMountThatNotifiesHasAGuard() throws {
    let quiet: Script = """
      class Quiet
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
        def on_readdir = ["a"]
        def on_read_all = FUSE.invalidate("/a").inspect
      end
      FUSE.run Quiet
      """
    try withMount(quiet) { mount in
      #expect(guards(mount).isEmpty)
      try #expect(mount.read("a") == "nil")
      #expect(eventually { guards(mount).count == 1 }, "\(guards(mount))")
      // Ctrl-C reaches all processes of the terminal's group: not this one.
      let own = try run(["ps", "-e", "-o", "ppid=,pgid=,args="]).output.split(separator: "\n")
      let group = "\(mount.program.pid)"
      #expect(own.count { $0.contains("fusuma-guard") && $0.contains(" \(group) fusuma") } == 0)
    }
  }
}
