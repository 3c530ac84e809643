import CFuse
import Glibc

/// The names of a directory as the kernel wants them: the answer to readdir and readdirplus.
///
/// It is made once and used for many answers. One answer holds either plain names or names with
/// their entries, not both.
public struct DirectoryBuffer: ~Copyable {
  /// How many bytes the answer may have.
  public private(set) var limit: Int
  private let memory: UnsafeMutableRawBufferPointer
  private var used = 0

  /// The longest name that Linux knows, in bytes.
  public static var maximumNameLength: Int { FileName.maximumLength }

  /// Makes an empty buffer for answers of up to so many bytes.
  public init(capacity: Int) {
    memory = .allocate(byteCount: capacity, alignment: MemoryLayout<UInt64>.alignment)
    limit = capacity
  }

  deinit { memory.deallocate() }

  /// Whether nothing has been added.
  public var isEmpty: Bool { used == 0 }

  /// Empties the buffer for the next answer, of up to `limit` bytes or its capacity.
  public mutating func removeAll(limit: Int) {
    used = 0
    self.limit = max(0, min(limit, memory.count))
  }

  /// Adds a name; false where it does not fit any more.
  ///
  /// `mode` holds the type (S_IFMT), `next` is the offset from which a listing would go on after it.
  /// Throws ENAMETOOLONG for more than 255 bytes, and EINVAL for none, or a NUL or slash among them.
  /// See struct fuse_dirent of linux/fuse.h.
  public mutating func add(
    _ name: UnsafeRawBufferPointer, ino: UInt64, mode: UInt32, next: Int64
  ) throws(Errno) -> Bool {
    try FileName.check(name)
    // What fuse_add_direntry(3) writes, without its copies of the name and of a whole struct stat.
    var header = fuse_dirent()
    header.ino = ino
    header.off = UInt64(bitPattern: next)
    header.namelen = UInt32(name.count)
    header.type = (mode & S_IFMT) >> 12
    let headerSize = MemoryLayout<fuse_dirent>.size
    let size = (headerSize + name.count + 7) & ~7
    guard used + size <= limit else { return false }
    let place = UnsafeMutableRawBufferPointer(rebasing: memory[used..<used + size])
    place.storeBytes(of: 0, toByteOffset: size - 8, as: UInt64.self)
    place.storeBytes(of: header, as: fuse_dirent.self)
    UnsafeMutableRawBufferPointer(rebasing: place[headerSize...]).copyMemory(from: name)
    used += size
    return true
  }

  /// Adds a name with its entry, which counts as a look-up; false where it does not fit any more.
  ///
  /// An entry of node 0 hands over no attributes but type and inode number. Throws as `add` does.
  /// See fuse_add_direntry_plus(3).
  public mutating func addPlus(
    _ name: UnsafeRawBufferPointer, _ entry: Entry, next: Int64
  ) throws(Errno) -> Bool {
    var value = entry.cValue
    return try append(name) { memory, room, name in
      fuse_add_direntry_plus(nil, memory, room, name, &value, numericCast(next))
    }
  }

  /// Answers readdir or readdirplus with what was added.
  @discardableResult
  public borrowing func answer(_ request: consuming Request) -> Bool {
    request.bytes(UnsafeRawBufferPointer(rebasing: memory[..<used]))
  }

  /// Lends the bytes that were added.
  public borrowing func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    body(UnsafeRawBufferPointer(rebasing: memory[..<used]))
  }

  @inline(__always)
  private mutating func append(
    _ name: UnsafeRawBufferPointer,
    _ body: (UnsafeMutablePointer<CChar>?, Int, UnsafePointer<CChar>) -> Int
  ) throws(Errno) -> Bool {
    let room = limit - used
    let start = memory.baseAddress.map { ($0 + used).assumingMemoryBound(to: CChar.self) }
    // Where the room is too small the library writes nothing, and tells how much it would take.
    let count = try FileName.withTerminated(name) { body(start, room, $0) }
    guard count <= room else { return false }
    used += count
    return true
  }
}
