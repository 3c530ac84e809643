import Glibc
import Testing

/// On whose behalf a program runs.
enum User: CustomTestStringConvertible {
  /// Whoever runs the tests.
  case current
  /// An ordinary user, by number: nobody need exist of that name.
  case ordinary

  static let ordinaryID: uid_t = 1000

  /// Those that there are to test with: who is no superuser cannot become somebody else.
  static let all: [User] = geteuid() == 0 ? [.current, .ordinary] : [.current]

  var id: uid_t { self == .ordinary ? User.ordinaryID : geteuid() }

  /// What a command line begins with, to run as that user.
  var prefix: [String] {
    guard self == .ordinary else { return [] }
    let id = "\(User.ordinaryID)"
    return ["setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--"]
  }

  var testDescription: String { self == .current && geteuid() == 0 ? "root" : "an ordinary user" }
}
