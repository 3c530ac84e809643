import CFuse
import Glibc

/// What one setattr request changes; a field that is nil stays as it is.
///
/// It stands for chmod(2), chown(2), truncate(2) and utimensat(2), which the kernel may join.
public struct AttributeChanges: Sendable {
  /// A new time for one of a file's clocks.
  public enum Time: Hashable, Sendable {
    /// The moment at which the filesystem carries out the change (UTIME_NOW).
    case now
    /// That very moment.
    case to(Timestamp)
  }

  /// The new type and permission bits.
  public var mode: UInt32?
  /// The new owner.
  public var uid: UInt32?
  /// The new group.
  public var gid: UInt32?
  /// The new length, in bytes.
  public var size: Int64?
  /// The new time of the last reading.
  public var accessTime: Time?
  /// The new time of the last change of the content.
  public var modificationTime: Time?
  /// The new time of the last change; only sent with writeback caching.
  public var changeTime: Timestamp?
  /// Whether the set-user-ID and set-group-ID bits shall go; only sent with `handleKillPrivileges`.
  public var clearsSetID: Bool

  /// Makes changes of which none is asked for.
  public init() { clearsSetID = false }

  /// Whether none of the attributes is to change.
  public var isEmpty: Bool {
    mode == nil && uid == nil && gid == nil && size == nil && accessTime == nil
      && modificationTime == nil && changeTime == nil
  }

  init(_ value: stat, mask: Int32) {
    func has(_ bit: Int32) -> Bool { mask & bit != 0 }
    mode = has(FUSE_SET_ATTR_MODE) ? value.st_mode : nil
    uid = has(FUSE_SET_ATTR_UID) ? value.st_uid : nil
    gid = has(FUSE_SET_ATTR_GID) ? value.st_gid : nil
    size = has(FUSE_SET_ATTR_SIZE) ? Int64(value.st_size) : nil
    accessTime =
      has(FUSE_SET_ATTR_ATIME_NOW)
      ? .now : has(FUSE_SET_ATTR_ATIME) ? .to(Timestamp(value.st_atim)) : nil
    modificationTime =
      has(FUSE_SET_ATTR_MTIME_NOW)
      ? .now : has(FUSE_SET_ATTR_MTIME) ? .to(Timestamp(value.st_mtim)) : nil
    changeTime = has(FUSE_SET_ATTR_CTIME) ? Timestamp(value.st_ctim) : nil
    clearsSetID = has(FUSE_SET_ATTR_KILL_SUID)
  }
}
