import Glibc
import Testing

/// The building blocks of RubyLibrary/Ruby/blocks.rb, as a script mixes them in.
@Suite struct BlocksTests {
  @Test func treeIsReadAndWritten() throws {
    try withMount(.example("tree.rb")) { mount in
      try #expect(mount.list().sorted() == ["count", "hello", "note", "system"])
      try #expect(mount.read("hello") == "Hello from Ruby!\n")
      try #expect(mount.sh("cat system/greeting").output == "Hello from Ruby!\n")
      try #expect(mount.readlink("system/greeting") == "../hello")
      // A directory's links are its own two and one for each directory in it.
      try #expect(mount.stat().st_nlink == 3)
      try #expect(mount.sh("cat count note").output == "0\n")
      try #expect(mount.sh("echo one > note; echo two > note; cat count note").output == "2\ntwo\n")
      #expect(throws: SystemError(EACCES)) { try mount.write("hello", "x", O_WRONLY) }
      #expect(throws: SystemError(ENOENT)) { try mount.read("system/absent") }
      #expect(throws: SystemError(EPERM)) { try mount.mkdir("more") }
    }
  }

  @Test func treesOfTwoClassesAreTwo() throws {
    try withMount(
      """
      class One < FUSE::Tree
        file "one", "1"
        directory("deep") { directory("er") { file "still", "here" } }
      end
      class Two < FUSE::Tree
        file "two", "2"
        directory("d") { file "below", "b" }
        directory("d") { file "beside", "c" }
      end
      FUSE.run ARGV[0] == "one" ? One : Two
      """, arguments: ["two"]
    ) { mount in
      try #expect(mount.list().sorted() == ["d", "two"])
      try #expect(mount.list("d").sorted() == ["below", "beside"].sorted())
    }
  }

  /// A mount that leaves permissions to the script.
  @Test(.enabled(if: geteuid() == 0, "only root can act as two users"))
  func accessIsCheckedByTheScript() throws {
    try withMount(
      """
      class Guarded
        include FUSE::Access
        MODES = { "/" => FUSE::S_IFDIR | 0755, "/open" => FUSE::S_IFREG | 0604,
                  "/own" => FUSE::S_IFREG | 0600, "/run" => FUSE::S_IFREG | 0700 }
        attr_reader :st_mode
        def initialize(path) = @st_mode = MODES[path]
        def st_uid = 1000
        def st_gid = 1000
        def directory? = st_mode & S_IFMT == S_IFDIR
        def on_getattr = st_mode && self
        def on_open(flags) = allowed?(R_OK) ? 0 : -Errno::EACCES::Errno
        def on_read_all = "content"
      end
      FUSE.default_permissions = false
      FUSE.allow_other = true
      FUSE.run Guarded
      """
    ) { mount in
      func access(_ id: Int, _ test: String) throws -> Bool {
        try run(
          ["setpriv", "--reuid=\(id)", "--regid=\(id)", "--clear-groups", "sh", "-c"]
            + ["cd \(mount.path) && \(test)"]
        ).status == 0
      }
      try #expect(access(1000, "cat own"))
      try #expect(access(1001, "cat open"))
      try #expect(!access(1001, "cat own"))
      try #expect(access(0, "cat own && test -x run && ! test -x own"))
      try #expect(access(1000, "test -x run"))
      try #expect(!access(1001, "test -x run"))
    }
  }

  @Test func usageIsLimited() throws {
    let limits = ["size=1M", "inodes=5"]
    try withMount(.example("memfs.rb"), arguments: limits) { mount in
      try #expect(mount.sh("df --output=size,itotal . | tail -1").output.words == ["1024", "5"])
      for number in 1...4 { try mount.write("\(number)", "") }
      #expect(throws: SystemError(ENOSPC)) { try mount.mkdir("5") }
      try mount.unlink("4")
      try mount.mkdir("5")
      // What there is room for is written, and only then is there none.
      let file = try mount.open("1", O_WRONLY)
      let written = try file.write([UInt8](repeating: 1, count: 2 << 20))
      #expect((900_000..<1 << 20).contains(written))
      try #expect(mount.stat("1").st_size == written)
      #expect(throws: SystemError(ENOSPC)) {
        for _ in 0..<1000 { try file.write([UInt8](repeating: 2, count: 1000)) }
      }
      // Open, it keeps its room after its name is gone.
      try mount.unlink("1")
      #expect(throws: SystemError(ENOSPC)) {
        try mount.write("2", [UInt8](repeating: 3, count: 500_000))
      }
      try file.close()
      let hasRoom = eventually(within: 5) {
        (try? mount.write("2", [UInt8](repeating: 3, count: 500_000))) != nil
      }
      #expect(hasRoom)
      try mount.unlink("2")
      try mount.unlink("3")
      try mount.rmdir("5")
      let isEmpty = eventually(within: 5) {
        (try? mount.sh("df --output=used,iused . | tail -1").output.words) == ["4", "1"]
      }
      #expect(isEmpty)
    }
  }

  @Test(.enabled(if: geteuid() == 0, "only root can act as two users"))
  func usersHaveQuotas() throws {
    try withMount(
      .example("memfs.rb"), options: ["-o", "allow_other"],
      arguments: ["user_size=100K", "user_inodes=3"]
    ) { mount in
      try mount.chmod("", 0o777)
      func write(_ name: String, _ kilobytes: Int) throws -> String {
        try run(
          User.ordinary.prefix + ["sh", "-c"]
            + ["head -c \(kilobytes)K /dev/zero > \(mount.path)/\(name)"]
        ).errors
      }
      try #expect(write("a", 50) == "")
      try #expect(write("b", 80).contains("Disk quota exceeded"))
      try #expect(write("b", 10) == "")
      try #expect(write("c", 1) == "")
      try #expect(write("d", 1).contains("Disk quota exceeded"))
      // A gift counts as the receiver's.
      try mount.write("large", [UInt8](repeating: 1, count: 200_000))
      #expect(throws: SystemError(EDQUOT)) {
        try mount.chown("large", User.ordinaryID, User.ordinaryID)
      }
      try mount.chown("a", 0, 0)
      try #expect(write("d", 1) == "")
    }
  }
}

extension String {
  fileprivate var words: [String] { split { $0 == " " || $0 == "\n" }.map { String($0) } }
}
