import Glibc

/// A lock on a range of a file, as fcntl(2) describes it.
public struct FileLock: Hashable, Sendable {
  /// What the lock keeps others from.
  public enum Kind: Sendable {
    /// Others may read (F_RDLCK).
    case read
    /// Others may do neither (F_WRLCK).
    case write
    /// There is no lock, or it is given up (F_UNLCK).
    case none
  }

  /// What the lock keeps others from.
  public var kind: Kind
  /// Where the range begins, in bytes from the beginning of the file.
  public var start: Int64
  /// How many bytes it has; 0 stands for everything up to the end, however far that moves.
  public var length: Int64
  /// The process that holds it; 0 where that is not known.
  public var pid: Int32

  /// Makes a lock; on the whole file, without a process, unless more is said.
  public init(_ kind: Kind, start: Int64 = 0, length: Int64 = 0, pid: Int32 = 0) {
    self.kind = kind
    self.start = start
    self.length = length
    self.pid = pid
  }

  init(_ value: flock) {
    switch Int32(value.l_type) {
    case F_RDLCK: kind = .read
    case F_WRLCK: kind = .write
    default: kind = .none
    }
    start = Int64(value.l_start)
    length = Int64(value.l_len)
    pid = value.l_pid
  }

  var cValue: flock {
    var value = flock()
    switch kind {
    case .read: value.l_type = Int16(F_RDLCK)
    case .write: value.l_type = Int16(F_WRLCK)
    case .none: value.l_type = Int16(F_UNLCK)
    }
    value.l_whence = Int16(SEEK_SET)
    value.l_start = numericCast(start)
    value.l_len = numericCast(length)
    value.l_pid = pid
    return value
  }
}
