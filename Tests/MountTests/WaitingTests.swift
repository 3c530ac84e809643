import Glibc
import Testing

/// Slow work never stalls the mount: hooks that wait, and what goes on beside them.
@Suite struct WaitingTests {
  /// `sleep`s in the reads of s0, s1, ...; the others answer at once.
  private static func sleeper(_ time: Double) -> String {
    """
    class Sleeper
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)

      def on_read_all
        return "quick" unless @path[1] == "s"
        puts "begin #{@path}"
        sleep \(time)
        puts "end #{@path}"
        "slow"
      end
    end

    """
  }

  /// Reads s0, s1, ... at once, and lets `body` look meanwhile; answers how long that took, in seconds.
  private func readSlowly(
    _ count: Int, _ mount: Mount, _ body: @escaping @Sendable () -> Void = {}
  ) -> Double {
    let path = mount.path
    return seconds {
      concurrently(count + 1) { number in
        if number == count { return body() }
        let text = try? Folder.read("\(path)/s\(number)")
        if text != "slow" { Issue.record("s\(number): \(text ?? "no answer")") }
      }
    }
  }

  private func begun(_ mount: Mount) -> Int {
    mount.output.split(separator: "\n").count { $0.hasPrefix("begin") }
  }

  @Test func hooksThatWaitHoldNobodyUp() throws {
    try withMount(.source(Self.sleeper(1.5) + "FUSE.run Sleeper")) { mount in
      let path = mount.path
      let time = readSlowly(64, mount) {
        usleep(200_000)
        var times: [Double] = []
        for number in 0..<20 {
          // A name that was never looked up: 64 others of its directory are at work.
          times.append(
            seconds {
              var information = Glibc.stat()
              if stat("\(path)/q\(number)", &information) != 0 { Issue.record("stat failed") }
            })
        }
        times.sort()
        #expect(times[10] < 0.01, "\(times)")
        #expect(times[19] < 0.7, "\(times)")
      }
      #expect(begun(mount) == 64)
      #expect(time < 1.5 + 1)
    }
  }

  @Test func aThousandHooksWaitAtOnce() throws {
    try withMount(.source(Self.sleeper(2) + "FUSE.run Sleeper")) { mount in
      // Instances, and what is made once, are not the price of waiting.
      concurrently(50) { [path = mount.path] number in
        for name in stride(from: number, to: 1000, by: 50) {
          var information = Glibc.stat()
          if stat("\(path)/s\(name)", &information) != 0 { Issue.record("stat failed") }
        }
      }
      // The waiter's thread among them.
      _ = readSlowly(1, mount)
      let before = try Holdings(of: mount.program.pid)
      let time = readSlowly(1000, mount)
      let after = try Holdings(of: mount.program.pid)
      #expect(begun(mount) == 1001)
      #expect(time < 2 + 3)
      if !isSanitized { #expect(after.peak - before.resident < 8 << 10) }
      #expect(after.threads == before.threads)
      #expect(after.descriptors == before.descriptors)
    }
  }

  @Test func withoutMultithreadOneComesAfterTheOther() throws {
    let script = Self.sleeper(0.05) + "FUSE.multithread = false\nFUSE.run Sleeper"
    try withMount(.source(script)) { mount in
      _ = readSlowly(8, mount)
      let lines = mount.output.split(separator: "\n").map { $0.split(separator: " ") }
      #expect(lines.count == 16)
      for pair in stride(from: 0, to: lines.count - 1, by: 2) {
        #expect(lines[pair][0] == "begin")
        #expect(lines[pair + 1][0] == "end")
        #expect(lines[pair][1] == lines[pair + 1][1])
      }
    }
  }

  // MARK: Every kind of wait

  /// What a hook does that waits, and what another one does that lets it go on.
  private static let kinds: [(name: String, wait: String, go: String)] = [
    ("sleep", "sleep 0.01 until GO['sleep']", ""),
    ("pipe", "PIPE[0].sysread(1)", "PIPE[1].write 'x'"),
    ("select", "IO.select([SELECT[0]])", "SELECT[1].write 'x'"),
    (
      "fifo", "File.open(at('a')) { |file| file.read }",
      "File.open(at('a'), 'w') { |file| file.write 'x' }"
    ),
    ("fifo-writer", "File.open(at('b'), 'w') { |file| file.write 'x' }", "File.open(at('b')).read"),
    ("backticks", "`cat #{at('c')}`", "File.open(at('c'), 'w') { |file| file.write 'x' }"),
    (
      "system", "system('cat', at('d'), out: '/dev/null')",
      "File.open(at('d'), 'w') { |file| file.write 'x' }"
    ),
    (
      "popen", "IO.popen('cat ' + at('e')) { |io| io.read }",
      "File.open(at('e'), 'w') { |file| file.write 'x' }"
    ),
    (
      "wait", "Process.wait(spawn('cat', at('f'), out: '/dev/null'))",
      "File.open(at('f'), 'w') { |file| file.write 'x' }"
    ),
    ("accept", "ACCEPT.accept.close", "TCPSocket.new('127.0.0.1', ACCEPT.addr[1]).close"),
    ("tcp", "TCPSocket.new('127.0.0.1', TCP.addr[1]).read", "TCP.accept.close"),
    ("unix", "UNIXSocket.new(at('unix')).read", "UNIX.accept.close"),
    ("udp", "UDP.recv(10)", "UDPSocket.new.send('x', 0, '127.0.0.1', UDP.addr[1])"),
    ("curl", "Curl.get(\"http://127.0.0.1:#{HTTPD.addr[1]}/\")", "serve(HTTPD)"),
    ("curl-block", "Curl.get(\"http://127.0.0.1:#{HTTPD2.addr[1]}/\") { }", "serve(HTTPD2)"),
    ("flock", "File.open(at('lock')) { |file| file.flock(LOCK_EX) }", "LOCK.flock(LOCK_UN)"),
    ("queue", "QUEUE.pop", "QUEUE << 1"),
    ("mutex", "MUTEX.synchronize { }", "MUTEX.unlock"),
    ("fiber", "Fiber.new { Fiber.yield PIPE2[0].sysread(1) }.resume", "PIPE2[1].write 'x'"),
    (
      "enumerator",
      "Enumerator.new { |y| y << 1; y << PIPE3[0].sysread(1) }.tap { |e| e.next }.next",
      "PIPE3[1].write 'x'"
    ),
    ("each", "[1].each { |i| [2].map { PIPE4[0].sysread(1) } }", "PIPE4[1].write 'x'"),
    (
      "rescue", "begin; raise 'a'; rescue; begin; ensure; PIPE5[0].sysread(1); end; end",
      "PIPE5[1].write 'x'"
    ),
  ]

  private static var everyKind: String {
    """
    def at(name) = ENV["FOLDER"] + "/" + name
    GO, STARTED = {}, {}
    PIPE, PIPE2, PIPE3, PIPE4, PIPE5, SELECT = IO.pipe, IO.pipe, IO.pipe, IO.pipe, IO.pipe, IO.pipe
    ACCEPT, TCP, HTTPD, HTTPD2 = [1, 2, 3, 4].map { TCPServer.new("127.0.0.1", 0) }
    UNIX = UNIXServer.new(at("unix"))
    UDP = UDPSocket.new
    UDP.bind("127.0.0.1", 0)
    QUEUE, MUTEX, MADE = Queue.new, Mutex.new, Queue.new
    MUTEX.lock
    LOCK = File.open(at("lock"), "w")
    LOCK.flock(LOCK_EX)

    def serve(server)
      connection = server.accept
      text = ""
      text << connection.sysread(1000) until text.include?("\\r\\n\\r\\n")
      connection.write "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi"
      connection.close
    end

    WAIT = {
    \(kinds.map { "  '\($0.name)' => proc { \($0.wait) }," }.joined(separator: "\n"))
    }
    RELEASE = {
    \(kinds.map { "  '\($0.name)' => proc { \($0.go) }," }.joined(separator: "\n"))
      'initialize' => proc { MADE << 1 },
    }

    class Every
      def initialize(path)
        @path = path
        return unless path == "/wait-initialize"
        STARTED["initialize"] = true
        MADE.pop
      end

      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)

      def on_read_all
        kind, name = @path[1..-1].split("-", 2)
        case kind
        when "started" then STARTED.keys.join(" ")
        when "go"
          GO[name] = true
          RELEASE[name].call
          "released"
        else
          STARTED[name] = true
          WAIT[name].call if WAIT[name]
          "waited"
        end
      end
    end

    FUSE.run Every
    """
  }

  @Test func everyKindOfWaitLetsOthersIn() throws {
    let folder = try Folder()
    for name in ["a", "b", "c", "d", "e", "f"] {
      guard mkfifo(folder.path + "/" + name, 0o600) == 0 else { throw SystemError() }
    }
    let script = Script.source(Self.everyKind)
    try withMount(script, environment: ["FOLDER": folder.path]) { mount in
      for name in Self.kinds.map(\.name) + ["initialize"] {
        let reader = try Program(["cat", "\(mount.path)/wait-\(name)"])
        #expect(
          try eventually {
            try mount.read("started").split(separator: " ").contains { $0 == name }
          }, "\(name) has not begun")
        #expect(!reader.hasEnded, "\(name) does not wait")
        try #expect(mount.read("go-\(name)") == "released", "\(name)")
        #expect(reader.wait() == .exited(0), "\(name)")
        #expect(reader.output == "waited", "\(name)")
      }
    }
  }

  @Test func whereAHookCannotGiveItsTurnAwayItWaitsInPlace() throws {
    let script = """
      class Slow
        def to_s = sleep(0.05) && "slow"
      end

      class Places
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)
        def on_read_all = "#{Slow.new} #{[Slow.new].join} #{`echo child`}"
      end

      FUSE.run Places
      """
    try withMount(.source(script), reports: true) { mount in
      let text = try mount.read("a")
      #expect(text == "slow slow child\n")
    }
  }

  // MARK: The end of a wait

  /// Tells on standard output how a read that waits ends.
  private static let told = """
    class Told
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)

      def on_read_all
        puts "begin"
        sleep
      rescue Exception => error
        puts error.class
        raise error
      ensure
        puts "ensure"
      end
    end

    FUSE.run Told
    """

  @Test func anInterruptedCallerGivesEINTR() throws {
    try withMount(.source(Self.told)) { mount in
      let reader = try Program(["cat", "\(mount.path)/a"])
      #expect(eventually { mount.output == "begin\n" })
      reader.signal(SIGINT)
      #expect(reader.wait() == .killed(by: SIGINT))
      #expect(eventually { mount.output == "begin\nErrno::EINTR\nensure\n" }, "\(mount.output)")
    }
  }

  @Test func aSignalEndsHooksThatWait() throws {
    try withMount(.source(Self.told), reports: true) { mount in
      let readers = try (0..<64).map { try Program(["cat", "\(mount.path)/\($0)"]) }
      #expect(eventually { self.begun(mount) == 64 })
      let time = seconds {
        mount.program.signal(SIGTERM)
        mount.program.wait()
      }
      #expect(time < 1)
      for reader in readers { #expect(reader.wait() == .exited(1)) }
      let lines = mount.output.split(separator: "\n")
      #expect(lines.count { $0 == "FUSE::Unmounted" } == 64)
      #expect(lines.count { $0 == "ensure" } == 64)
    }
  }

  // MARK: Servers that do not behave

  @Test func aBadServerIsAnErrorAndNobodyElseNotices() throws {
    let server = try LoopbackServer { request, connection in
      switch request.target {
      case "/never": connection.waitForClose()
      case "/drip":
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while connection.send("x") { usleep(20_000) }
      case "/half":
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        connection.hangUp()
      default:
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        let piece = [UInt8](repeating: 120, count: 1 << 20)
        while connection.sendChunk(piece) {}
      }
    }
    let script = """
      class Caller
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(nil)

        def on_read_all
          return "quick" if @path == "/quick"
          curl = Curl.new
          curl.timeout_ms = 700
          size = 0
          if @path == "/bounded"
            curl.get(URL + "/endless") { |_, chunk| raise "enough" if (size += chunk.size) > 10_000_000 }
          else
            curl.get(URL + @path)
          end
          "answered"
        rescue RuntimeError => error
          error.message
        end
      end

      URL = ARGV[0]
      FUSE.run Caller
      """
    let names = ["never", "drip", "half", "endless", "bounded"]
    let url = String(server.url("").dropLast(0))
    try withMount(.source(script), arguments: [url]) { mount in
      try #expect(mount.read("quick") == "quick")
      _ = try mount.read("half")
      let before = try Holdings(of: mount.program.pid)
      let readers = try names.map { try Program(["cat", "\(mount.path)/\($0)"]) }
      var slowest = 0.0
      while !readers.allSatisfy({ $0.hasEnded }) {
        slowest = max(slowest, try seconds { _ = try mount.read("quick") })
        usleep(5000)
      }
      #expect(slowest < 0.5)
      for (name, reader) in zip(names, readers) {
        #expect(reader.wait() == .exited(0))
        #expect(!reader.output.isEmpty && reader.output != "answered", "\(name): \(reader.output)")
      }
      let after = try Holdings(of: mount.program.pid)
      #expect(after.threads == before.threads)
      // libcurl keeps a handful of connections and descriptors for later calls.
      #expect(after.descriptors <= before.descriptors + 8)
      if !isSanitized { #expect(after.peak - before.resident < 256 << 10) }
    }
  }
}
