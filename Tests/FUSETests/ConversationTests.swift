import CFuse
import Glibc
import System
import Testing

@testable import FUSE

@Suite struct ConversationTests {
  let filesystem = Filesystem()

  @Test func theFirstAnswerAddsWhatLibfuseForgets() throws {
    let kernel = try PretendKernel(filesystem)
    let answer = try kernel.begin()
    #expect(answer.flags & UInt32(FUSE_PARALLEL_DIROPS) != 0)
    #expect(answer.flags & UInt32(FUSE_HANDLE_KILLPRIV_V2) == 0)
    #expect(answer.flags & UInt32(FUSE_ATOMIC_O_TRUNC) == 0)
    #expect(answer.flags & UInt32(FUSE_DO_READDIRPLUS) == 0)
    #expect(answer.flags & UInt32(FUSE_POSIX_LOCKS) == 0)
    #expect(answer.flags & UInt32(FUSE_SPLICE_READ) == 0)
    #expect(answer.flags & UInt32(FUSE_AUTO_INVAL_DATA) != 0)
    #expect(filesystem.connection?.minor == 38)
    #expect(filesystem.connection?.kernelFlags == 0xFFFF_FFFF)
    #expect(kernel.session.connection?.maxWrite == answer.max_write)
  }

  @Test func nothingIsAskedOfAKernelThatDoesNotOfferIt() throws {
    var options = SessionOptions()
    options.connection.handleKillPrivileges = true
    options.connection.writebackCache = true
    let kernel = try PretendKernel(filesystem, options: options)
    let answer = try kernel.begin(flags: UInt64(FUSE_ASYNC_READ))
    #expect(answer.flags & ~UInt32(FUSE_ASYNC_READ) & ~UInt32(FUSE_BIG_WRITES) == 0)
  }

  @Test func theSettingsReachTheKernel() throws {
    var options = SessionOptions(libraryOptions: ["max_read=65536"])
    options.connection.handleKillPrivileges = true
    options.connection.atomicTruncate = true
    options.connection.readdirplus = .auto
    options.connection.posixLocks = true
    options.connection.flockLocks = true
    options.connection.writebackCache = true
    options.connection.autoInvalidateData = false
    options.connection.parallelDirectoryOperations = false
    options.connection.asyncRead = false
    options.connection.maxWrite = 65536
    options.connection.maxRead = 65536
    options.connection.maxReadahead = 4096
    options.connection.maxBackground = 20
    let kernel = try PretendKernel(filesystem, options: options)
    let answer = try kernel.begin()
    for bit in [
      FUSE_HANDLE_KILLPRIV_V2, FUSE_ATOMIC_O_TRUNC, FUSE_DO_READDIRPLUS, FUSE_READDIRPLUS_AUTO,
      FUSE_POSIX_LOCKS, FUSE_FLOCK_LOCKS, FUSE_WRITEBACK_CACHE,
    ] {
      #expect(answer.flags & UInt32(bit) != 0)
    }
    for bit in [FUSE_AUTO_INVAL_DATA, FUSE_PARALLEL_DIROPS, FUSE_ASYNC_READ] {
      #expect(answer.flags & UInt32(bit) == 0)
    }
    #expect(answer.max_write == 65536)
    #expect(answer.max_readahead == 4096)
    #expect(answer.max_background == 20)
    #expect(answer.congestion_threshold == 15)
  }

  /// What stands in the second word of flags, which the kernel reads only when it is told so.
  @Test(arguments: [true, false], [0xFFFF_FFFF, 0xFF_FFFF_FFFF])
  func mappingsPastTheCacheAreAgreedOn(
    wanted: Bool, offered: UInt64
  ) throws {
    var options = SessionOptions()
    options.connection.mapsDirectIO = wanted
    let kernel = try PretendKernel(filesystem, options: options)
    let answer = try kernel.begin(flags: offered)
    let agreed = wanted && offered > 0xFFFF_FFFF
    #expect(answer.flags2 == (agreed ? UInt32(FUSE_DIRECT_IO_ALLOW_MMAP >> 32) : 0))
    if agreed { #expect(answer.flags & UInt32(FUSE_INIT_EXT) != 0) }
    #expect(filesystem.connection?.mapsDirectIO == agreed)
  }

  @Test func namesArriveAsTheirBytes() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    let odd: [UInt8] = [0xFF, 0x0A, 0x2C, 0xC3, 0x28, 0x80]
    #expect(try kernel.ask(FUSE_LOOKUP, odd + [0]).error == 0)
    let long = [UInt8](repeating: 0x61, count: 255)
    #expect(try kernel.ask(FUSE_LOOKUP, long + [0]).error == 0)
    #expect(filesystem.names == [odd, long])
    #expect(filesystem.contexts.first == Context(uid: 1000, gid: 100, pid: 42))
  }

  @Test func aLookupAnswersWithTheEntry() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    let reply = try kernel.ask(FUSE_LOOKUP, name("a"))
    let entry = try #require(reply.load(fuse_entry_out.self))
    #expect(entry.nodeid == 9)
    #expect(entry.generation == 3)
    #expect(entry.entry_valid == 2 && entry.entry_valid_nsec == 0)
    #expect(entry.attr_valid == 0 && entry.attr_valid_nsec == 250_000_000)
    #expect(entry.attr.size == 5)
    #expect(entry.attr.mode == S_IFREG | 0o644)
    #expect(Int64(bitPattern: entry.attr.mtime) == -1)
    #expect(entry.attr.mtimensec == 999_999_999)
  }

  @Test func absenceIsAnErrorOrAnEntryOfNodeZero() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    #expect(try kernel.ask(FUSE_LOOKUP, name("absent")).error == ENOENT)
    let reply = try kernel.ask(FUSE_LOOKUP, name("never"))
    let entry = try #require(reply.load(fuse_entry_out.self))
    #expect(reply.error == 0)
    #expect(entry.nodeid == 0)
    #expect(entry.entry_valid == 1 && entry.entry_valid_nsec == 500_000_000)
  }

  @Test func aRequestThatIsDroppedIsAnsweredOnce() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    #expect(try kernel.ask(FUSE_LOOKUP, name("dropped")).error == EIO)
    let unique = try kernel.send(FUSE_READ, node: 99, bytes(of: fuse_read_in()))
    #expect(kernel.reply() == nil)
    filesystem.dropKept()
    let reply = try #require(kernel.reply())
    #expect(reply.unique == unique && reply.error == EIO)
    #expect(kernel.reply() == nil)
  }

  @Test func aLateAnswerOutlivesTheConversation() throws {
    do {
      let kernel = try PretendKernel(filesystem)
      try kernel.begin()
      try kernel.send(FUSE_READ, node: 99, bytes(of: fuse_read_in()))
    }
    #expect(filesystem.log.isEmpty)
    filesystem.answerKept(Errno(EINTR))
    #expect(filesystem.log == ["destroyed"])
  }

  @Test func whatIsNotImplementedIsAnsweredAsLibfuseDoes() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    #expect(try kernel.ask(FUSE_MKDIR, bytes(of: fuse_mkdir_in()) + name("d")).error == ENOSYS)
    #expect(try kernel.ask(FUSE_RELEASE, bytes(of: fuse_release_in())).error == 0)
    #expect(try kernel.ask(FUSE_OPENDIR, bytes(of: fuse_open_in())).error == 0)
    let statistics = try kernel.ask(FUSE_STATFS)
    #expect(statistics.load(fuse_kstatfs.self)?.namelen == 255)
  }

  @Test func forgettingHasNoAnswer() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    try kernel.send(FUSE_FORGET, node: 5, bytes(of: fuse_forget_in(nlookup: 2)))
    try kernel.send(
      FUSE_BATCH_FORGET,
      bytes(of: fuse_batch_forget_in(count: 2, dummy: 0))
        + bytes(of: fuse_forget_one(nodeid: 6, nlookup: 1))
        + bytes(of: fuse_forget_one(nodeid: 7, nlookup: 4)))
    #expect(kernel.reply() == nil)
    #expect(filesystem.log == ["forget 5 2", "forget 6 1", "forget 7 4"])
  }

  @Test func receivingTellsWhatThereIs() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    #expect(try kernel.session.receive() == .none)
    #expect(!kernel.session.hasEnded)
    kernel.hangUp()
    #expect(try kernel.session.receive() == .ended)
    #expect(kernel.session.hasEnded)
  }
}
