import CFuse
import Glibc
import Testing

@testable import FUSE

@Suite struct OperationTests {
  let filesystem = Filesystem()

  @Test func getattrTellsTheHandleWhereThereIsOne() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    var body = fuse_getattr_in()
    let plain = try kernel.ask(FUSE_GETATTR, node: 4, bytes(of: body))
    #expect(plain.load(fuse_attr_out.self)?.attr.ino == 4)
    body.getattr_flags = UInt32(FUSE_GETATTR_FH)
    body.fh = 12
    #expect(try kernel.ask(FUSE_GETATTR, node: 4, bytes(of: body)).error == 0)
    #expect(filesystem.log == ["getattr 4 -", "getattr 4 12"])
  }

  @Test func setattrTellsWhatChanges() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    var body = fuse_setattr_in()
    body.mode = S_IFREG | 0o600
    body.uid = 5
    body.gid = 6
    body.size = 1 << 40
    body.atime = 10
    body.atimensec = 11
    body.mtime = 12
    body.mtimensec = 13
    body.valid = UInt32(FATTR_MODE | FATTR_SIZE | FATTR_ATIME)
    #expect(try kernel.ask(FUSE_SETATTR, bytes(of: body)).error == 0)
    body.valid = UInt32(
      FATTR_UID | FATTR_GID | FATTR_ATIME | FATTR_ATIME_NOW | FATTR_MTIME | FATTR_FH
        | FATTR_KILL_SUIDGID)
    body.fh = 3
    #expect(try kernel.ask(FUSE_SETATTR, bytes(of: body)).error == 0)
    let first = try #require(filesystem.changes.first)
    #expect(first.mode == S_IFREG | 0o600)
    #expect(first.size == 1 << 40)
    #expect(first.accessTime == .to(Timestamp(seconds: 10, nanoseconds: 11)))
    #expect(first.uid == nil && first.gid == nil && first.modificationTime == nil)
    #expect(first.changeTime == nil && !first.clearsSetID)
    let second = try #require(filesystem.changes.last)
    #expect(second.mode == nil && second.size == nil)
    #expect(second.uid == 5 && second.gid == 6)
    #expect(second.accessTime == .now)
    #expect(second.modificationTime == .to(Timestamp(seconds: 12, nanoseconds: 13)))
    #expect(second.clearsSetID)
    #expect(filesystem.log == ["setattr -", "setattr 3"])
  }

  @Test func readingHandsOverTheBytes() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    var body = fuse_read_in()
    body.fh = 7
    body.size = 4096
    body.flags = UInt32(O_RDWR)
    body.lock_owner = 0xABCD
    #expect(try kernel.ask(FUSE_READ, bytes(of: body)).body == Array("hello".utf8))
    filesystem.content = [UInt8](repeating: 0xAA, count: 1 << 16)
    #expect(try kernel.ask(FUSE_READ, bytes(of: body)).body == filesystem.content)
    filesystem.content = []
    #expect(try kernel.ask(FUSE_READ, bytes(of: body)).body.isEmpty)
    #expect(filesystem.files.first?.handle == 7)
    #expect(filesystem.files.first?.flags == O_RDWR)
    #expect(filesystem.files.first?.lockOwner == 0xABCD)
  }

  @Test func writingArrivesWhole() throws {
    var options = SessionOptions()
    options.connection.handleKillPrivileges = true
    let kernel = try PretendKernel(filesystem, options: options)
    try kernel.begin()
    let data = (0..<70000).map { UInt8(truncatingIfNeeded: $0) }
    var body = fuse_write_in()
    body.size = UInt32(data.count)
    body.write_flags = UInt32(FUSE_WRITE_KILL_SUIDGID)
    let reply = try kernel.ask(FUSE_WRITE, bytes(of: body) + data)
    #expect(reply.load(fuse_write_out.self)?.size == 70000)
    #expect(filesystem.written == data)
    #expect(filesystem.files.last?.clearsSetID == true)
    body.size = 0
    body.write_flags = UInt32(FUSE_WRITE_CACHE)
    #expect(try kernel.ask(FUSE_WRITE, bytes(of: body)).error == 0)
    #expect(filesystem.files.last?.clearsSetID == false)
    #expect(filesystem.files.last?.isDelayedWrite == true)
  }

  @Test func openingSaysHow() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    var body = fuse_open_in()
    body.flags = UInt32(O_WRONLY)
    let plain = try kernel.ask(FUSE_OPEN, bytes(of: body))
    #expect(plain.load(fuse_open_out.self)?.fh == 7)
    #expect(plain.load(fuse_open_out.self)?.open_flags == 0)
    filesystem.openReply.directIO = true
    filesystem.openReply.nonseekable = true
    let direct = try kernel.ask(FUSE_OPEN, bytes(of: body))
    let flags = UInt32(FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE)
    #expect(direct.load(fuse_open_out.self)?.open_flags == flags)
    filesystem.openReply.parallelDirectWrites = true
    let parallel = try kernel.ask(FUSE_OPEN, bytes(of: body))
    #expect(
      parallel.load(fuse_open_out.self)?.open_flags == flags | UInt32(FOPEN_PARALLEL_DIRECT_WRITES))
    #expect(parallel.load(fuse_open_out.self)?.fh == 7)
    #expect(filesystem.files.first?.flags == O_WRONLY)
  }

  @Test(arguments: [false, true])
  func creatingAnswersWithEntryAndHandle(parallel: Bool) throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    filesystem.openReply.directIO = true
    filesystem.openReply.parallelDirectWrites = parallel
    var body = fuse_create_in()
    body.umask = 0o22
    let reply = try kernel.ask(FUSE_CREATE, bytes(of: body) + name("n"))
    let entry = try #require(reply.load(fuse_entry_out.self))
    let open = try #require(
      reply.load(fuse_open_out.self, at: MemoryLayout<fuse_entry_out>.size))
    #expect(entry.nodeid == 9)
    #expect(entry.attr.ino == 9 && entry.attr.size == 5)
    #expect(entry.attr_valid_nsec == 500_000_000)
    #expect(open.fh == 7)
    #expect(open.open_flags == UInt32(FOPEN_DIRECT_IO) | (parallel ? 64 : 0))
    #expect(filesystem.contexts.last?.umask == 0o22)
  }

  @Test func namesComeInPairs() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    var body = fuse_rename2_in()
    body.newdir = 8
    body.flags = 1
    #expect(
      try kernel.ask(FUSE_RENAME2, node: 2, bytes(of: body) + name("old") + name("new")).error == 0)
    #expect(try kernel.ask(FUSE_SYMLINK, name("link") + name("to/where")).error == EROFS)
    #expect(filesystem.log == ["rename 2 old 8 new 1", "symlink to/where link"])
    filesystem.content = [0xFF, 0x2F, 0xFE]
    #expect(try kernel.ask(FUSE_READLINK).body == [0xFF, 0x2F, 0xFE])
  }

  @Test func locksAreRanges() throws {
    var options = SessionOptions()
    options.connection.posixLocks = true
    let kernel = try PretendKernel(filesystem, options: options)
    try kernel.begin()
    var body = fuse_lk_in()
    body.owner = 77
    body.lk = fuse_file_lock(start: 3, end: 9, type: UInt32(F_WRLCK), pid: 1)
    #expect(try kernel.ask(FUSE_SETLKW, bytes(of: body)).error == 0)
    body.lk = fuse_file_lock(start: 3, end: UInt64(Int64.max), type: UInt32(F_UNLCK), pid: 1)
    #expect(try kernel.ask(FUSE_SETLK, bytes(of: body)).error == 0)
    #expect(filesystem.log == ["setlk write 3 7 true 77", "setlk none 3 0 false 77"])
    let lock = try kernel.ask(FUSE_GETLK, bytes(of: body)).load(fuse_lk_out.self)?.lk
    #expect(lock?.start == 10 && lock?.end == 14 && lock?.pid == 3)
  }

  @Test func pollingHandsOverTheWishToBeTold() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    var body = fuse_poll_in()
    body.kh = 31
    body.events = UInt32(POLLIN | POLLOUT)
    let plain = try kernel.ask(FUSE_POLL, bytes(of: body))
    #expect(plain.load(fuse_poll_out.self)?.revents == UInt32(POLLIN))
    #expect(!filesystem.hasPollHandle)
    body.flags = UInt32(FUSE_POLL_SCHEDULE_NOTIFY)
    #expect(try kernel.ask(FUSE_POLL, bytes(of: body)).error == 0)
    try filesystem.notifyPoll()
    let notice = try #require(kernel.reply())
    #expect(notice.unique == 0)
    #expect(notice.error == -Int32(FUSE_NOTIFY_POLL.rawValue))
    #expect(notice.load(fuse_notify_poll_wakeup_out.self)?.kh == 31)
  }
}
