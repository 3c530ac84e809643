// One file of records. What is in it is only ever appended to, and told to be there when it is on disk.
//
// Invariants: `end` is where the last whole record ends that this process has seen; nothing is read as a
// length, and nothing appended, that was not checked. All but opening needs the lock `appending`.

import CLinux
import Glibc
import System

/// An append-only file of records, that several processes may have open.
final class RecordFile {
  let descriptor: Int32
  /// For messages.
  private(set) var path: String
  private(set) var salt: UInt32 = 0
  private(set) var end: Int64 = 0
  /// Up to where there is room on the disk, as far as this process has seen to it.
  private var reserved: Int64 = 0

  static let magic = Array("fusuma-box1\n".utf8)
  static let headerSize = 16

  private init(_ descriptor: Int32, _ path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit { close(descriptor) }

  // MARK: Opening

  /// Opens a file of one's own; nil where there is none and none is to be made.
  ///
  /// Refuses symbolic links, what is no regular file, and what belongs to others; takes away others'
  /// permissions. openat(2)
  static func open(
    _ name: String, in directory: Directory, creates: Bool
  ) throws(LogFailure) -> RecordFile? {
    let path = directory.path(of: name)
    let flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK
    while true {
      var descriptor = uninterrupted { openat(directory.descriptor, name, flags) }
      if descriptor < 0, errno == ENOENT {
        guard creates else { return nil }
        descriptor = uninterrupted {
          openat(directory.descriptor, name, flags | O_CREAT | O_EXCL, 0o600)
        }
        // Another process was faster.
        if descriptor < 0, errno == EEXIST { continue }
        if descriptor >= 0 { try directory.synchronize() }
      }
      guard descriptor >= 0 else {
        let isLink = errno == ELOOP
        throw LogFailure(isLink ? "\(path) is a symbolic link, and not written through" : path)
      }
      let file = RecordFile(descriptor, path)
      try file.checkOwner()
      return file
    }
  }

  /// Makes a file that no other process has opened yet, in the place of what was left of an earlier attempt.
  static func create(_ name: String, in directory: Directory) throws(LogFailure) -> RecordFile {
    unlinkat(directory.descriptor, name, 0)
    let flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_CREAT | O_EXCL
    let descriptor = uninterrupted { openat(directory.descriptor, name, flags, 0o600) }
    guard descriptor >= 0 else { throw LogFailure(directory.path(of: name)) }
    return RecordFile(descriptor, directory.path(of: name))
  }

  /// The same file, which has another name now.
  func named(_ path: String) -> RecordFile {
    self.path = path
    return self
  }

  private func checkOwner() throws(LogFailure) {
    let status = try status()
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw LogFailure("\(path) is no regular file", EINVAL)
    }
    guard status.st_uid == geteuid() else {
      throw LogFailure("\(path) belongs to another user", EPERM)
    }
    if status.st_mode & 0o7777 != 0o600, fchmod(descriptor, 0o600) != 0 { throw LogFailure(path) }
  }

  private func status() throws(LogFailure) -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw LogFailure(path) }
    return status
  }

  /// Which file this is.
  func identity() throws(LogFailure) -> Directory.Identity { Directory.Identity(try status()) }

  /// Reads how the file begins, or lets one that is empty begin.
  func prepare() throws(LogFailure) {
    guard end == 0 else { return }
    let header = try read(at: 0, count: RecordFile.headerSize)
    let magic = RecordFile.magic
    if header.count == RecordFile.headerSize, header.starts(with: magic) {
      salt = header[magic.count...].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    } else {
      // Shorter, or zeros, is what a crash leaves of the beginning: no record had followed by then.
      let size = try status().st_size
      guard size <= RecordFile.headerSize,
        header.allSatisfy({ $0 == 0 }) || header.starts(with: magic.prefix(header.count))
      else { throw LogFailure("\(path) is not the file of an outbox, and left as it is", EINVAL) }
      salt = UInt32.random(in: 1 ... .max)
      var writer = ByteWriter(bytes: magic)
      writer.put(salt)
      try cut(to: 0)
      try write(writer.bytes, at: 0)
      try synchronize()
    }
    end = Int64(RecordFile.headerSize)
  }

  // MARK: Locks

  /// What is locked. They are locks of the open file (F_OFD_SETLK of fcntl(2)) on bytes that it does not
  /// have: they end with the process, however that ends.
  enum Lock: Int64 {
    /// Held while something is written, until it is on disk.
    case appending = 0x4000_0000_0000_0000
    /// Held by the process that delivers.
    case delivering
  }

  /// Takes a lock; false where another process has it and that is not waited for.
  func lock(_ lock: Lock, waits: Bool) throws(LogFailure) -> Bool {
    if setLock(lock, F_WRLCK, waits) { return true }
    if !waits, errno == EAGAIN || errno == EACCES { return false }
    throw LogFailure("\(path) cannot be locked")
  }

  func unlock(_ lock: Lock) {
    // It fails where there is no lock, and then there is nothing to do.
    _ = setLock(lock, F_UNLCK, false)
  }

  private func setLock(_ lock: Lock, _ type: Int32, _ waits: Bool) -> Bool {
    var range = flock()
    range.l_type = Int16(type)
    range.l_whence = Int16(SEEK_SET)
    range.l_start = Int(lock.rawValue)
    range.l_len = 1
    // F_OFD_SETLK and F_OFD_SETLKW.
    return uninterrupted { fcntl(descriptor, waits ? 38 : 37, &range) } == 0
  }

  // MARK: Reading

  /// Hands out the records that have come since the last time; returns which bytes between them are
  /// damaged. What comes after the last one was never told to be there, and is cut off.
  func catchUp(
    _ body: (Record, _ offset: Int64) -> Void
  ) throws(LogFailure) -> [Range<Int64>] {
    try prepare()
    let size = Int64(try status().st_size)
    var damaged: [Range<Int64>] = []
    while end < size {
      if let record = try record(at: end, below: size) {
        body(record, end)
        end += record.size
      } else if let next = try nextRecord(after: end, below: size) {
        damaged.append(end..<next)
        end = next
      } else {
        try cut(to: end)
        break
      }
    }
    return damaged
  }

  /// The record at an offset; nil where there is no whole one.
  func record(at offset: Int64, below size: Int64 = .max) throws(LogFailure) -> Record? {
    guard size - offset >= Record.headerSize else { return nil }
    let bytes = try read(at: offset, count: Record.headerSize)
    guard let header = bytes.withUnsafeBytes({ Record.Header($0, salt: salt) }),
      size - offset >= header.total
    else { return nil }
    let payload = try read(at: offset + Int64(Record.headerSize), count: header.length)
    let checksum = payload.withUnsafeBytes { Checksum.of($0, from: salt) }
    guard payload.count == header.length, checksum == header.checksum else { return nil }
    return Record(kind: header.kind, id: header.id, payload: payload)
  }

  /// Where the first whole record begins behind damaged bytes; nil where there is none.
  private func nextRecord(after start: Int64, below size: Int64) throws(LogFailure) -> Int64? {
    let marker = withUnsafeBytes(of: Record.marker.littleEndian) { Array($0) }
    var offset = start + 1
    while size - offset >= Record.headerSize {
      // Pieces overlap, so that a marker between two of them is seen.
      let piece = try read(at: offset, count: 1 << 16)
      for index in piece.indices.dropLast(marker.count - 1)
      where piece[index] == marker[0] && piece[index...].starts(with: marker) {
        let found = offset + Int64(index)
        if try record(at: found, below: size) != nil { return found }
      }
      guard piece.count > marker.count else { return nil }
      offset += Int64(piece.count - marker.count + 1)
    }
    return nil
  }

  /// Some bytes; fewer at the end of the file.
  func read(at offset: Int64, count: Int) throws(LogFailure) -> [UInt8] {
    var failed = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      while filled < count {
        let (start, from) = (filled, off_t(offset) + off_t(filled))
        let got = uninterrupted {
          pread(descriptor, buffer.baseAddress?.advanced(by: start), count - start, from)
        }
        failed = got < 0
        if got <= 0 { break }
        filled += got
      }
    }
    if failed { throw LogFailure(path) }
    return bytes
  }

  // MARK: Writing

  /// Appends records and puts them on disk, with room behind them for so many bytes more; returns where
  /// each begins. Where that fails the file is as it was before.
  func append(_ records: [Record], room: Int64 = 0) throws(LogFailure) -> [Int64] {
    var bytes: [UInt8] = []
    let offsets = records.map { record in
      defer { record.encode(salt: salt, into: &bytes) }
      return end + Int64(bytes.count)
    }
    do {
      try reserve(Int64(bytes.count) + room)
      try write(bytes, at: end)
      try synchronize()
    } catch {
      try cut(to: end)
      throw error
    }
    end += Int64(bytes.count)
    return offsets
  }

  /// Makes sure of room on the disk, so that what has been accepted can also be marked as delivered on
  /// a disk that has filled up since. fallocate(2)
  private func reserve(_ count: Int64) throws(LogFailure) {
    guard end + count > reserved else { return }
    for room in [count + 1 << 16, count] {
      if uninterrupted({ clinux_fallocate(descriptor, Linux.fallocateKeepSize, end, room) }) == 0 {
        reserved = end + room
        return
      }
      // Filesystems that cannot do this say so in several ways.
      if errno != ENOSPC && errno != EDQUOT && errno != EFBIG { return }
    }
    throw LogFailure(path)
  }

  private func write(_ bytes: [UInt8], at offset: Int64) throws(LogFailure) {
    var written = 0
    while written < bytes.count {
      let count = bytes[written...].withUnsafeBytes { rest in
        uninterrupted {
          pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(written))
        }
      }
      guard count > 0 else { throw LogFailure(path, count == 0 ? ENOSPC : errno) }
      written += count
    }
  }

  func synchronize() throws(LogFailure) {
    guard uninterrupted({ fdatasync(descriptor) }) == 0 else { throw LogFailure(path) }
  }

  private func cut(to size: Int64) throws(LogFailure) {
    reserved = 0
    guard uninterrupted({ ftruncate(descriptor, off_t(size)) }) == 0 else { throw LogFailure(path) }
  }
}
