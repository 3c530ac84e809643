import Glibc

/// What statvfs(3) tells of a filesystem.
public struct FilesystemStatistics: Hashable, Sendable {
  /// The size in bytes in which reading and writing is best done; 4096 by default.
  public var blockSize: UInt = 4096
  /// The unit in bytes in which blocks are counted; 4096 by default.
  public var fragmentSize: UInt = 4096
  /// How many units there are.
  public var blocks: UInt64 = 0
  /// How many of them are free.
  public var freeBlocks: UInt64 = 0
  /// How many are free for others than root.
  public var availableBlocks: UInt64 = 0
  /// How many files there can be.
  public var files: UInt64 = 0
  /// How many files can still be made.
  public var freeFiles: UInt64 = 0
  /// The longest name, in bytes; 255 by default.
  public var maximumNameLength: UInt = 255

  /// Makes the statistics of a filesystem that counts nothing.
  public init() {}

  var cValue: statvfs {
    var value = statvfs()
    value.f_bsize = blockSize
    value.f_frsize = fragmentSize
    value.f_blocks = numericCast(blocks)
    value.f_bfree = numericCast(freeBlocks)
    value.f_bavail = numericCast(availableBlocks)
    value.f_files = numericCast(files)
    value.f_ffree = numericCast(freeFiles)
    value.f_namemax = maximumNameLength
    return value
  }
}
