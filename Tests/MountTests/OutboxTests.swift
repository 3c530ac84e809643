import Glibc
import Synchronization
import Testing

/// Background work: FUSE.spawn, FUSE.at_unmount, and FUSE::Outbox, which is made of them.
@Suite struct OutboxTests {
  /// A class whose one file hands what is written to `take`.
  private static func drop(_ before: String) -> Script { .source(text(before)) }

  private static func text(_ before: String) -> String {
    before + """

      class Drop
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil, 0666)
        def on_read_all = OUTBOX.size.to_s
        def on_write_all(text) = text.empty? ? 0 : OUTBOX.put(text)
      end

      FUSE.run Drop
      """
  }

  private static func bodies(_ server: LoopbackServer) -> [String] {
    server.requests.map { String(decoding: $0.body, as: UTF8.self) }
  }

  /// A server that fails as long as it is told to.
  private final class Moody: Sendable {
    let failures: Mutex<Int>
    init(_ failures: Int) { self.failures = Mutex(failures) }

    func server() throws -> LoopbackServer {
      try LoopbackServer { _, connection in
        let fails = self.failures.withLock { left in
          defer { left = max(left - 1, 0) }
          return left > 0
        }
        connection.answer(fails ? "503 Away" : "200 OK")
      }
    }
  }

  // MARK: Background work

  @Test func backgroundWorkRunsBesideTheMountAndIsToldOfItsEnd() throws {
    let script = """
      FUSE.spawn do
        puts FUSE.mountpoint == ARGV[0]
        begin
          sleep
        rescue FUSE::Unmounted => error
          puts "told"
        end
      end
      FUSE.at_unmount { sleep 0.05; puts "at_unmount" }

      class Spawner
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
        def on_read_all = FUSE.spawn { sleep 0.01; puts "spawned" } || "answered"
        def self.on_destroy = puts("on_destroy")
      end

      FUSE.run Spawner
      puts "after"
      """
    try withMount(.source(script)) { mount in
      try #expect(mount.read("a") == "answered")
      #expect(eventually { mount.output.contains("spawned") })
      mount.unmount()
      let lines = mount.output.split(separator: "\n").dropFirst()
      #expect(lines == ["spawned", "at_unmount", "told", "on_destroy", "after"])
    }
  }

  @Test func anErrorInBackgroundWorkNamesTheBlock() throws {
    let script = """
      def fail_there = raise(Errno::ECONNREFUSED)
      FUSE.spawn { fail_there }
      class Empty
        def initialize(path) = @path = path
        def on_getattr = FUSE::Stat.directory
      end
      FUSE.run Empty
      """
    try withMount(.source(script), reports: true) { mount in
      #expect(eventually { mount.log.contains("Errno::ECONNREFUSED") })
      #expect(mount.log.contains("FUSE.spawn \(mount.folder.path)/script.rb:2: "), "\(mount.log)")
      #expect(mount.log.contains("> 1 | def fail_there"), "\(mount.log)")
    }
  }

  // MARK: Delivery

  @Test func failuresAreTriedAgainAndOrderIsKept() throws {
    let server = try Moody(3).server()
    let script = Self.drop(
      "OUTBOX = FUSE::Outbox.new(pause: 0.01) { |text| Curl.post(ARGV[0], text) }")
    try withMount(script, arguments: [server.url()]) { mount in
      for number in 0..<5 { try mount.write("in", "\(number)") }
      #expect(eventually { server.requests.count == 8 })
      #expect(Self.bodies(server) == ["0", "0", "0", "0", "1", "2", "3", "4"])
      #expect(try eventually { try mount.read("in") == "0" })
    }
  }

  @Test func anUnmountWaitsForWhatCanBeDelivered() throws {
    let server = try LoopbackServer { _, connection in
      usleep(30_000)
      connection.answer()
    }
    let script = Self.drop("OUTBOX = FUSE::Outbox.new { |text| Curl.post(ARGV[0], text) }")
    try withMount(script, arguments: [server.url()]) { mount in
      for number in 0..<10 { try mount.write("in", "\(number)") }
      mount.program.signal(SIGTERM)
      #expect(mount.program.wait() == .exited(0))
      #expect(Self.bodies(server) == (0..<10).map { "\($0)" })
    }
  }

  @Test func whatIsLeftIsSavedAndDeliveredAfterTheNextStart() throws {
    let folder = try Folder()
    let file = folder.path + "/outbox"
    let script = Self.drop(
      """
      OUTBOX = FUSE::Outbox.new(file: ARGV[1], drain: 0.1) { |text| Curl.post(ARGV[0], text) }
      """)
    // Nobody listens there.
    try withMount(script, arguments: ["http://127.0.0.1:1/", file]) { mount in
      try mount.write("in", [UInt8]("a".utf8) + [0, 10, 255])
      try mount.write("in", "b")
    }
    #expect(try folder.read("outbox").split(separator: "\n").count == 2)
    let server = try LoopbackServer()
    try withMount(script, arguments: [server.url(), file]) { mount in
      try mount.write("in", "c")
      #expect(eventually { server.requests.count == 3 })
    }
    #expect(server.requests.map(\.body) == [[97, 0, 10, 255], [98], [99]])
    #expect(access(file, F_OK) != 0)
  }

  @Test func anItemIsGivenUpAndSaidSo() throws {
    let server = try Moody(2).server()
    let script = Self.drop(
      "OUTBOX = FUSE::Outbox.new(pause: 0.01, attempts: 2) { |text| Curl.post(ARGV[0], text) }")
    try withMount(script, arguments: [server.url()], reports: true) { mount in
      try mount.write("in", "a")
      try mount.write("in", "b")
      #expect(eventually { server.requests.count == 3 })
      #expect(Self.bodies(server) == ["a", "a", "b"])
      #expect(mount.log == "fusuma: given up after 2 attempts: \"a\": 503 Away (RuntimeError)\n")
    }
  }

  @Test func aFullOutboxIsAFullDevice() throws {
    let script = Self.drop(
      "OUTBOX = FUSE::Outbox.new(limit: 1, drain: 0) { |text| raise 'away' }")
    try withMount(script, reports: true) { mount in
      try mount.write("in", "a")
      #expect(throws: SystemError(ENOSPC)) { try mount.write("in", "b") }
      mount.unmount()
      #expect(mount.log == "fusuma: 1 items were not delivered: away\n")
    }
  }

  @Test func aReloadedScriptDeliversWhatWasThere() throws {
    let folder = try Folder()
    let box = folder.path + "/outbox"
    let outbox = "OUTBOX = FUSE::Outbox.new(file: ARGV[0], pause: 0.01)"
    let old = Self.text(outbox + " { |text| raise 'away' }")
    let new = Self.text(outbox + " { |text| puts text }")
    try withMount(.source(old), options: ["--watch"], arguments: [box], reports: true) { mount in
      try mount.write("in", "a")
      try mount.write("in", "b")
      try mount.folder.write("script.rb", new)
      #expect(eventually { mount.output == "a\nb\n" })
      let told = ": OUTBOX changed; 1 block of FUSE.spawn begun again\n"
      #expect(mount.log.hasSuffix(told), "\(mount.log)")
      #expect(!mount.log.contains("RuntimeError"), "\(mount.log)")
      try mount.write("in", "c")
      #expect(eventually { mount.output == "a\nb\nc\n" })
    }
  }

  @Test func theExampleDeliversAfterTheWriteHasReturned() throws {
    let server = try Moody(1).server()
    try withMount(.example("outbox.rb"), arguments: [server.url()]) { mount in
      try #expect(mount.sh("echo hello > notify").status == 0)
      #expect(eventually { server.requests.count == 2 })
      #expect(Self.bodies(server).last == #"{"text":"hello\n"}"#)
      #expect(try eventually { try mount.read("status") == "0 waiting\n" })
    }
  }
}
