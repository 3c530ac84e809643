import CFuse
import Glibc
import System
import Testing

@testable import FUSE

@Suite struct DirectoryBufferTests {
  // The macros take no value that cannot be copied, so some are looked at before.
  private func add(_ buffer: inout DirectoryBuffer, _ name: [UInt8], next: Int64) throws -> Bool {
    try name.withUnsafeBytes { try buffer.add($0, ino: 5, mode: S_IFDIR, next: next) }
  }

  @Test func aNameIsWrittenAsTheKernelReadsIt() throws {
    var buffer = DirectoryBuffer(capacity: 4096)
    let empty = buffer.isEmpty
    #expect(empty)
    #expect(try add(&buffer, [0xFF, 0x0A, 0x62], next: 17))
    let bytes = buffer.withBytes { Array($0) }
    #expect(bytes.count == 32)
    let entry = bytes.withUnsafeBytes { $0.loadUnaligned(as: fuse_dirent.self) }
    #expect(entry.ino == 5 && entry.off == 17 && entry.namelen == 3)
    #expect(entry.type == UInt32(DT_DIR))
    #expect(Array(bytes[24...]) == [0xFF, 0x0A, 0x62, 0, 0, 0, 0, 0])
  }

  @Test func whatDoesNotFitIsLeftOut() throws {
    var buffer = DirectoryBuffer(capacity: 100)
    #expect(try add(&buffer, [0x61], next: 1))
    #expect(try add(&buffer, [0x62], next: 2))
    #expect(try add(&buffer, [0x63], next: 3))
    #expect(try !add(&buffer, [0x64], next: 4))
    let count = buffer.withBytes { $0.count }
    #expect(count == 96)
    buffer.removeAll(limit: 40)
    let emptied = buffer.isEmpty
    #expect(emptied)
    #expect(try add(&buffer, [0x61], next: 1))
    #expect(try !add(&buffer, [0x62], next: 2))
    buffer.removeAll(limit: -5)
    #expect(try !add(&buffer, [0x61], next: 1))
    buffer.removeAll(limit: 1 << 30)
    let limit = buffer.limit
    #expect(limit == 100)
  }

  @Test func aNameThatNoFileCanHaveIsRefused() throws {
    var buffer = DirectoryBuffer(capacity: 1 << 20)
    #expect(throws: Errno(EINVAL)) { _ = try add(&buffer, [], next: 1) }
    for count in Array(1...25) + [255] {
      var name = [UInt8](repeating: 0x61, count: count)
      #expect(try add(&buffer, name, next: 1))
      for index in 0..<count {
        for byte: UInt8 in [0x00, 0x2F] {
          name[index] = byte
          #expect(throws: Errno(EINVAL)) { _ = try add(&buffer, name, next: 1) }
        }
        name[index] = 0x61
      }
    }
    #expect(throws: Errno(ENAMETOOLONG)) {
      _ = try add(&buffer, [UInt8](repeating: 0x61, count: 256), next: 1)
    }
    // What differs from a NUL or slash by one bit or by one, and what a borrow could turn into one.
    let close: [UInt8] = [0x01, 0x2E, 0x30, 0x2D, 0x2B, 0x27, 0x3F, 0x0F, 0x6F, 0x80, 0xAF, 0xFF]
    #expect(try add(&buffer, close, next: 1))
    #expect(try add(&buffer, close.reversed(), next: 1))
  }

  /// What fuse_add_direntry_plus(3) writes for an entry.
  private func libraryBytes(_ name: [UInt8], _ entry: Entry, next: Int64) -> [UInt8] {
    var bytes = [CChar](repeating: 0x55, count: 1024)
    var value = entry.cValue
    let terminated = name.map { CChar(bitPattern: $0) } + [0]
    let count = fuse_add_direntry_plus(nil, &bytes, bytes.count, terminated, &value, off_t(next))
    return bytes[..<count].map { UInt8(bitPattern: $0) }
  }

  @Test func anEntryGoesBeforeItsNameAsTheLibraryWritesIt() throws {
    var attributes = Filesystem.attributes(9)
    attributes.nlink = 2
    attributes.uid = 3
    attributes.gid = .max
    attributes.rdev = 0x1_0000_0004
    attributes.size = -1
    attributes.blocks = 6
    attributes.blksize = 7
    attributes.atime = Timestamp(seconds: 8, nanoseconds: 1)
    attributes.ctime = Timestamp(seconds: .max, nanoseconds: 2)
    // A buffer in use holds the bytes of earlier answers.
    var buffer = DirectoryBuffer(capacity: 4096)
    while try add(&buffer, [UInt8](repeating: 0xFF, count: 255), next: -1) {}
    let times = [0, -1, 0.1, 1, 2.5, 0.9999999999, 86400.000000001, 1e18, 1e30, .infinity]
    for (count, time) in times.enumerated() {
      let name = [UInt8](repeating: 0xC3, count: count + 1)
      let entry = Entry(
        node: 9, generation: 4, attributes: attributes, attributeTimeout: time,
        entryTimeout: times[times.count - 1 - count])
      buffer.removeAll(limit: 4096)
      #expect(try name.withUnsafeBytes { try buffer.addPlus($0, entry, next: 12) })
      let bytes = buffer.withBytes { Array($0) }
      #expect(bytes == libraryBytes(name, entry, next: 12))
    }
  }

  @Test func aNameWithoutItsEntryIsNoLookUp() throws {
    var buffer = DirectoryBuffer(capacity: 1024)
    while try add(&buffer, [UInt8](repeating: 0xFF, count: 255), next: -1) {}
    for count in 1...255 {
      let name = [UInt8](repeating: 0x61, count: count)
      let size = (152 + count + 7) / 8 * 8
      buffer.removeAll(limit: size - 1)
      let add = { (buffer: inout DirectoryBuffer) in
        try name.withUnsafeBytes {
          try buffer.addPlus($0, ino: .max, mode: S_IFLNK | 0o777, next: .max)
        }
      }
      #expect(try !add(&buffer))
      buffer.removeAll(limit: size)
      #expect(try add(&buffer))
      #expect(try !add(&buffer))
      let bytes = buffer.withBytes { Array($0) }
      #expect(bytes.count == size)
      #expect(bytes[..<128].allSatisfy { $0 == 0 })
      let header = bytes.withUnsafeBytes {
        $0.loadUnaligned(fromByteOffset: 128, as: fuse_dirent.self)
      }
      #expect(header.ino == .max && header.off == UInt64(Int64.max))
      #expect(header.namelen == count && header.type == UInt32(DT_LNK))
      #expect(Array(bytes[152..<152 + count]) == name)
      #expect(bytes[(152 + count)...].allSatisfy { $0 == 0 })
    }
  }
}

extension Timestamp {
  fileprivate var cValue: timespec { timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds)) }
}

extension Attributes {
  /// The same as the C library has it.
  fileprivate var cValue: stat {
    var value = stat()
    value.st_ino = numericCast(ino)
    value.st_mode = mode
    value.st_nlink = numericCast(nlink)
    value.st_uid = uid
    value.st_gid = gid
    value.st_rdev = numericCast(rdev)
    value.st_size = numericCast(size)
    value.st_blocks = numericCast(blocks)
    value.st_blksize = numericCast(blksize)
    value.st_atim = atime.cValue
    value.st_mtim = mtime.cValue
    value.st_ctim = ctime.cValue
    return value
  }
}

extension Entry {
  /// The same as libfuse has it.
  fileprivate var cValue: fuse_entry_param {
    var value = fuse_entry_param()
    value.ino = node
    value.generation = generation
    value.attr = attributes.cValue
    value.attr_timeout = attributeTimeout
    value.entry_timeout = entryTimeout
    return value
  }
}
