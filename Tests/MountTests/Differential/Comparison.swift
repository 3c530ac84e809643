import Glibc

/// Two filesystems that are expected to be alike.
final class Comparison {
  private let left: String
  private let right: String
  private var runs = 0

  /// - Parameters: directories, one on either filesystem, in which each run gets one of its own.
  init(_ left: String, _ right: String) {
    (self.left, self.right) = (left, right)
  }

  /// Where two sides first differ.
  struct Difference: CustomStringConvertible {
    /// How many actions it took.
    let length: Int
    let left: String
    let right: String
    var description: String { "\(left)\n  but on tmpfs\n    \(right)" }
  }

  /// How many actions pass between two looks at everything there is.
  private static let stride = 40

  /// Does the same on both sides; answers where they differ, or nil where they never do.
  func run(_ actions: [Action]) throws -> Difference? {
    runs += 1
    let sides = (try Side("\(left)/\(runs)"), try Side("\(right)/\(runs)"))
    for (index, action) in actions.enumerated() {
      if action.watchesTimes { Comparison.waitForTick() }
      let (a, b) = (sides.0.take(action), sides.1.take(action))
      if a != b { return Difference(length: index + 1, left: a, right: b) }
      guard index % Comparison.stride == Comparison.stride - 1 || index == actions.count - 1 else {
        continue
      }
      let pictures = (sides.0.picture(), sides.1.picture())
      if pictures.0 != pictures.1 {
        let (only, other) = (Set(pictures.0), Set(pictures.1))
        return Difference(
          length: index + 1,
          left: pictures.0.filter { !other.contains($0) }.joined(separator: "\n    "),
          right: pictures.1.filter { !only.contains($0) }.joined(separator: "\n    "))
      }
    }
    return nil
  }

  /// Waits until the clock has ticked that filesystems take their times from; twice, because a time
  /// may also have been taken a little ahead of it.
  private static func waitForTick() {
    func now() -> [Int] {
      var time = timespec()
      clock_gettime(CLOCK_REALTIME_COARSE, &time)
      return [time.tv_sec, time.tv_nsec]
    }
    for _ in 0..<2 {
      let before = now()
      while now() == before { usleep(500) }
    }
  }

  /// The shortest sequence that still makes a difference, as far as leaving actions out finds one.
  func shrink(_ actions: [Action], _ difference: Difference) throws -> ([Action], Difference) {
    var shortest = Array(actions.prefix(difference.length))
    var found = difference
    var size = max(shortest.count / 2, 1)
    while true {
      var start = 0
      var hasShrunk = false
      while start < shortest.count {
        var candidate = shortest
        candidate.removeSubrange(start..<min(start + size, candidate.count))
        if let difference = try run(candidate) {
          shortest = Array(candidate.prefix(difference.length))
          found = difference
          hasShrunk = true
        } else {
          start += size
        }
      }
      if size == 1, !hasShrunk { return (shortest, found) }
      size = max(size / 2, 1)
    }
  }
}
