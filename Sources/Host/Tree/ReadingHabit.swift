import Glibc

/// How a file is read: in large pieces, by a script that has them at hand, or otherwise.
///
/// A large piece gets to its reader several times as fast past the kernel's cache. In all other cases
/// the cache is better: it asks for many small pieces at once, for the next ones while the reader is
/// busy with those it has, and only once for what is read again. So whoever opens a file is expected to
/// read it as those before did; each time that proves wrong, twice as many have to do so until it is
/// expected again.
struct ReadingHabit {
  /// What one open file shows of it.
  struct Signs {
    /// Whether it is read past the cache. Only then pieces are what the reader asked for, unless it has
    /// the file mapped; the cache makes pieces of its own, of which the first tells best how large the
    /// reader's are: never less than they, and up to four times as much.
    var isPastCache = false
    private var pieces = 0
    private var bytes = 0
    private var slow = 0
    private var reads = 0

    /// A piece is asked for; answers what `end` is to be told, or 0 if nothing.
    mutating func begin(_ size: Int) -> UInt64 {
      if isPastCache || pieces == 0 {
        pieces += 1
        bytes += size
      }
      reads += 1
      return size >= ReadingHabit.large ? monotonicNanoseconds() : 0
    }

    /// The script has answered a piece.
    mutating func end(_ beginning: UInt64) {
      if monotonicNanoseconds() - beginning > ReadingHabit.slow { slow += 1 }
    }

    /// Whether the cache would be better for a file of that size; nil where nothing was read.
    fileprivate func speakForTheCache(_ size: Int64) -> Bool? {
      guard reads > 0 else { return nil }
      let isReadAgain = Int64(bytes) / 2 > max(size, Int64(ReadingHabit.large))
      // By their number, not by all of their time: any one may have been held up by other programs.
      return bytes < pieces * ReadingHabit.large || slow * 2 >= reads || isReadAgain
    }
  }

  private var inARow: Int32 = 0
  private var convincing: Int32 = 1

  /// What a large piece is, in bytes: `cat`, `cp` and `dd` with a large block size read such.
  private static let large = 128 << 10
  /// How long, in nanoseconds, the script may take for a piece: for longer, and the eight pieces of
  /// 128 KiB take more time than the one of 1 MiB that the kernel would have read ahead.
  private static let slow: UInt64 = 50_000 * patience
  #if DEBUG
    // Without optimization, and with a sanitizer, nothing is quick.
    private static let patience: UInt64 = 50
  #else
    private static let patience: UInt64 = 1
  #endif

  /// Whether who opens the file now is expected to be better off without the cache.
  var isPastCache: Bool { inARow >= convincing }

  /// An open file of so many bytes is closed.
  mutating func closed(_ signs: Signs, size: Int64) {
    guard let cached = signs.speakForTheCache(size) else { return }
    if cached {
      inARow = 0
      if signs.isPastCache { convincing = min(convincing * 2, 1 << 30) }
    } else {
      inARow = min(inARow + 1, convincing)
    }
  }
}
