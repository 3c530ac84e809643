import CFuse
import Glibc
public import System

/// The names of a directory as the kernel wants them: the reply to readdir and readdirplus.
///
/// It is made once and used for many replies. One reply holds either plain names or names with
/// their entries, not both.
public struct DirectoryBuffer: ~Copyable {
  /// How many bytes the reply may have.
  public private(set) var limit: Int
  private let memory: UnsafeMutableRawPointer
  private let capacity: Int
  private var used = 0

  /// Makes an empty buffer for replies of up to so many bytes.
  public init(capacity: Int) {
    memory = .allocate(byteCount: capacity, alignment: MemoryLayout<UInt64>.alignment)
    self.capacity = capacity
    limit = capacity
  }

  deinit { memory.deallocate() }

  /// Whether nothing has been added.
  public var isEmpty: Bool { used == 0 }

  /// Empties the buffer for the next reply, of up to `limit` bytes or its capacity.
  public mutating func removeAll(limit: Int) {
    used = 0
    self.limit = max(0, min(limit, capacity))
  }

  /// Whether a directory can hold the name, and `add` takes it: 1 to 255 bytes without NUL or slash.
  public static func accepts(_ name: UnsafeRawBufferPointer) -> Bool { FileName.isValid(name) }

  /// Adds a name; false where it does not fit any more.
  ///
  /// `mode` holds the type (S_IFMT), `next` is the offset from which a listing would go on after it.
  /// Throws ENAMETOOLONG for more than 255 bytes, and EINVAL for none, or a NUL or slash among them.
  /// See struct fuse_dirent of linux/fuse.h.
  public mutating func add(
    _ name: UnsafeRawBufferPointer, ino: UInt64, mode: UInt32, next: Int64
  ) throws(Errno) -> Bool {
    try append(name, ino, mode, next, behind: ())
  }

  /// Adds a name without an entry to names that have theirs: it is no look-up. Throws as `add` does.
  public mutating func addPlus(
    _ name: UnsafeRawBufferPointer, ino: UInt64, mode: UInt32, next: Int64
  ) throws(Errno) -> Bool {
    // Of an entry of node 0 the kernel takes nothing: type and number come from the fuse_dirent.
    try append(name, ino, mode, next, behind: fuse_entry_out())
  }

  /// Adds a name with its entry, which counts as a look-up unless its node is 0; false where it does
  /// not fit any more.
  ///
  /// Throws as `add` does. See struct fuse_direntplus of linux/fuse.h.
  public mutating func addPlus(
    _ name: UnsafeRawBufferPointer, _ entry: Entry, next: Int64
  ) throws(Errno) -> Bool {
    let (ino, mode) = (entry.attributes.ino, entry.attributes.mode)
    return try append(name, ino, mode, next, behind: entry.message)
  }

  /// Replies to readdir or readdirplus with what was added, at once, and tells whether the kernel took it:
  /// otherwise none of the entries counts as a look-up.
  @discardableResult
  public borrowing func reply(to request: consuming Request) -> Bool {
    request.reply {
      fuse_reply_buf($0, UnsafeRawBufferPointer(start: memory, count: used).characters, used)
    }
  }

  /// Lends the bytes that were added.
  public borrowing func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    body(UnsafeRawBufferPointer(start: memory, count: used))
  }

  /// Writes a name behind its entry, or behind nothing.
  ///
  /// It is what fuse_add_direntry(3) and fuse_add_direntry_plus(3) write, without their copies of the
  /// name and of a whole struct stat: listings consist of this.
  @inline(__always)
  private mutating func append<Before>(
    _ name: UnsafeRawBufferPointer, _ ino: UInt64, _ mode: UInt32, _ next: Int64,
    behind entry: Before
  ) throws(Errno) -> Bool {
    try FileName.check(name)
    var header = fuse_dirent()
    header.ino = ino
    header.off = UInt64(bitPattern: next)
    header.namelen = UInt32(name.count)
    header.type = mode >> 12 & 0o17  // IFTODT of dirent.h
    let headerStart = MemoryLayout<Before>.size
    let nameStart = headerStart + MemoryLayout<fuse_dirent>.size
    let size = (nameStart + name.count + 7) & ~7
    guard used + size <= limit else { return false }
    let place = memory + used
    place.storeBytes(of: entry, as: Before.self)
    place.storeBytes(of: 0, toByteOffset: size - 8, as: UInt64.self)
    place.storeBytes(of: header, toByteOffset: headerStart, as: fuse_dirent.self)
    let rest = UnsafeMutableRawBufferPointer(start: place + nameStart, count: name.count)
    rest.copyMemory(from: name)
    used += size
    return true
  }
}
