import Glibc
import Testing

/// Examples/memfs.rb and a tmpfs are done the same things to, at random, and have to agree in every
/// errno, stat, content and listing, and in which times move.
///
/// $DIFFERENTIAL_SECONDS says how long (default: 8 for each user), $DIFFERENTIAL_SEED which sequence
/// is the first (default: another one each time).
@Suite struct DifferentialTests {
  private static let tmpfs = "/dev/shm"
  private static let lengthOfRun = 300

  private static func setting(_ name: String) -> UInt64? {
    getenv(name).flatMap { UInt64(String(cString: $0)) }
  }

  private static let seconds = Double(setting("DIFFERENTIAL_SECONDS") ?? 8)
  private static let seed = setting("DIFFERENTIAL_SEED") ?? UInt64.random(in: 0..<1_000_000)

  @Test(.enabled(if: access(tmpfs, W_OK) == 0, "there is no tmpfs to compare with"))
  func agreesWithTmpfs() throws {
    let reference = try temporaryDirectory()
    defer { _ = try? run(["rm", "-rf", reference]) }
    let users: [uid_t?] = geteuid() == 0 ? [nil, 1001, 1002] : [nil]
    let options = geteuid() == 0 ? ["-o", "allow_other"] : []
    let deadline = DifferentialTests.seconds + 300
    try withMount(.example("memfs.rb"), options: options, deadline: deadline) { mount in
      let comparison = Comparison(mount.path, reference)
      let end = Poll.now + DifferentialTests.seconds
      var seed = DifferentialTests.seed
      while Poll.now < end {
        var generator = Generator(seed: seed, users: users)
        let actions = generator.actions(DifferentialTests.lengthOfRun)
        if let difference = try comparison.run(actions) {
          let (shortest, difference) = try comparison.shrink(actions, difference)
          let list = shortest.map { "  \($0)" }.joined(separator: "\n")
          Issue.record("DIFFERENTIAL_SEED=\(seed):\n\(list)\n  came to\n    \(difference)")
          return
        }
        seed += 1
      }
    }
  }

  private func temporaryDirectory() throws -> String {
    var template = Array("\(DifferentialTests.tmpfs)/fusuma-differential.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil, chmod(template, 0o755) == 0 else { throw SystemError() }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
