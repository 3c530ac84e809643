import Glibc
import Testing

/// The article's scripts, as they stand, do what the article says, mounted by an ordinary user.
@Suite(
  .enabled(
    if: geteuid() == 0, "the article's user has the number 1000, and the scripts their paths"),
  .serialized) struct ArticleTests
{
  /// Makes the directory that a script mounts at, lets `body` run, and takes it away again.
  private func withDirectory(_ path: String, _ body: () throws -> Void) throws {
    let isNew = mkdir(path, 0o755) == 0
    try #require(isNew || errno == EEXIST)
    defer { if isNew { rmdir(path) } }
    try #require(chown(path, User.ordinaryID, User.ordinaryID) == 0)
    try body()
  }

  private func mountLine(_ path: String) throws -> String? {
    let lines = try run(["mount"]).output.split(separator: "\n")
    return lines.first { $0.contains(" on \(path) ") }.map(String.init)
  }

  @Test func theExampleIsReadAndWritten() throws {
    try withDirectory("/tmp/foo") {
      try withMount(.source(ArticleScript.example), at: "/tmp/foo", as: .ordinary) { mount in
        try #expect(
          mountLine("/tmp/foo") == """
            fusuma on /tmp/foo type fuse.fusuma \
            (rw,nosuid,nodev,relatime,user_id=1000,group_id=1000,default_permissions)
            """)
        let listed = try mount.sh("ls -ln").output.split(separator: "\n")
        #expect(listed.count == 3)
        #expect(listed[1].hasPrefix("-r--r--r-- 1 1000 1000 20 "))
        #expect(listed[1].hasSuffix(" hello"))
        #expect(listed[2].hasPrefix("-rw-r--r-- 1 1000 1000 32 "))
        #expect(listed[2].hasSuffix(" world"))
        try #expect(mount.sh("cat hello").output == "Hello, mruby fuse!!\n")
        try #expect(mount.sh("cat world").output == "Hello, yet another mruby fuse!!\n")
        try #expect(mount.sh("echo one > world; cat world").output == "one\n")
        try #expect(mount.sh("echo two >> world; cat world").output == "one\ntwo\n")
        try #expect(mount.sh("echo no > hello").errors.contains("Permission denied"))
        try #expect(mount.sh("cat absent").errors.contains("No such file or directory"))
      }
    }
  }

  @Test func theSlackFilesystemPostsOnce() throws {
    let server = try LoopbackServer { _, connection in connection.answer(body: Array("ok".utf8)) }
    let environment = ["SLACK_INCOMING_HOOK": server.url("/services/hook")]
    try withDirectory("/dev/slack") {
      try withMount(
        .source(ArticleScript.slack), at: "/dev/slack", environment: environment, as: .ordinary
      ) { mount in
        try #expect(
          mountLine("/dev/slack") == """
            slackfs on /dev/slack type fuse.slackfs \
            (rw,nosuid,nodev,relatime,user_id=1000,group_id=1000,default_permissions)
            """)
        let listed = try run(["ls", "-ln", "/dev/slack"], as: .ordinary).output
        #expect(listed.hasPrefix("total 0\n--w--w--w- 1 1000 1000 0 "))
        #expect(listed.hasSuffix(" notify\n"))
        let echo = "echo 'I :heart: mruby system programming!' > /dev/slack/notify"
        try #expect(run(["sh", "-c", echo], as: .ordinary).status == 0)
        #expect(mount.output == "Post: ok / 200\n")
        #expect(server.requests.count == 1)
        let request = try #require(server.requests.first)
        #expect(request.method == "POST")
        #expect(request.target == "/services/hook")
        #expect(request["Content-Type"] == "application/x-www-form-urlencoded")
        #expect(
          String(decoding: request.body, as: UTF8.self)
            == #"payload={"text":"I :heart: mruby system programming!\n"}"# + "\n")
      }
    }
  }
}
