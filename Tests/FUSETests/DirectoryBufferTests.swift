import CFuse
import Glibc
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
    var buffer = DirectoryBuffer(capacity: 4096)
    #expect(try add(&buffer, [UInt8](repeating: 0x61, count: 255), next: 1))
    #expect(throws: Errno(ENAMETOOLONG)) {
      _ = try add(&buffer, [UInt8](repeating: 0x61, count: 256), next: 1)
    }
    #expect(throws: Errno(EINVAL)) { _ = try add(&buffer, [], next: 1) }
    #expect(throws: Errno(EINVAL)) { _ = try add(&buffer, [0x61, 0x2F], next: 1) }
    #expect(throws: Errno(EINVAL)) { _ = try add(&buffer, [0x61, 0x00], next: 1) }
  }

  @Test func anEntryGoesBeforeItsName() throws {
    var buffer = DirectoryBuffer(capacity: 4096)
    let entry = Entry(node: 9, attributes: Filesystem.attributes(9), entryTimeout: 1)
    #expect(try [UInt8(0x61)].withUnsafeBytes { try buffer.addPlus($0, entry, next: 1) })
    let bytes = buffer.withBytes { Array($0) }
    let plus = bytes.withUnsafeBytes { $0.loadUnaligned(as: fuse_direntplus.self) }
    #expect(plus.entry_out.nodeid == 9 && plus.entry_out.attr.size == 5)
    #expect(plus.entry_out.entry_valid == 1)
    #expect(plus.dirent.ino == 9 && plus.dirent.namelen == 1 && plus.dirent.off == 1)
  }
}
