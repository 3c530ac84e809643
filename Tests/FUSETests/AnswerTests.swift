import CFuse
import Glibc
import System
import Testing

@testable import FUSE

/// Answers with what stands in `answer`, whatever it is asked.
private final class Answering: Operations {
  var answer: (consuming Request) -> Void = { _ in }
  var input: [UInt8] = []
  var log: [String] = []

  func ioctl(
    _ request: consuming Request, node: NodeID, command: UInt32, argument: UInt, file: OpenFile,
    flags: UInt32, input: UnsafeRawBufferPointer, outputSize: Int
  ) {
    self.input = Array(input)
    log.append("ioctl \(command) \(argument) \(file.handle) \(outputSize)")
    answer(request)
  }

  func setxattr(
    _ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>,
    value: UnsafeRawBufferPointer, flags: Int32
  ) {
    input = Array(value)
    log.append("setxattr \(String(cString: name)) \(flags)")
    answer(request)
  }

  func getxattr(_ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>, size: Int) {
    log.append("getxattr \(String(cString: name)) \(size)")
    answer(request)
  }

  func flock(_ request: consuming Request, node: NodeID, file: OpenFile, operation: Int32) {
    log.append("flock \(operation)")
    answer(request)
  }

  func fallocate(
    _ request: consuming Request, node: NodeID, mode: Int32, offset: Int64, length: Int64,
    file: OpenFile
  ) {
    log.append("fallocate \(mode) \(offset) \(length)")
    answer(request)
  }

  func lseek(
    _ request: consuming Request, node: NodeID, offset: Int64, whence: Int32, file: OpenFile
  ) { answer(request) }

  func copyFileRange(
    _ request: consuming Request, node: NodeID, offset: Int64, file: OpenFile, toNode: NodeID,
    toOffset: Int64, toFile: OpenFile, length: Int, flags: Int32
  ) {
    log.append("copy \(node) \(file.handle) \(offset) \(toNode) \(toFile.handle) \(length)")
    answer(request)
  }

  func bmap(_ request: consuming Request, node: NodeID, blockSize: Int, index: UInt64) {
    answer(request)
  }

  func statfs(_ request: consuming Request, node: NodeID) { answer(request) }
}

@Suite struct AnswerTests {
  private let filesystem = Answering()

  @Test func everyOperationOfTheLibraryHasItsMethod() {
    let empty = withUnsafeBytes(of: OperationsTable.operations) { table in
      table.bindMemory(to: UInt.self).count { $0 == 0 }
    }
    // write_buf would replace write, and retrieve_reply answers what is never asked; tmpfile, of
    // 3.17, is a hook that no script has.
    let known = [314: 2, 317: 3]
    #expect(empty == known[Int(cfuse_version), default: empty])
  }

  @Test func ioctlTakesAndGivesBytes() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    var body = fuse_ioctl_in()
    body.fh = 4
    body.cmd = 0xDEAD_BEEF
    body.arg = 77
    body.in_size = 3
    body.out_size = 2
    filesystem.answer = { $0.ioctl(result: 5, bytes: [UInt8]([9, 8]).span.bytes) }
    let plain = try kernel.ask(FUSE_IOCTL, bytes(of: body) + [1, 2, 3])
    #expect(plain.load(fuse_ioctl_out.self)?.result == 5)
    #expect(plain.body.suffix(2) == [9, 8])
    #expect(filesystem.input == [1, 2, 3])
    #expect(filesystem.log == ["ioctl 3735928559 77 4 2"])
    filesystem.answer = { request in
      request.ioctlRetry(input: [(address: 4096, count: 16)], output: [])
    }
    let retry = try kernel.ask(FUSE_IOCTL, bytes(of: body) + [1, 2, 3])
    #expect(retry.load(fuse_ioctl_out.self)?.flags == UInt32(FUSE_IOCTL_RETRY))
    #expect(retry.load(fuse_ioctl_out.self)?.in_iovs == 1)
  }

  @Test func extendedAttributesHaveASizeAndAValue() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    filesystem.answer = { $0.attributeSize(12) }
    var get = fuse_getxattr_in()
    let size = try kernel.ask(FUSE_GETXATTR, bytes(of: get) + name("user.a"))
    #expect(size.load(fuse_getxattr_out.self)?.size == 12)
    filesystem.answer = { $0.fail(Errno(ERANGE)) }
    get.size = 5
    #expect(try kernel.ask(FUSE_GETXATTR, bytes(of: get) + name("user.a")).error == ERANGE)
    filesystem.answer = { $0.succeed() }
    // Without FUSE_SETXATTR_EXT the kernel sends the first two fields only.
    let set: [UInt8] = bytes(of: UInt32(3)) + bytes(of: UInt32(1))
    #expect(try kernel.ask(FUSE_SETXATTR, set + name("user.b") + [0, 0xFF, 0]).error == 0)
    #expect(filesystem.input == [0, 0xFF, 0])
    #expect(filesystem.log == ["getxattr user.a 0", "getxattr user.a 5", "setxattr user.b 1"])
  }

  @Test func theOtherAnswersCarryTheirNumbers() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    filesystem.answer = { $0.offset(1 << 40) }
    let seek = try kernel.ask(FUSE_LSEEK, bytes(of: fuse_lseek_in()))
    #expect(seek.load(fuse_lseek_out.self)?.offset == 1 << 40)
    filesystem.answer = { $0.block(17) }
    #expect(
      try kernel.ask(FUSE_BMAP, bytes(of: fuse_bmap_in())).load(fuse_bmap_out.self)?.block == 17)
    filesystem.answer = { request in
      var statistics = FilesystemStatistics()
      statistics.blocks = 100
      statistics.availableBlocks = 40
      request.statistics(statistics)
    }
    let statistics = try kernel.ask(FUSE_STATFS).load(fuse_kstatfs.self)
    #expect(statistics?.blocks == 100 && statistics?.bavail == 40 && statistics?.bsize == 4096)
    filesystem.answer = { $0.written(6) }
    var copy = fuse_copy_file_range_in()
    copy.fh_in = 1
    copy.off_in = 2
    copy.nodeid_out = 3
    copy.fh_out = 4
    copy.len = 6
    let copied = try kernel.ask(FUSE_COPY_FILE_RANGE, node: 9, bytes(of: copy))
    #expect(copied.load(fuse_write_out.self)?.size == 6)
    filesystem.answer = { $0.succeed() }
    var room = fuse_fallocate_in()
    room.offset = 1
    room.length = 2
    room.mode = 3
    #expect(try kernel.ask(FUSE_FALLOCATE, bytes(of: room)).error == 0)
    var lock = fuse_lk_in()
    lock.lk.type = UInt32(F_WRLCK)
    lock.lk_flags = UInt32(FUSE_LK_FLOCK)
    #expect(try kernel.ask(FUSE_SETLK, bytes(of: lock)).error == 0)
    #expect(
      filesystem.log == ["copy 9 1 2 3 4 6", "fallocate 3 1 2", "flock \(LOCK_EX | LOCK_NB)"])
  }
}
