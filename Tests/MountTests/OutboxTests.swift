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
    let server = try LoopbackServer()
    try withMount(script, arguments: [server.url(), file]) { mount in
      try mount.write("in", "c")
      #expect(eventually { server.requests.count == 3 })
    }
    #expect(server.requests.map(\.body) == [[97, 0, 10, 255], [98], [99]])
    var status = stat()
    #expect(stat(file, &status) == 0 && status.st_mode & 0o777 == 0o600)
  }

  // MARK: What is kept

  /// A script whose outbox delivers to a server, with a file.
  private static let kept = drop(
    """
    OUTBOX = FUSE::Outbox.new(file: ARGV[1], pause: 0.01, longest_pause: 0.05, drain: 0.5) do |text|
      Curl.post(ARGV[0], text)
    end
    """)

  private static func keys(_ server: LoopbackServer) -> [String] {
    server.requests.map { $0["Idempotency-Key"] ?? "none" }
  }

  @Test func killedAgainAndAgainItDeliversAllInOrderAndNothingTwice() throws {
    let folder = try Folder()
    let file = folder.path + "/outbox"
    // By key: what a server that knows keys takes.
    let taken = Mutex((texts: [String](), keys: Set<String>(), requests: 0))
    let server = try LoopbackServer { request, connection in
      let isTaken = taken.withLock { taken in
        taken.requests += 1
        guard taken.requests % 10 > 2, let key = request["Idempotency-Key"] else { return false }
        if taken.keys.insert(key).inserted {
          taken.texts.append(String(decoding: request.body, as: UTF8.self))
        }
        return true
      }
      connection.answer(isTaken ? "200 OK" : "503 Away")
    }
    var accepted: [String] = []
    for round in 0..<5 {
      try withMount(
        Self.kept, arguments: [server.url(), file], ending: .killed(by: SIGKILL)
      ) { mount in
        for number in 0..<60 {
          let text = "\(round).\(number)"
          try mount.write("in\(number % 4)", text)
          accepted.append(text)
        }
        mount.program.signal(SIGKILL)
        mount.program.wait()
      }
    }
    try withMount(Self.kept, arguments: [server.url(), file]) { mount in
      let all = accepted
      #expect(eventually(within: 30) { taken.withLock { $0.texts.count } >= all.count })
      let isEmpty = try eventually { try mount.read("in") == "0" }
      #expect(isEmpty)
    }
    #expect(taken.withLock { $0.texts } == accepted)
  }

  @Test func twoMountsOfOneFileDeliverEachMessageOnce() throws {
    let folder = try Folder()
    let file = folder.path + "/outbox"
    let server = try LoopbackServer()
    let arguments = [server.url(), file]
    try withMount(Self.kept, arguments: arguments) { one in
      try withMount(Self.kept, arguments: arguments) { two in
        for number in 0..<10 { try (number % 2 == 0 ? one : two).write("in", "\(number)") }
        #expect(eventually { server.requests.count == 10 })
        one.unmount()
        try two.write("in", "10")
        #expect(eventually { server.requests.count == 11 })
      }
    }
    #expect(Self.bodies(server) == (0...10).map { "\($0)" })
    #expect(Set(Self.keys(server)).count == 11)
  }

  @Test func aRestartWhileTheOldOneStillDeliversIsSafe() throws {
    let folder = try Folder()
    let file = folder.path + "/outbox"
    let moody = Moody(40)
    let server = try moody.server()
    let arguments = [server.url(), file]
    try withMount(Self.kept, arguments: arguments) { old in
      for text in ["a", "b"] { try old.write("in", text) }
      old.program.signal(SIGTERM)
      #expect(eventually { !old.isLive })
      try withMount(Self.kept, arguments: arguments) { new in
        try new.write("in", "c")
        #expect(try eventually { try new.read("in") == "0" })
      }
      old.program.wait()
    }
    let delivered = server.requests.dropFirst(40).map { String(decoding: $0.body, as: UTF8.self) }
    #expect(delivered == ["a", "b", "c"])
  }

  @Test func deadLettersAreKeptAndGivenBack() throws {
    let folder = try Folder()
    let script = """
      TAKES = []
      OUTBOX = FUSE::Outbox.new(file: ARGV[0], pause: 0.01) do |text, message|
        raise FUSE::Outbox::Rejected, "not this" if text == "bad" && TAKES.empty?
        puts "#{text} #{message.attempts}"
      end
      class Drop
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil, 0666)
        def on_read_all = OUTBOX.dead.map { |letter| "#{letter.item}: #{letter.reason}" }.join + OUTBOX.status.to_s
        def on_write_all(text)
          return if text.empty?
          return OUTBOX.put(text) unless text == "again"
          TAKES << 1
          OUTBOX.redeliver
          nil
        end
      end
      FUSE.run Drop
      """
    try withMount(
      .source(script), arguments: [folder.path + "/outbox"], reports: true
    ) { mount in
      try mount.write("in", "bad")
      try mount.write("in", "good")
      #expect(eventually { mount.output == "good 1\n" })
      let told = "bad: not this (FUSE::Outbox::Rejected)0 waiting\n1 delivered\n1 dead\n"
      #expect(try eventually { try mount.read("in") == told })
      try mount.write("in", "again")
      #expect(eventually { mount.output == "good 1\nbad 1\n" })
      #expect(try eventually { try mount.read("in") == "0 waiting\n2 delivered\n0 dead\n" })
    }
  }

  @Test func aDiskThatIsFullRefusesAndLosesNothing() throws {
    guard getuid() == 0 else { return }
    let folder = try Folder()
    let disk = try folder.makeDirectory("disk")
    try #require(try run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", disk]).status == 0)
    defer { _ = try? run(["umount", "-l", disk]) }
    let moody = Moody(1_000_000)
    let server = try moody.server()
    try withMount(Self.kept, arguments: [server.url(), disk + "/outbox"]) { mount in
      var accepted = 0
      let message = String(repeating: "x", count: 10_000)
      #expect(throws: SystemError(ENOSPC)) {
        for _ in 0..<100 {
          try mount.write("in", message)
          accepted += 1
        }
      }
      #expect(accepted > 0)
      moody.failures.withLock { $0 = 0 }
      let isEmpty = try eventually { try mount.read("in") == "0" }
      #expect(isEmpty)
    }
  }

  @Test func requestsAreSigned() throws {
    let server = try LoopbackServer()
    let script = Self.drop(
      "OUTBOX = FUSE::Outbox.new(secret: 'whsec_c2VjcmV0') { |text| Curl.post(ARGV[0], text) }")
    try withMount(script, arguments: [server.url()]) { mount in
      try mount.write("in", "text")
      #expect(eventually { server.requests.count == 1 })
    }
    let request = try #require(server.requests.first)
    let id = try #require(request["webhook-id"])
    let time = try #require(request["webhook-timestamp"])
    #expect(request["Idempotency-Key"] == id)
    let command =
      "printf %s '\(id).\(time).text' | openssl dgst -sha256 -hmac secret -binary | base64"
    let signature = try run(["sh", "-c", command]).output.split(separator: "\n").joined()
    #expect(request["webhook-signature"] == "v1," + signature)
  }

  @Test func anOutboxIsNotWrittenThroughASymbolicLink() throws {
    let folder = try Folder()
    try folder.write("target", "")
    let link = folder.path + "/outbox"
    #expect(symlink("target", link) == 0)
    let script = try folder.write(
      "script.rb", Self.text("OUTBOX = FUSE::Outbox.new(file: ARGV[0]) { }"))
    let mnt = try folder.makeDirectory("mnt")
    let outcome = try run([Mount.binary, script, mnt, "--", link])
    #expect(outcome.status != 0)
    #expect(outcome.errors.contains("\(link) is a symbolic link"), "\(outcome)")
    #expect(try folder.read("target") == "")
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
      #expect(try eventually { try mount.read("status") == "0 waiting\n1 delivered\n0 dead\n" })
    }
  }
}
