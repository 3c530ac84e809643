// What somebody may have meant.

/// Finds words that are nearly the same.
package enum Spelling {
  /// The word that is most like `word`, if one is alike: at most a third of its letters differ, not
  /// counting a `prefix` of so many that all words have. Nothing is like one or two letters.
  package static func nearest(
    to word: String, among words: some Sequence<String>, prefix: Int = 0
  ) -> String? {
    let letters = Array(word.utf8)
    guard letters.count - prefix > 2 else { return nil }
    let most = max(1, (letters.count - prefix) / 3)
    let near = words.lazy.map { (word: $0, distance: distance(letters, Array($0.utf8), most)) }
      .filter { $0.distance > 0 && $0.distance <= most }
    return near.min { ($0.distance, $0.word) < ($1.distance, $1.word) }?.word
  }

  /// How many letters have to be put in, taken out, replaced, or swapped with the next one; more than
  /// `most` is not counted to its end.
  private static func distance(_ a: [UInt8], _ b: [UInt8], _ most: Int) -> Int {
    if abs(a.count - b.count) > most { return most + 1 }
    var before: [Int] = []
    var last = Array(0...b.count)
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        var steps = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
          steps = min(steps, before[j - 1] + 1)
        }
        row.append(steps)
      }
      (before, last) = (last, row)
    }
    return last[b.count]
  }
}
