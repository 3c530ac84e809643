// Linux itself: numbers that the C library tells only those who ask for all of GNU, which a module
// cannot; the flags of open files; and which release this is.

import Glibc

/// Flags of renameat2(2), fallocate(2), lseek(2) and umount2(2).
enum Linux {
  static let renameNoReplace: UInt32 = 1
  static let renameExchange: UInt32 = 2
  static let fallocateKeepSize: Int32 = 1
  static let seekHole: Int32 = 4
  static let unmountDetach: Int32 = 2
  /// A flag of open(2), another number on each kind of processor.
  static let direct = __O_DIRECT

  /// Sets or clears a status flag of an open file, such as O_NONBLOCK. See F_SETFL of fcntl(2), which a
  /// signal handler may call.
  static func set(_ flag: Int32, _ isSet: Bool, of descriptor: Int32) {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0 else { return }
    let wanted = isSet ? flags | flag : flags & ~flag
    if wanted != flags { _ = fcntl(descriptor, F_SETFL, wanted) }
  }
}

/// A release of Linux: 6.12.64 is (6, 12, 64). uname(2).
struct LinuxRelease: Equatable {
  var version: Int
  var patchLevel: Int
  var sublevel: Int

  /// Reads what stands first in a name such as "6.12.64+deb13-amd64"; what is missing is 0.
  init(_ name: String) {
    let numbers = name.split(separator: ".", maxSplits: 2).map { part in
      Int(part.prefix { ("0"..."9").contains($0) }) ?? 0
    }
    version = numbers.first ?? 0
    patchLevel = numbers.count > 1 ? numbers[1] : 0
    sublevel = numbers.count > 2 ? numbers[2] : 0
  }

  /// The one that runs.
  static let running: LinuxRelease = {
    var names = utsname()
    uname(&names)
    return LinuxRelease(
      withUnsafeBytes(of: names.release) { name in
        String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
      })
  }()

  /// Whether files that are opened past the cache can be mapped with MAP_SHARED too.
  var mapsDirectIO: Bool { (version, patchLevel) >= (6, 6) }

  /// Whether this one drops what is cached of a file before and after a write that goes past the
  /// cache. Others let somebody who reads meanwhile keep the old bytes, and those before 6.6 also
  /// whoever had read them before. No bit of the protocol tells; a kernel of which this is not known
  /// counts as one that does not.
  var dropsCacheOnWrites: Bool {
    switch (version, patchLevel) {
    case (6, 12): sublevel >= 64
    case (6, 18): sublevel >= 4
    case (6, let level): level >= 19
    default: version > 6
    }
  }
}
