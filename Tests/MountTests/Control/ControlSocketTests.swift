import Glibc
import Testing

/// The control socket: who gets in, and what clients can do to a mount, which is nothing.
@Suite struct ControlSocketTests {
  private static let script = """
    class One
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(4)
      def on_readdir = ["file"]
      def on_read_all = "text"
    end
    FUSE.run One

    """

  /// A client that keeps to no rules.
  private final class Client {
    let descriptor: Int32

    init(_ path: String) throws {
      descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
      var name = sockaddr_un()
      name.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
      let code = withUnsafePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      guard code == 0 else { throw SystemError() }
    }

    deinit { close(descriptor) }

    /// Sends without waiting; answers how many bytes went.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Int {
      Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
    }

    @discardableResult
    func send(_ text: String) -> Int { send(Array(text.utf8)) }

    /// What comes within a while; nil where the other side hung up.
    func receive(within milliseconds: Int32 = 2000) -> String? {
      var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&watched, 1, milliseconds) > 0 else { return "" }
      var piece = [UInt8](repeating: 0, count: 1 << 16)
      let count = recv(descriptor, &piece, piece.count, 0)
      return count > 0 ? String(decoding: piece.prefix(count), as: UTF8.self) : nil
    }
  }

  /// Mounts with a runtime directory of its own; hands over the path of the control socket.
  private func withSocket(
    as user: User = .current, reports: Bool = false,
    _ body: (Mount, _ socket: String, _ runtime: Folder) throws -> Void
  ) throws {
    let runtime = try Folder(owner: user)
    let environment = ["XDG_RUNTIME_DIR": runtime.path]
    try withMount(
      .source(Self.script), environment: environment, as: user, reports: reports
    ) { mount in
      var socket = ""
      #expect(
        try eventually {
          socket = try run(["sh", "-c", "ls \(runtime.path)/fusuma/*.socket"]).output
          return socket.hasSuffix("\n")
        })
      try body(mount, String(socket.dropLast()), runtime)
    }
    // Nothing is left of it.
    let rest = try run(["ls", runtime.path + "/fusuma"])
    #expect(rest.output.isEmpty, "\(rest)")
  }

  /// Whether the mount serves and lets clients in.
  private func isWell(_ mount: Mount, _ socket: String) throws -> Bool {
    let client = try Client(socket)
    client.send("{\"do\":\"hello\"}\n")
    return try mount.sh("cat file").output == "text"
      && client.receive()?.contains("\"pid\"") == true
  }

  @Test func garbageHurtsNobody() throws {
    try withSocket { mount, socket, _ in
      let garbage = [
        "\n\n\n", "{", "nonsense\n", "[]\n", "{\"do\":7}\n", "{\"do\":\"nothing\"}\n",
        "{\"do\":\"evaluate\"}\n", "{\"do\":\"evaluate\",\"source\":[1]}\n",
        "{\"do\":\"complete\",\"text\":{}}\n", "{\"do\":\"trace\",\"format\":9,\"paths\":3}\n",
        "{\"do\":\"stats\",\"interval\":-1e300}\n", "{\"do\":\"stats\",\"interval\":\"x\"}\n",
        "{\"do\":\"interrupt\"}\n", String(repeating: "[", count: 100_000) + "\n", "\u{0}\u{FF}\n",
      ]
      let clients = try garbage.map { text in
        let client = try Client(socket)
        client.send(text)
        return client
      }
      // All of it to one of them, and bytes that mean nothing at all.
      for text in garbage { clients[1].send(text) }
      clients[2].send((0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 3) })
      try #expect(isWell(mount, socket))
      #expect(clients[3].receive()?.contains("not a request") == true)
    }
  }

  @Test func aLineWithoutEndIsCutOff() throws {
    try withSocket { mount, socket, _ in
      let client = try Client(socket)
      let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 16)
      var sent = 0
      let isCutOff = eventually(within: 60) {
        let count = client.send(piece)
        sent += max(count, 0)
        return count < 0 && errno != EAGAIN
      }
      #expect(isCutOff && sent < 4 << 20)
      try #expect(isWell(mount, socket))
    }
  }

  @Test func aClientThatGoesInTheMiddleIsForgotten() throws {
    try withSocket { mount, socket, _ in
      for _ in 0..<20 {
        let client = try Client(socket)
        client.send("{\"do\":\"evaluate\",\"source\":\"sleep 0.05; puts 1; sleep 30\"}\n")
        client.send("{\"do\":\"trace\"}\n{\"do\":\"stats\",\"interval\":0.05}\n")
        usleep(5000)
      }
      usleep(200_000)
      try #expect(isWell(mount, socket))
      #expect(
        eventually { (try? descriptors(of: mount)) ?? 40 < 40 },
        "\((try? run(["ls", "-l", "/proc/\(mount.program.pid)/fd"]).output) ?? "")")
    }
  }

  private func descriptors(of mount: Mount) throws -> Int {
    try run(["sh", "-c", "ls /proc/\(mount.program.pid)/fd | wc -l"]).output
      .split(separator: "\n").first.flatMap { Int($0) } ?? 0
  }

  @Test func aClientThatDoesNotReadCostsABoundedAmount() throws {
    try withSocket { mount, socket, _ in
      let silent = try Client(socket)
      silent.send(
        "{\"do\":\"evaluate\",\"source\":\"s = 'x' * 1000; 20_000.times { puts s }\"}\n")
      let tracing = try Client(socket)
      tracing.send("{\"do\":\"trace\"}\n")
      for _ in 0..<2000 { _ = try mount.exists("absent") }
      try #expect(isWell(mount, socket))
      let memory = try Folder.read("/proc/\(mount.program.pid)/status")
        .split(separator: "\n").first { $0.hasPrefix("VmRSS:") }?.filter(\.isNumber)
      // A sanitizer's own memory would drown the figure.
      if !isSanitized { #expect(memory.flatMap { Int($0) } ?? .max < 100_000) }
    }
  }

  @Test func clientsThatSayNothingAreCounted() throws {
    try withSocket { mount, socket, _ in
      var clients = try (0..<64).map { _ in try Client(socket) }
      usleep(100_000)
      // One more is turned away, and the mount goes on.
      #expect(try Client(socket).receive() == nil)
      try #expect(mount.read("file") == "text")
      clients.removeAll()
      #expect(eventually { (try? isWell(mount, socket)) ?? false })
    }
  }

  @Test(.enabled(if: geteuid() == 0, "only root can be somebody else"))
  func otherUsersAreRefused() throws {
    try withSocket(as: .ordinary) { mount, socket, runtime in
      let stranger = ["setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups", "--"]
      for command in ["attach", "trace", "stats"] {
        let outcome = try run(
          stranger + [Mount.binary, command, mount.path],
          environment: ["XDG_RUNTIME_DIR": runtime.path])
        #expect(outcome.status == 1)
        #expect(outcome.errors == "fusuma: \(mount.path) is another user's mount\n", "\(outcome)")
      }
      // Even where every door stands open, the kernel tells who knocks.
      for path in [runtime.path, runtime.path + "/fusuma"] { #expect(chmod(path, 0o755) == 0) }
      #expect(chmod(socket, 0o666) == 0)
      let knock = """
        use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "no";
        print $s "{\\"do\\":\\"hello\\"}\\n"; $s->flush; my $line = <$s>;
        print defined $line ? $line : "refused";
        """
      let outcome = try run(stranger + ["perl", "-e", "$SIG{PIPE} = 'IGNORE'; " + knock, socket])
      #expect(outcome.output == "refused", "\(outcome)")
      let own = try run(["perl", "-e", knock, socket], as: .ordinary)
      #expect(own.output.contains("\"pid\""), "\(own)")
      // The superuser may.
      try #expect(isWell(mount, socket))
    }
  }

  @Test func whereTheDirectoryIsNotPrivateNobodyIsLetIn() throws {
    let runtime = try Folder()
    try runtime.makeDirectory("fusuma")
    try withMount(
      .source(Self.script), environment: ["XDG_RUNTIME_DIR": runtime.path], reports: true
    ) { mount in
      try #expect(mount.read("file") == "text")
      #expect(mount.log.contains("not a directory that only its owner may enter"))
    }
  }

  @Test func aDeadSocketIsReplaced() throws {
    let runtime = try Folder()
    let environment = ["XDG_RUNTIME_DIR": runtime.path]
    // What a mount that was killed leaves behind, under every number that the next one can get.
    _ = try run(["mkdir", "-m", "700", runtime.path + "/fusuma"])
    _ = try run([
      "sh", "-c", "for i in $(seq 20 400); do : > \(runtime.path)/fusuma/0:$i.socket; done",
    ])
    try withMount(.source(Self.script), environment: environment) { mount in
      let outcome = try run(
        ["sh", "-c", "echo '6 * 7' | \"$0\" attach \"$1\"", Mount.binary, mount.path],
        environment: environment)
      #expect(outcome.output == "=> 42\n", "\(outcome)")
    }
  }

  @Test func attachSaysWhatThereIsNot() throws {
    let folder = try Folder()
    for (path, message) in [
      (folder.path, "nothing is mounted at"), (folder.path + "/absent", "nothing is mounted at"),
      ("/proc", "not one of fusuma's"),
    ] {
      let outcome = try run([Mount.binary, "attach", path])
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains(message), "\(outcome)")
    }
  }

  @Test func aMountIsFoundByAnyNameOfItsPath() throws {
    try withMount(.source(Self.script)) { mount in
      let link = mount.folder.path + "/link"
      #expect(symlink(mount.path, link) == 0)
      for path in [mount.path, mount.path + "/", link, mount.folder.path + "/./mnt"] {
        let outcome = try run([
          "sh", "-c", "echo FUSE.mountpoint | \"$0\" attach \"$1\"", Mount.binary, path,
        ])
        #expect(outcome.output == "=> \"\(mount.path)\"\n", "\(outcome)")
      }
    }
  }

  @Test func aSecondMountAtTheSamePlaceIsRefused() throws {
    try withMount(.source(Self.script)) { mount in
      let outcome = try run([Mount.binary, mount.folder.path + "/script.rb", mount.path])
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("is busy"))
      try #expect(mount.read("file") == "text")
    }
  }
}
