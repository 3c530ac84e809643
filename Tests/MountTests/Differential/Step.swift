import CFiles
import Glibc

/// One thing to do to a filesystem. A path is below the directory that a run has for itself; a slot is
/// a number that an open file is kept under.
enum Step: Sendable {
  case open(slot: Int, path: String, flags: Int32, mode: mode_t)
  case close(slot: Int)
  case read(slot: Int, size: Int, offset: Int)
  case write(slot: Int, size: Int, offset: Int, seed: UInt8)
  case ftruncate(slot: Int, size: Int)
  case fchmod(slot: Int, mode: mode_t)
  case fstat(slot: Int)
  case fallocate(slot: Int, mode: Int32, offset: Int, length: Int)
  case truncate(path: String, size: Int)
  case mkdir(path: String, mode: mode_t)
  case mknod(path: String, mode: mode_t)
  case symlink(target: String, path: String)
  case link(old: String, new: String)
  case rename(old: String, new: String, flags: UInt32)
  case unlink(path: String)
  case rmdir(path: String)
  case chmod(path: String, mode: mode_t)
  case chown(path: String, uid: uid_t, gid: gid_t)
  case utimens(path: String, access: Int?, modification: Int?)
  case stat(path: String)
  case readlink(path: String)
  case list(path: String)
  case setxattr(path: String, name: String, size: Int, flags: Int32)
  case getxattr(path: String, name: String)
  case removexattr(path: String, name: String)
}

/// A step, and who takes it.
struct Action: Sendable, CustomStringConvertible {
  var step: Step
  /// The user and the group; nil is whoever runs the tests.
  var user: uid_t?
  /// Whether it is to be seen which times it moves. It takes waiting, because tmpfs takes the time from
  /// a clock that ticks every few milliseconds.
  var watchesTimes: Bool

  var description: String {
    let text = "\(step)".replacing("Differential.", with: "")
    return (user.map { "as \($0): \(text)" } ?? text) + (watchesTimes ? ", watching times" : "")
  }
}

extension String {
  fileprivate func replacing(_ part: String, with other: String) -> String {
    var result = ""
    var rest = self[...]
    while let index = rest.indices.first(where: { rest[$0...].hasPrefix(part) }) {
      result += rest[..<index] + other
      rest = rest[index...].dropFirst(part.count)
    }
    return result + rest
  }
}

extension Step {
  /// The paths whose times it may change.
  var paths: [String] {
    switch self {
    case .open(_, let path, _, _), .truncate(let path, _), .mkdir(let path, _),
      .mknod(let path, _), .symlink(_, let path), .unlink(let path), .rmdir(let path),
      .chmod(let path, _), .chown(let path, _, _), .utimens(let path, _, _), .stat(let path),
      .readlink(let path), .list(let path), .setxattr(let path, _, _, _), .getxattr(let path, _),
      .removexattr(let path, _):
      [path]
    case .link(let old, let new), .rename(let old, let new, _): [old, new]
    default: []
    }
  }
}
