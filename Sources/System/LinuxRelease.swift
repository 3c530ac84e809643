// Which release of Linux runs, and what is known of it.

import Glibc

/// A release of Linux: 6.12.64 is (6, 12, 64). uname(2).
public struct LinuxRelease: Equatable, Sendable {
  var version: Int
  var patchLevel: Int
  var sublevel: Int

  /// Reads what stands first in a name such as "6.12.64+deb13-amd64"; what is missing is 0.
  package init(_ name: String) {
    let numbers = name.split(separator: ".", maxSplits: 2).map { part in
      Int(part.prefix { ("0"..."9").contains($0) }) ?? 0
    }
    version = numbers.first ?? 0
    patchLevel = numbers.count > 1 ? numbers[1] : 0
    sublevel = numbers.count > 2 ? numbers[2] : 0
  }

  /// The one that runs.
  public static let running: LinuxRelease = {
    var names = utsname()
    uname(&names)
    return LinuxRelease(
      withUnsafeBytes(of: names.release) { name in
        String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
      })
  }()

  /// Whether files that are opened past the cache can be mapped with MAP_SHARED too.
  public var mapsDirectIO: Bool { (version, patchLevel) >= (6, 6) }

  /// Whether this one drops what is cached of a file before and after a write that goes past the
  /// cache. Others let a process that reads meanwhile keep the old bytes, and those before 6.6 also
  /// those that had read them before. No bit of the protocol tells; a kernel of which this is not known
  /// counts as one that does not.
  public var dropsCacheOnWrites: Bool {
    switch (version, patchLevel) {
    case (6, 12): sublevel >= 64
    case (6, 18): sublevel >= 4
    case (6, let level): level >= 19
    default: version > 6
    }
  }
}
