import Glibc
import System

/// How a file is read: in large pieces, by a script that has them at hand, or otherwise.
///
/// A large piece gets to its reader several times as fast past the kernel's cache. In all other cases
/// the cache is better: it asks for many small pieces at once, for the next ones while the reader is
/// busy with those it has, and only once for what is read again. So a caller that opens a file is expected to
/// read it as those before did; each time that proves wrong, twice as many have to do so until it is
/// expected again.
///
/// A caller that opens with O_DIRECT wants no cache. The kernel's own way to do that is made for disks: it
/// cuts a large read into pieces that it asks for at once, which is good for scripts that take their time.
struct ReadingHabit {
  /// What one open file shows of it.
  struct Signs {
    /// Whether it is read past the cache. Only then pieces are what the reader asked for, unless it has
    /// the file mapped; the cache makes pieces of its own, of which the first tells best how large the
    /// reader's are: never less than they, and up to four times as much.
    var isPastCache = false
    /// Whether it was opened with O_DIRECT.
    var isDirect = false
    private var pieces = 0
    private var bytes = 0
    private var slow = 0
    private var reads = 0

    /// A piece is asked for; returns what `end` is to be told, or 0 if nothing.
    mutating func begin(_ size: Int) -> UInt64 {
      if isPastCache || pieces == 0 {
        pieces += 1
        bytes += size
      }
      reads += 1
      return isDirect || size >= ReadingHabit.large ? monotonicNanoseconds() : 0
    }

    /// The script has returned a piece.
    mutating func end(_ beginning: UInt64) {
      if monotonicNanoseconds() - beginning > ReadingHabit.slow { slow += 1 }
    }

    fileprivate var isRead: Bool { reads > 0 }
    /// By their number, not by all of their time: any one may have been held up by other programs.
    fileprivate var isQuick: Bool { slow * 2 < reads }
    /// Whether the cache would be better for a file of that size.
    fileprivate func speakForTheCache(_ size: Int64) -> Bool {
      let isReadAgain = Int64(bytes) / 2 > max(size, Int64(ReadingHabit.large))
      return bytes < pieces * ReadingHabit.large || isReadAgain || !isQuick
    }
  }

  private var inARow: Int32 = 0
  private var convincing: Int32 = 1
  private var isQuick = false

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

  /// Whether a caller that opens the file now, with O_DIRECT or without, is expected to be better off past
  /// the cache.
  func isPastCache(direct: Bool) -> Bool { direct ? isQuick : inARow >= convincing }

  /// An open file of so many bytes is closed.
  mutating func closed(_ signs: Signs, size: Int64) {
    guard signs.isRead else { return }
    if signs.isDirect {
      isQuick = signs.isQuick
    } else if signs.speakForTheCache(size) {
      inARow = 0
      if signs.isPastCache { convincing = min(convincing * 2, 1 << 30) }
    } else {
      inARow = min(inARow + 1, convincing)
    }
  }
}
