import CFuse
import Glibc
import System
import Testing

@testable import FUSE

@Suite struct NotifierTests {
  @Test func noticesNameWhatIsToBeDropped() throws {
    let kernel = try PretendKernel(Filesystem())
    try kernel.begin()
    let notifier = kernel.session.notifier
    try notifier.invalidate(5, offset: 4096, length: 10)
    let inode = try #require(kernel.reply())
    #expect(inode.unique == 0 && inode.error == -Int32(FUSE_NOTIFY_INVAL_INODE.rawValue))
    #expect(inode.load(fuse_notify_inval_inode_out.self)?.ino == 5)
    #expect(inode.load(fuse_notify_inval_inode_out.self)?.off == 4096)

    let odd: [UInt8] = [0xFF, 0x20]
    try odd.withUnsafeBytes { try notifier.invalidateEntry(parent: 2, name: $0) }
    let entry = try #require(kernel.reply())
    #expect(entry.load(fuse_notify_inval_entry_out.self)?.parent == 2)
    #expect(entry.body.suffix(3) == odd + [0])

    try odd.withUnsafeBytes { try notifier.delete(parent: 2, child: 3, name: $0) }
    let delete = try #require(kernel.reply())
    #expect(delete.load(fuse_notify_delete_out.self)?.child == 3)
    #expect(throws: Errno(EINVAL)) {
      try [UInt8(0x2F)].withUnsafeBytes { try notifier.invalidateEntry(parent: 2, name: $0) }
    }
  }

  @Test func anOldKernelCannotBeTold() throws {
    let kernel = try PretendKernel(Filesystem())
    // Before the first request nothing is agreed on, so the protocol has no notices yet.
    #expect(throws: Errno(ENOSYS)) { try kernel.session.notifier.invalidate(1) }
  }
}
