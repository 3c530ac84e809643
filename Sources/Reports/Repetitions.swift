// Counting errors that come again and again.

/// Which errors were told, and how often each has come since.
///
/// Invariant: a thousand errors of one kind are one report and a few lines that count.
struct Repetitions {
  private var counts: [String: (line: String, since: Int)] = [:]
  private var interval = firstInterval

  /// How long after the first repetition it is told, in seconds; the next time is twice as far.
  static let firstInterval = 1.0
  private static let longestInterval = 64.0
  /// How many different errors are remembered.
  private static let mostRemembered = 256

  /// Whether something came again that was not told yet.
  private(set) var isCounting = false
  /// In how many seconds to take the counts; nil where there is nothing to wait for.
  private(set) var due: Double?

  /// Takes down an error; returns whether it is one that has not been told.
  mutating func isFirst(_ key: String, _ line: String) -> Bool {
    guard let known = counts[key] else {
      // So many different errors are not counted for ever.
      if counts.count >= Repetitions.mostRemembered { counts = [:] }
      counts[key] = (line, 0)
      return true
    }
    counts[key] = (line, known.since + 1)
    isCounting = true
    return false
  }

  /// What came again since the last time, a line for each.
  mutating func take() -> [String] {
    let again = counts.filter { $0.value.since > 0 }.sorted { $0.key < $1.key }
    for (key, value) in again { counts[key] = (value.line, 0) }
    interval =
      again.isEmpty ? Repetitions.firstInterval : min(interval * 2, Repetitions.longestInterval)
    due = again.isEmpty ? nil : interval
    isCounting = !again.isEmpty
    return again.map {
      "\($0.value.line): \($0.value.since == 1 ? "once" : "\($0.value.since) times") more"
    }
  }
}
