import CFuse
import Glibc
import Testing

@testable import FUSE

/// Answers, and then looks at what the kernel has seen of it.
private final class Looking: Operations {
  var kept: Request?
  var afterAnswer: () -> Void = {}
  var refusals: [Given] = []

  func refused(_ given: Given) { refusals.append(given) }

  func lookup(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    request.entry(Entry(node: 9, attributes: Filesystem.attributes(9)))
    afterAnswer()
  }

  func open(_ request: consuming Request, node: NodeID, file: OpenFile) {
    request.opened(OpenReply(handle: 5))
    afterAnswer()
  }

  func create(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    file: OpenFile
  ) {
    request.created(
      Entry(node: 9, attributes: Filesystem.attributes(9)), OpenReply(handle: 5))
    afterAnswer()
  }

  /// As many bytes as were asked for.
  func read(_ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile) {
    let content = [UInt8](repeating: 7, count: size)
    request.bytes(content.span.bytes)
    afterAnswer()
  }

  func flush(_ request: consuming Request, node: NodeID, file: OpenFile) { kept = consume request }

  func fsync(_ request: consuming Request, node: NodeID, dataOnly: Bool, file: OpenFile) {
    if let other = kept.take() { other.fail(Errno(EDQUOT)) }
    request.fail(Errno(EBADF))
    afterAnswer()
  }

  /// Lets another thread answer meanwhile.
  func statfs(_ request: consuming Request, node: NodeID) {
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { box in
        guard let box else { return nil }
        Unmanaged<Box>.fromOpaque(box).takeRetainedValue().request.take()?.fail(Errno(ENOSPC))
        return nil
      }, Unmanaged.passRetained(Box(request)).toOpaque())
    pthread_join(thread, nil)
    afterAnswer()
  }

  /// Hands a request over.
  private final class Box {
    var request: Request?
    init(_ request: consuming Request) { self.request = consume request }
  }
}

@Suite struct HeldAnswerTests {
  private let filesystem = Looking()

  private func read(_ size: Int) -> [UInt8] {
    var body = fuse_read_in()
    body.size = UInt32(size)
    return bytes(of: body)
  }

  @Test(arguments: [(0, true), (4096, true), (4097, false), (100_000, false)])
  func aShortAnswerGoesOutWhenAllIsDone(size: Int, isHeld: Bool) throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    var seen: PretendKernel.Reply?
    filesystem.afterAnswer = { [unowned kernel] in seen = kernel.reply() }
    let unique = try kernel.send(FUSE_READ, read(size))
    #expect((seen == nil) == isHeld)
    let reply = try #require(seen ?? kernel.reply())
    #expect(reply.unique == unique && reply.error == 0)
    #expect(reply.body == [UInt8](repeating: 7, count: size))
    #expect(kernel.reply() == nil)
    #expect(filesystem.refusals.isEmpty)
  }

  @Test func whatARefusedAnswerGaveIsGivenBack() throws {
    func ask(_ opcode: fuse_opcode, _ body: [UInt8]) throws {
      let kernel = try PretendKernel(filesystem)
      try kernel.begin()
      filesystem.afterAnswer = { [unowned kernel] in kernel.hangUp() }
      try kernel.send(opcode, body)
    }
    try ask(FUSE_LOOKUP, name("a"))
    try ask(FUSE_OPEN, bytes(of: fuse_open_in()))
    try ask(FUSE_CREATE, bytes(of: fuse_create_in()) + name("a"))
    #expect(
      filesystem.refusals == [Given(node: 9), Given(handle: 5), Given(node: 9, handle: 5)])
  }

  @Test func anotherRequestIsAnsweredAtOnce() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    let kept = try kernel.send(FUSE_FLUSH, bytes(of: fuse_flush_in()))
    var seen: [PretendKernel.Reply?] = []
    filesystem.afterAnswer = { [unowned kernel] in seen = [kernel.reply(), kernel.reply()] }
    let unique = try kernel.send(FUSE_FSYNC, bytes(of: fuse_fsync_in()))
    #expect(seen.map { $0?.unique } == [kept, nil])
    #expect(seen.first??.error == EDQUOT)
    let reply = try #require(kernel.reply())
    #expect(reply.unique == unique && reply.error == EBADF)
  }

  @Test func anotherThreadAnswersAtOnce() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    var seen: PretendKernel.Reply?
    filesystem.afterAnswer = { [unowned kernel] in seen = kernel.reply() }
    let unique = try kernel.send(FUSE_STATFS)
    #expect(seen?.unique == unique && seen?.error == ENOSPC)
    #expect(kernel.reply() == nil)
  }
}
