import Glibc
import Testing

/// Examples/hello.rb.
@Suite struct HelloTests {
  @Test(arguments: User.all) func readsAsAUserWould(_ user: User) throws {
    try withMount(.example("hello.rb"), as: user) { mount in
      try #expect(mount.sh("ls").output == "hello\n")
      try #expect(mount.sh("cat hello").output == "Hello from Ruby!\n")
      #expect(
        try mount.sh("stat -c '%A %s %F %u' hello").output
          == "-r--r--r-- 17 regular file \(user.id)\n")
      let refused = try mount.sh("cat absent")
      #expect(refused.status == 1)
      #expect(refused.errors.contains("No such file or directory"))
    }
  }

  @Test func answersSystemCalls() throws {
    try withMount(.example("hello.rb")) { mount in
      try #expect(mount.list() == ["hello"])
      try #expect(mount.read("hello") == "Hello from Ruby!\n")
      #expect(throws: SystemError(ENOENT)) { try mount.read("absent") }
      try #expect(mount.open("hello", O_RDONLY).read(4, at: 6) == Array("from".utf8))
    }
  }
}
