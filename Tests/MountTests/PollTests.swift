import Glibc
import Synchronization
import Testing

/// Waiting for files with poll(2).
@Suite struct PollTests {
  private static let bell: Script = """
    class Bell
      $rings = false
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil, 0666)
      def on_readdir = ["bell", "rope"]
      def on_poll(events)
        puts "asked"
        $rings ? POLLIN : 0
      end
      def on_truncate(size) = 0
      def on_write(data, offset)
        $rings = true
        FUSE.notify_poll("/bell")
        data.size
      end
    end
    FUSE.run Bell
    """

  /// What poll(2) says of a file within so many milliseconds.
  private static func events(_ descriptor: Int32, within time: Int32) -> Int16 {
    var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&watched, 1, time) > 0 ? watched.revents : 0
  }

  @Test func everybodyWhoWaitsIsWoken() throws {
    try withMount(Self.bell) { mount in
      let files = try (0..<4).map { _ in try mount.open("bell", O_RDONLY) }
      // Two wait for the last of them.
      let descriptors = files.map(\.descriptor) + [files[3].descriptor]
      let woken = Mutex<[Int]>([])
      // Only one of the threads uses it.
      nonisolated(unsafe) let mount = mount
      concurrently(descriptors.count + 1) { number in
        guard number < descriptors.count else {
          // Each was asked for before and after it began to wait.
          _ = eventually {
            mount.output.split(separator: "\n").count { $0 == "asked" } >= descriptors.count
          }
          usleep(200_000)
          try? mount.write("rope", "pull")
          return
        }
        if Self.events(descriptors[number], within: 20_000) & Int16(POLLIN) != 0 {
          woken.withLock { $0.append(number) }
        }
      }
      #expect(woken.withLock { $0.sorted() } == [0, 1, 2, 3, 4])
      for file in files { try file.close() }
    }
  }

  private static let deaf = """
    class Deaf
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(5)
      def on_read_all = "hello"
    end
    """

  /// How many requests there are where a file is polled again and again.
  private func requests(_ source: String, options: [String] = []) throws -> Int {
    let output = try Folder()
    let trace = ["--trace=\(output.path)/trace", "--trace-operation=poll"]
    try withMount(.source(source + "\nFUSE.run Deaf"), options: options + trace) { mount in
      let file = try mount.open("file", O_RDONLY)
      for _ in 0..<10 { #expect(Self.events(file.descriptor, within: 0) & Int16(POLLIN) != 0) }
      try file.close()
    }
    return try output.read("trace").split(separator: "\n").count
  }

  @Test func whoCannotTellIsAskedOnce() throws {
    try #expect(requests(Self.deaf) == 1)
    // A reload may bring on_poll.
    try #expect(requests(Self.deaf, options: ["--watch"]) > 1)
  }

  @Test func whoCanTellIsAskedForEachFile() throws {
    let some = "class Other\n  def on_poll(events) = POLLIN\nend\n" + Self.deaf
    try #expect(requests(some) > 1)
  }
}
