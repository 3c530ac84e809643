import Glibc
import Testing

/// Examples/webhook.rb.
@Suite struct WebhookTests {
  /// A server that answers /STATUS with that status.
  private func server() throws -> LoopbackServer {
    try LoopbackServer { request, connection in
      connection.answer("\(request.target.dropFirst()) Answer", body: Array("body".utf8))
    }
  }

  @Test(arguments: User.all) func aWriteIsOnePost(_ user: User) throws {
    let server = try server()
    try withMount(.example("webhook.rb"), arguments: [server.url("/200")], as: user) { mount in
      try #expect(mount.sh("ls").output == "answer\nnotify\n")
      try #expect(mount.sh("/bin/echo 'I \"like\" it' > notify").status == 0)
      #expect(server.requests.count == 1)
      let request = try #require(server.requests.first)
      #expect(request.method == "POST")
      #expect(request["Content-Type"] == "application/json")
      #expect(String(decoding: request.body, as: UTF8.self) == #"{"text":"I \"like\" it\n"}"#)
      try #expect(mount.sh("cat answer").output == "200 Answer\nbody\n")
      try #expect(mount.sh("cat notify").errors.contains("Permission denied") || user.id == 0)
    }
  }

  @Test func aLongMessageIsOnePostToo() throws {
    let server = try server()
    try withMount(
      .example("webhook.rb"), environment: ["WEBHOOK_URL": server.url("/204")]
    ) { mount in
      try mount.write("notify", String(repeating: "long ", count: 500_000))
      #expect(server.requests.map(\.body.count) == [2_500_000 + #"{"text":""}"#.utf8.count])
      try #expect(
        mount.sh("/bin/echo one > notify; /bin/echo two >> notify; : > notify").status == 0)
      #expect(
        server.requests.dropFirst().map { String(decoding: $0.body, as: UTF8.self) } == [
          #"{"text":"one\n"}"#, #"{"text":"two\n"}"#,
        ])
    }
  }

  @Test(arguments: [
    (400, EINVAL), (401, EACCES), (404, ENXIO), (413, EFBIG), (429, EBUSY), (500, EIO),
  ])
  func theStatusBecomesTheErrno(_ status: Int, _ number: Int32) throws {
    let server = try server()
    try withMount(.example("webhook.rb"), arguments: [server.url("/\(status)")]) { mount in
      let echo = try mount.sh("bash -c '/bin/echo hello > notify'")
      #expect(echo.status == 1)
      #expect(echo.errors.hasSuffix("echo: write error: \(SystemError(number))\n"))
      try #expect(mount.read("answer") == "\(status) Answer\nbody\n")
      #expect(throws: SystemError(number)) { try mount.write("notify", "again") }
    }
  }

  @Test func aServerThatIsNotThereIsTold() throws {
    try withMount(
      .example("webhook.rb"), arguments: ["http://127.0.0.1:1/"], reports: true
    ) { mount in
      #expect(throws: SystemError(EHOSTUNREACH)) { try mount.write("notify", "hello") }
      #expect(mount.log.hasPrefix("webhook: Failed to connect to 127.0.0.1"), "\(mount.log)")
    }
  }

  @Test func aSlowServerStallsNobodyElse() throws {
    let server = try LoopbackServer { _, connection in connection.waitForClose() }
    try withMount(.example("webhook.rb"), arguments: [server.url()], reports: true) { mount in
      let writer = try Program(["sh", "-c", "exec /bin/echo hello > '\(mount.path)/notify'"])
      #expect(eventually { server.requests.count == 1 })
      try #expect(mount.read("answer") == "")
      try #expect(mount.list() == ["notify", "answer"])
      #expect(!writer.hasEnded)
      // A signal ends the waiting as it would anywhere.
      writer.signal(SIGINT)
      #expect(eventually { writer.hasEnded })
    }
  }

  @Test func withoutAnAddressItSaysSo() throws {
    let script = Folder.package + "/Examples/webhook.rb"
    let outcome = try run([Mount.binary, script, "/tmp"])
    #expect(outcome.status == 1)
    #expect(outcome.errors == "webhook.rb: give the URL behind --, or in $WEBHOOK_URL\n")
  }
}
