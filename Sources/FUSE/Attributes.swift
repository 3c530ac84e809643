import CFuse
import Glibc

/// The number by which the kernel and the filesystem speak of one file.
public typealias NodeID = UInt64

/// The node that the mount point shows.
public let rootID: NodeID = NodeID(FUSE_ROOT_ID)

/// A moment, in seconds and nanoseconds since 1970 in UTC.
public struct Timestamp: Hashable, Sendable {
  /// Whole seconds; negative before 1970.
  public var seconds: Int64
  /// The rest, 0 up to 999,999,999.
  public var nanoseconds: Int32

  /// Makes a moment; 1970 by default.
  public init(seconds: Int64 = 0, nanoseconds: Int32 = 0) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// The system's clock at this moment. See clock_gettime(2), CLOCK_REALTIME.
  public static var now: Timestamp { Timestamp(CLOCK_REALTIME) }

  /// The system's clock at its last tick, some milliseconds ago at the most: what the kernel itself
  /// stamps files with, and cheaper. See clock_gettime(2), CLOCK_REALTIME_COARSE.
  public static var lastTick: Timestamp { Timestamp(CLOCK_REALTIME_COARSE) }

  private init(_ clock: clockid_t) {
    var time = timespec()
    clock_gettime(clock, &time)
    self.init(time)
  }

  init(_ time: timespec) {
    seconds = Int64(time.tv_sec)
    nanoseconds = Int32(truncatingIfNeeded: time.tv_nsec)
  }
}

/// What stat(2) tells of a file; the fields bear the names that they have there, without `st_`.
public struct Attributes: Hashable, Sendable {
  /// The inode number that programs see.
  public var ino: UInt64 = 0
  /// The type (S_IFMT) and the permission bits.
  public var mode: UInt32 = 0
  /// How many names the file has; 1 by default.
  public var nlink: UInt32 = 1
  /// The user who owns the file.
  public var uid: UInt32 = 0
  /// The group that owns the file.
  public var gid: UInt32 = 0
  /// The device that a device node stands for.
  public var rdev: UInt64 = 0
  /// The length of the content, in bytes.
  public var size: Int64 = 0
  /// The space that is taken, in units of 512 bytes.
  public var blocks: Int64 = 0
  /// The size in bytes in which reading and writing is best done; 4096 by default.
  public var blksize: Int32 = 4096
  /// When the content was last read.
  public var atime = Timestamp()
  /// When the content last changed.
  public var mtime = Timestamp()
  /// When the content or the attributes last changed.
  public var ctime = Timestamp()

  /// Makes attributes that are all at their defaults.
  public init() {}

  /// The same in the kernel's protocol, with the widths that fields have there.
  var message: fuse_attr {
    var value = fuse_attr()
    value.ino = ino
    value.size = UInt64(bitPattern: size)
    value.blocks = UInt64(bitPattern: blocks)
    value.atime = UInt64(bitPattern: atime.seconds)
    value.mtime = UInt64(bitPattern: mtime.seconds)
    value.ctime = UInt64(bitPattern: ctime.seconds)
    value.atimensec = UInt32(bitPattern: atime.nanoseconds)
    value.mtimensec = UInt32(bitPattern: mtime.nanoseconds)
    value.ctimensec = UInt32(bitPattern: ctime.nanoseconds)
    value.mode = mode
    value.nlink = nlink
    value.uid = uid
    value.gid = gid
    value.rdev = UInt32(truncatingIfNeeded: rdev)
    value.blksize = UInt32(bitPattern: blksize)
    return value
  }
}

/// A name that was found or made: which node it leads to, and how long the kernel may believe that.
public struct Entry: Sendable {
  /// The node; 0 says that the name does not exist, for as long as `entryTimeout` lasts.
  public var node: NodeID
  /// Tells two files apart that bear one node number after each other; 0 by default.
  public var generation: UInt64
  /// The file's attributes.
  public var attributes: Attributes
  /// How long the attributes hold, in seconds; 0 by default.
  public var attributeTimeout: Double
  /// How long the name leads to this node, in seconds; 0 by default.
  public var entryTimeout: Double

  /// Makes an entry that the kernel asks about again each time, unless timeouts are given.
  public init(
    node: NodeID, generation: UInt64 = 0, attributes: Attributes, attributeTimeout: Double = 0,
    entryTimeout: Double = 0
  ) {
    self.node = node
    self.generation = generation
    self.attributes = attributes
    self.attributeTimeout = attributeTimeout
    self.entryTimeout = entryTimeout
  }

  /// The same in the kernel's protocol.
  var message: fuse_entry_out {
    var value = fuse_entry_out()
    value.nodeid = node
    value.generation = generation
    (value.entry_valid, value.entry_valid_nsec) = Entry.split(entryTimeout)
    (value.attr_valid, value.attr_valid_nsec) = Entry.split(attributeTimeout)
    value.attr = attributes.message
    return value
  }

  /// A time in whole seconds and nanoseconds: 0 where it is negative, and at most what fits.
  static func split(_ time: Double) -> (seconds: UInt64, nanoseconds: UInt32) {
    guard time > 0 else { return (0, 0) }
    guard time < 0x1p62 else { return (.max, 999_999_999) }
    let seconds = Int(time)
    return (UInt64(seconds), UInt32((time - Double(seconds)) * 1e9))
  }
}
