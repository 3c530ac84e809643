import CFuse

/// What the kernel says of the open file on whose behalf it asks.
public struct OpenFile: Sendable {
  /// What the filesystem replied to open, opendir or create; 0 in those three.
  public var handle: UInt64 = 0
  /// The flags of open(2); in read, write, release, open and create only.
  public var flags: Int32 = 0
  /// The owner of the locks; in read, write, flush, release and the lock requests only.
  public var lockOwner: UInt64 = 0
  /// The write comes from the page cache: its caller and its handle are then only guesses.
  public var isDelayedWrite = false
  /// The request is a flush, or a release that stands for one.
  public var isFlush = false
  /// The release gives up the flock(2) locks of `lockOwner`.
  public var releasesFlock = false
  /// The set-user-ID and set-group-ID bits shall go with this write, open or create.
  ///
  /// Only sent with `ConnectionSettings.handleKillPrivileges`.
  public var clearsSetID = false

  /// Makes the information of a file of which nothing is known.
  public init() {}

  init(_ info: UnsafePointer<fuse_file_info>) {
    handle = info.pointee.fh
    flags = info.pointee.flags
    lockOwner = info.pointee.lock_owner
    isDelayedWrite = info.pointee.writepage != 0
    isFlush = info.pointee.flush != 0
    releasesFlock = info.pointee.flock_release != 0
  }
}

/// How a file or directory was opened: the reply to open, opendir and create.
public struct OpenReply: Sendable {
  /// The number that comes back with every request on this open file; 0 by default.
  public var handle: UInt64 = 0
  /// Every read and write reaches the filesystem, past the kernel's cache; false by default.
  public var directIO = false
  /// What the kernel has cached of the file stays valid; false by default.
  public var keepCache = false
  /// lseek(2) fails on this file; false by default.
  public var nonseekable = false
  /// The kernel may keep the directory's listing; opendir only; false by default.
  public var cacheReaddir = false
  /// close(2) need not send a flush; false by default.
  public var noFlush = false
  /// Direct writes to the file may come at the same time; only with `directIO`; false by default.
  public var parallelDirectWrites = false

  /// Makes the reply with a handle and nothing out of the ordinary.
  public init(handle: UInt64 = 0) { self.handle = handle }

  /// The same in the kernel's protocol.
  var message: fuse_open_out {
    var value = fuse_open_out()
    value.fh = handle
    func set(_ flag: Int32, _ isSet: Bool) { if isSet { value.open_flags |= UInt32(flag) } }
    set(FOPEN_DIRECT_IO, directIO)
    set(FOPEN_KEEP_CACHE, keepCache)
    set(FOPEN_NONSEEKABLE, nonseekable)
    set(FOPEN_CACHE_DIR, cacheReaddir)
    set(FOPEN_NOFLUSH, noFlush)
    set(FOPEN_PARALLEL_DIRECT_WRITES, parallelDirectWrites)
    return value
  }
}
