// Numbers of Linux that the C library tells only those who ask for all of GNU, which a module cannot.

/// Flags of renameat2(2), fallocate(2), lseek(2) and umount2(2).
enum Linux {
  static let renameNoReplace: UInt32 = 1
  static let renameExchange: UInt32 = 2
  static let fallocateKeepSize: Int32 = 1
  static let seekHole: Int32 = 4
  static let unmountDetach: Int32 = 2
}
