import Glibc
import Testing

/// Scripts that are put in the place of others by means of links.
@Suite struct ReloadLinkTests {
  private static func script(_ text: String) -> String {
    """
    class V
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
      def on_read_all = "\(text)"
    end
    FUSE.run V

    """
  }

  /// Mounts one of the folder's scripts with --watch; it has to end well.
  private func watching(
    _ folder: Folder, _ script: String, _ body: (_ serves: (String) -> Bool) throws -> Void
  ) throws {
    let mountPoint = try folder.makeDirectory("mnt")
    let program = try Program([Mount.binary, "--watch", script, "mnt"], in: folder.path)
    defer { _ = umount2(mountPoint, 2) }
    #expect(eventually { MountTable.has(mountPoint) })
    try body { text in
      eventually { (try? Folder.read("\(mountPoint)/file")) == text }
    }
    try #expect(run(["fusermount3", "-u", mountPoint]).status == 0)
    #expect(program.wait() == .exited(0), "\(program.errors)")
  }

  @Test(arguments: ["ln -s", "ln", "ln -sf", "ln -f"])
  func aLinkInItsPlaceIsLoaded(command: String) throws {
    let folder = try Folder()
    try folder.write("script.rb", Self.script("one"))
    try folder.write("two.rb", Self.script("two"))
    try watching(folder, "script.rb") { serves in
      #expect(serves("one"))
      try #expect(
        run(["sh", "-c", "rm script.rb; \(command) two.rb script.rb"], in: folder.path).status == 0)
      #expect(serves("two"))
      try folder.write(command.contains("-s") ? "two.rb" : "script.rb", Self.script("three"))
      #expect(serves("three"))
    }
  }

  @Test func aDirectoryLinkThatIsSwitchedIsFollowed() throws {
    let folder = try Folder()
    for (release, text) in [("1", "one"), ("2", "two")] {
      try folder.makeDirectory("release-\(release)")
      try folder.write("release-\(release)/app.rb", Self.script(text))
    }
    #expect(symlink("release-1", folder.path + "/current") == 0)
    try watching(folder, "current/app.rb") { serves in
      #expect(serves("one"))
      try #expect(run(["ln", "-sfn", "release-2", "current"], in: folder.path).status == 0)
      #expect(serves("two"))
      try folder.write("release-2/app.rb", Self.script("three"))
      #expect(serves("three"))
      // And back.
      try #expect(
        run(["sh", "-c", "rm current; ln -s release-1 current"], in: folder.path).status == 0)
      #expect(serves("one"))
    }
  }

  @Test func aScriptFromAPipeIsNotWaitedForAgain() throws {
    let folder = try Folder()
    try folder.write("one.rb", Self.script("one"))
    let pipe = folder.path + "/pipe.rb"
    #expect(mkfifo(pipe, 0o600) == 0)
    let writer = try Program(["sh", "-c", "cat one.rb > pipe.rb"], in: folder.path)
    try watching(folder, "pipe.rb") { serves in
      #expect(writer.wait() == .exited(0))
      #expect(serves("one"))
      // A writer comes and goes.
      let descriptor = open(pipe, O_RDWR | O_CLOEXEC)
      write(descriptor, "nonsense", 8)
      close(descriptor)
      for _ in 0..<5 {
        usleep(50_000)
        #expect(serves("one"))
      }
    }
  }
}
