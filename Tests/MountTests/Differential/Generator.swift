import Glibc

/// Makes sequences of actions out of a seed: the same seed makes the same sequence.
struct Generator {
  private var random: SplitMix
  /// Who acts; one of them each time.
  private let users: [uid_t?]

  init(seed: UInt64, users: [uid_t?]) {
    random = SplitMix(state: seed)
    self.users = users
  }

  mutating func actions(_ count: Int) -> [Action] {
    (0..<count).map { _ in
      // Root most of the time, because others are mostly refused.
      let user = random.below(3) > 0 ? users[0] : users[random.below(users.count)]
      var step = step()
      // Of this FUSE's kernel sends what it sends when a write takes privileges away, which nobody is
      // refused: a filesystem cannot tell the two apart.
      if let user, case .chown(let path, .max, .max) = step {
        step = .chown(path: path, uid: user, gid: .max)
      }
      return Action(step: step, user: user, watchesTimes: random.below(6) == 0)
    }
  }

  // Few names, so that the paths of different steps meet.
  private static let names = ["a", "b", "c", "d"]
  private static let longName = String(repeating: "n", count: 255)

  private mutating func path() -> String {
    let depth = [1, 1, 1, 2, 2, 3][random.below(6)]
    if random.below(100) == 0 { return Generator.longName + (random.below(2) == 0 ? "" : "x") }
    return (0..<depth).map { _ in Generator.names[random.below(Generator.names.count)] }
      .joined(separator: "/")
  }

  private mutating func mode() -> mode_t {
    // No setgid without execution for the group: over FUSE the kernel leaves it where it takes it from
    // a file of a tmpfs that somebody outside of the group writes to.
    let modes: [mode_t] = [
      0o644, 0o755, 0o777, 0o666, 0o600, 0o2775, 0o1777, 0o4755, 0o6777, 0,
    ]
    return modes[random.below(modes.count)]
  }

  private mutating func flags() -> Int32 {
    var flags = [O_RDONLY, O_WRONLY, O_RDWR, O_RDWR][random.below(4)]
    for (flag, chance) in [
      (O_CREAT, 2), (O_EXCL, 8), (O_TRUNC, 4), (O_APPEND, 6), (O_DIRECTORY, 12), (O_NOFOLLOW, 8),
    ] where random.below(chance) == 0 {
      flags |= flag
    }
    // What Linux makes of the two together has changed from version to version.
    return flags & O_CREAT != 0 ? flags & ~O_DIRECTORY : flags
  }

  /// An offset or a size: often at or near the edge of something.
  private mutating func number() -> Int {
    let edges = [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 200_000]
    return random.below(3) == 0 ? random.below(200_000) : edges[random.below(edges.count)]
  }

  private mutating func time() -> Int? {
    random.below(3) == 0 ? nil : random.below(Step.latestChosenTime)
  }

  private mutating func user() -> uid_t {
    let known = users.compactMap { $0 } + [0, uid_t.max]
    return known[random.below(known.count)]
  }

  private mutating func step() -> Step {
    let slot = random.below(4)
    switch random.below(48) {
    case 0..<6: return .open(slot: slot, path: path(), flags: flags(), mode: mode())
    case 6: return .close(slot: slot)
    case 7..<9: return .read(slot: slot, size: number(), offset: number())
    case 9..<14:
      return .write(
        slot: slot, size: number(), offset: number(), seed: UInt8(random.below(256)))
    case 14..<16: return .ftruncate(slot: slot, size: number())
    case 16: return .fchmod(slot: slot, mode: mode())
    case 17: return .fstat(slot: slot)
    case 18..<20:
      // As they are, keeping the size, and making a hole.
      return .fallocate(
        slot: slot, mode: [0, 1, 3][random.below(3)], offset: number(), length: number())
    case 20: return .truncate(path: path(), size: number())
    case 21..<26: return .mkdir(path: path(), mode: mode())
    case 26:
      let types = [S_IFREG, S_IFIFO, S_IFSOCK]
      return .mknod(path: path(), mode: types[random.below(3)] | mode())
    case 27: return .symlink(target: path(), path: path())
    case 28..<31: return .link(old: path(), new: path())
    case 31..<36:
      return .rename(old: path(), new: path(), flags: [0, 0, 0, 1, 2][random.below(5)])
    case 36..<38: return .unlink(path: path())
    case 38: return .rmdir(path: path())
    case 39: return .chmod(path: path(), mode: mode())
    case 40: return .chown(path: path(), uid: user(), gid: user())
    case 41: return .utimens(path: path(), access: time(), modification: time())
    case 42: return .stat(path: path())
    case 43: return .list(path: path())
    case 44: return .readlink(path: path())
    case 45:
      return .setxattr(
        path: path(), name: attribute(), size: random.below(300), flags: Int32(random.below(3)))
    case 46: return .getxattr(path: path(), name: attribute())
    default: return .removexattr(path: path(), name: attribute())
    }
  }

  private mutating func attribute() -> String { "user.\(random.below(3))" }
}

extension Step {
  /// Times that a sequence sets are before this, and so told from those that a clock gave.
  static let latestChosenTime = 1_500_000_000
}

/// Steele, Lea and Flood's SplitMix64: every seed is a good one.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var bits = state
    bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
    return bits ^ (bits >> 31)
  }

  mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }
}
