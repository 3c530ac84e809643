import CFuse
import Glibc
import Testing

@testable import FUSE

/// The other end of a session's socket: it speaks the FUSE protocol as the kernel would.
final class PretendKernel {
  struct Reply {
    let unique: UInt64
    /// 0, or an errno.
    let error: Int32
    let body: [UInt8]

    func load<Value>(_ type: Value.Type, at offset: Int = 0) -> Value? {
      guard body.count >= offset + MemoryLayout<Value>.size else { return nil }
      return body.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
    }
  }

  let session: Session
  private var socket: Int32
  private var unique: UInt64 = 0

  init(_ operations: any Operations, options: SessionOptions = SessionOptions()) throws {
    var pair: [Int32] = [-1, -1]
    try #require(
      socketpair(
        AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0,
        &pair) == 0)
    socket = pair[0]
    session = try Session(operations, options: options, socket: pair[1])
  }

  deinit { hangUp() }

  func hangUp() {
    if socket >= 0 { close(socket) }
    socket = -1
  }

  /// Sends a request and lets the session serve it; returns its number.
  @discardableResult
  func send(_ opcode: fuse_opcode, node: UInt64 = 1, _ body: [UInt8] = [], unique: UInt64? = nil)
    throws -> UInt64
  {
    self.unique += 2
    var header = fuse_in_header()
    header.len = UInt32(MemoryLayout<fuse_in_header>.size + body.count)
    header.opcode = opcode.rawValue
    header.unique = unique ?? self.unique
    header.nodeid = node
    header.uid = 1000
    header.gid = 100
    header.pid = 42
    let message = bytes(of: header) + body
    try #require(write(socket, message, message.count) == message.count)
    try #require(try session.receive() == .request)
    session.process()
    return header.unique
  }

  /// The next answer; nil where there is none.
  func reply() -> Reply? {
    var buffer = [UInt8](repeating: 0, count: 1 << 17)
    let count = read(socket, &buffer, buffer.count)
    guard count >= MemoryLayout<fuse_out_header>.size else { return nil }
    let header = buffer.withUnsafeBytes { $0.loadUnaligned(as: fuse_out_header.self) }
    #expect(Int(header.len) == count)
    return Reply(
      unique: header.unique, error: -header.error,
      body: Array(buffer[MemoryLayout<fuse_out_header>.size..<count]))
  }

  /// Sends a request and returns its answer, of which there must be one and no more.
  func ask(_ opcode: fuse_opcode, node: UInt64 = 1, _ body: [UInt8] = []) throws -> Reply {
    let unique = try send(opcode, node: node, body)
    let reply = try #require(self.reply())
    #expect(reply.unique == unique)
    #expect(self.reply() == nil)
    return reply
  }

  /// Begins the conversation, as a kernel that offers these flags.
  @discardableResult
  func begin(flags: UInt64 = 0xFFFF_FFFF) throws -> fuse_init_out {
    var body = fuse_init_in()
    body.major = 7
    body.minor = 38
    body.max_readahead = 1 << 17
    body.flags = UInt32(truncatingIfNeeded: flags)
    body.flags2 = UInt32(flags >> 32)
    let reply = try ask(FUSE_INIT, node: 0, bytes(of: body))
    #expect(reply.error == 0)
    return try #require(reply.load(fuse_init_out.self))
  }
}

/// The bytes of a structure, as they lie in memory.
func bytes<Value>(of value: Value) -> [UInt8] {
  withUnsafeBytes(of: value) { Array($0) }
}

/// The bytes of a name, with the NUL that ends it.
func name(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }
