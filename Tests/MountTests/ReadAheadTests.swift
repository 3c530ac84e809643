import Glibc
import Testing

/// How far the kernel reads ahead, which only root may raise.
@Suite struct ReadAheadTests {
  /// In KiB, as the kernel says of the mount.
  private func readAhead(
    as user: User, options: [String] = [], _ expected: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try withMount(.example("hello.rb"), options: options, as: user) { mount in
      let device = try #require(MountTable.device(of: mount.path))
      let file = "/sys/class/bdi/\(device)/read_ahead_kb"
      var found = ""
      let isThere = try eventually {
        found = try Folder.read(file)
        return found == "\(expected)\n"
      }
      #expect(isThere, "\(found)", sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: User.all) func itIsAMebibyteForRoot(user: User) throws {
    try readAhead(as: user, user.id == 0 ? 1024 : 128)
  }

  @Test(arguments: User.all) func itIsTheKernelsWithoutAdaptiveCaching(user: User) throws {
    try readAhead(as: user, options: ["-o", "no_adaptive_caching"], 128)
  }

  @Test(arguments: User.all) func theUsersLimitCounts(user: User) throws {
    try readAhead(as: user, options: ["-o", "max_readahead=65536"], 64)
    try readAhead(as: user, options: ["-o", "max_readahead=0"], 0)
    try readAhead(as: user, options: ["-o", "max_readahead=262144"], user.id == 0 ? 256 : 128)
    try readAhead(as: user, options: ["-o", "max_readahead=8388608"], user.id == 0 ? 1024 : 128)
  }
}
