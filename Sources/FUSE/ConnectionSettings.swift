import CFuse

/// How the kernel shall treat the filesystem; it grants what it knows of.
///
/// The defaults are libfuse's, except that a request which a filesystem has to serve itself is only
/// asked for when it is switched on, and that opening with O_TRUNC arrives as a setattr.
public struct ConnectionSettings: Sendable, Equatable {
  /// When a directory is listed with the attributes of its files.
  public enum ReaddirPlus: String, Sendable {
    /// Never; the default.
    case no
    /// When the kernel thinks that the attributes will be asked for.
    case auto
    /// Each time.
    case yes
  }

  /// Several reads of one open file may come at once (FUSE_CAP_ASYNC_READ); true by default.
  public var asyncRead = true
  /// A large direct read or write may come in pieces at once (FUSE_CAP_ASYNC_DIO); true by default.
  public var asyncDirectIO = true
  /// `Operations.getlk` and `setlk` serve the locks of fcntl(2) (FUSE_CAP_POSIX_LOCKS); else the
  /// kernel keeps them; false by default.
  public var posixLocks = false
  /// `Operations.flock` serves flock(2) (FUSE_CAP_FLOCK_LOCKS); else the kernel does; false by
  /// default.
  public var flockLocks = false
  /// O_TRUNC is left in the flags of open (FUSE_CAP_ATOMIC_O_TRUNC); else a setattr follows; false
  /// by default.
  public var atomicTruncate = false
  /// Cached data is dropped when size or mtime change (FUSE_CAP_AUTO_INVAL_DATA), at the price of a
  /// getattr before reads; true by default.
  public var autoInvalidateData = true
  /// Cached data is only dropped when the filesystem says so (FUSE_CAP_EXPLICIT_INVAL_DATA); false
  /// by default.
  public var explicitInvalidateData = false
  /// Writes are gathered in the kernel's cache (FUSE_CAP_WRITEBACK_CACHE); false by default.
  public var writebackCache = false
  /// Whether `Operations.readdirplus` is called (FUSE_CAP_READDIRPLUS); `no` by default.
  public var readdirplus = ReaddirPlus.no
  /// The kernel keeps the targets of symbolic links (FUSE_CAP_CACHE_SYMLINKS); false by default.
  public var cacheSymlinks = false
  /// The filesystem applies the umask itself (FUSE_CAP_DONT_MASK); false by default.
  public var dontMask = false
  /// ioctl(2) works on directories (FUSE_CAP_IOCTL_DIR); true by default.
  public var ioctlDirectories = true
  /// Look-ups of "." and ".." are served, for export over NFS (FUSE_CAP_EXPORT_SUPPORT); false by
  /// default.
  public var exportSupport = false
  /// The kernel reads access control lists from extended attributes (FUSE_CAP_POSIX_ACL); false by
  /// default.
  public var posixACL = false
  /// Look-ups and listings of one directory may come at once (FUSE_PARALLEL_DIROPS); true by
  /// default.
  public var parallelDirectoryOperations = true
  /// The filesystem clears set-user-ID and set-group-ID bits where `clearsSetID` says so, and at
  /// each change of owner (FUSE_HANDLE_KILLPRIV_V2); else the kernel asks for it with a setattr;
  /// false by default.
  public var handleKillPrivileges = false
  /// Files that were opened with `OpenReply.directIO` can be mapped with MAP_SHARED too
  /// (FUSE_DIRECT_IO_ALLOW_MMAP, since Linux 6.6); false by default.
  public var mapsDirectIO = false
  /// The longest write, in bytes; nil, the default, is as much as the library takes.
  public var maxWrite: UInt32?
  /// The longest read, in bytes; it must be what the option max_read of the mount says; 0, the
  /// default, is no limit.
  public var maxRead: UInt32 = 0
  /// How far the kernel may read ahead, in bytes; nil, the default, is as far as it likes.
  public var maxReadahead: UInt32?
  /// How many background requests may be under way; nil, the default, leaves it to the kernel.
  public var maxBackground: UInt32?
  /// From how many on the kernel holds back; nil, the default, is three quarters of the former.
  public var congestionThreshold: UInt32?
  /// The precision of times, in nanoseconds, a power of ten; 1 by default.
  public var timeGranularity: UInt32 = 1

  /// Makes settings that are all at their defaults.
  public init() {}

  var capabilities: UInt32 {
    let choices: [(Bool, UInt32)] = [
      (asyncRead, UInt32(FUSE_CAP_ASYNC_READ)),
      (asyncDirectIO, UInt32(FUSE_CAP_ASYNC_DIO)),
      (posixLocks, UInt32(FUSE_CAP_POSIX_LOCKS)),
      (flockLocks, UInt32(FUSE_CAP_FLOCK_LOCKS)),
      (atomicTruncate, UInt32(FUSE_CAP_ATOMIC_O_TRUNC)),
      (autoInvalidateData && !explicitInvalidateData, UInt32(FUSE_CAP_AUTO_INVAL_DATA)),
      (explicitInvalidateData, UInt32(FUSE_CAP_EXPLICIT_INVAL_DATA)),
      (writebackCache, UInt32(FUSE_CAP_WRITEBACK_CACHE)),
      (readdirplus != .no, UInt32(FUSE_CAP_READDIRPLUS)),
      (readdirplus == .auto, UInt32(FUSE_CAP_READDIRPLUS_AUTO)),
      (cacheSymlinks, UInt32(FUSE_CAP_CACHE_SYMLINKS)),
      (dontMask, UInt32(FUSE_CAP_DONT_MASK)),
      (ioctlDirectories, UInt32(FUSE_CAP_IOCTL_DIR)),
      (exportSupport, UInt32(FUSE_CAP_EXPORT_SUPPORT)),
      (posixACL, UInt32(FUSE_CAP_POSIX_ACL)),
      (parallelDirectoryOperations, UInt32(FUSE_CAP_PARALLEL_DIROPS)),
    ]
    return choices.reduce(0) { $1.0 ? $0 | $1.1 : $0 }
  }

  /// What libfuse 3.14 cannot ask for, as the kernel's bits FUSE_*.
  var added: UInt64 {
    let choices: [(Bool, UInt64)] = [
      (parallelDirectoryOperations, UInt64(FUSE_PARALLEL_DIROPS)),
      (handleKillPrivileges, UInt64(FUSE_HANDLE_KILLPRIV_V2)),
      (mapsDirectIO, FUSE_DIRECT_IO_ALLOW_MMAP),
    ]
    return choices.reduce(0) { $1.0 ? $0 | $1.1 : $0 }
  }
}

/// What the kernel offered when the filesystem was mounted, and what was agreed.
public struct Connection: Sendable {
  /// The kernel's version of the protocol: 7.
  public let major: UInt32
  /// The version's second part, such as 38.
  public let minor: UInt32
  /// What the kernel can do, as the bits FUSE_* of its own protocol.
  public let kernelFlags: UInt64
  /// What the kernel can do of what libfuse knows, as the bits FUSE_CAP_*.
  public let offered: UInt32
  /// Which of them were asked for.
  public let wanted: UInt32
  /// Whether files that were opened with `OpenReply.directIO` can be mapped with MAP_SHARED too.
  public let mapsDirectIO: Bool
  /// The longest write that comes, in bytes.
  public let maxWrite: UInt32
  /// How far the kernel reads ahead, in bytes.
  public let maxReadahead: UInt32
}
