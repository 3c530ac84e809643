// Linux itself: numbers that the C library declares only with all of GNU's extensions, which a module
// cannot ask for, and the flags of open files.

import Glibc

/// Flags of renameat2(2), fallocate(2), lseek(2), umount2(2) and open(2).
public enum Linux {
  public static let renameNoReplace: UInt32 = 1
  public static let renameExchange: UInt32 = 2
  public static let fallocateKeepSize: Int32 = 1
  public static let seekHole: Int32 = 4
  public static let unmountDetach: Int32 = 2
  /// A command of fcntl(2): how much a pipe holds.
  package static let setPipeSize: Int32 = 1031
  /// A flag of open(2), another number on each kind of processor.
  public static let direct = __O_DIRECT

  /// Sets or clears a status flag of an open file, such as O_NONBLOCK. See F_SETFL of fcntl(2), which a
  /// signal handler may call.
  public static func set(_ flag: Int32, _ isSet: Bool, of descriptor: Int32) {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0 else { return }
    let wanted = isSet ? flags | flag : flags & ~flag
    if wanted != flags { _ = fcntl(descriptor, F_SETFL, wanted) }
  }
}
