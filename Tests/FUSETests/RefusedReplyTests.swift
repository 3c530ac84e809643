import CFuse
import Glibc
import Testing

@testable import FUSE

/// Replies once the kernel listens no more, or at once.
private final class Replying: Operations {
  var beforeReply: () -> Void = {}
  var wasTaken: [Bool] = []

  func lookup(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    beforeReply()
    wasTaken.append(request.entry(Entry(node: 9, attributes: Filesystem.attributes(9))))
  }

  func open(_ request: consuming Request, node: NodeID, file: OpenFile) {
    beforeReply()
    wasTaken.append(request.opened(OpenReply(handle: 5)))
  }

  func create(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    file: OpenFile
  ) {
    beforeReply()
    wasTaken.append(
      request.created(Entry(node: 9, attributes: Filesystem.attributes(9)), OpenReply(handle: 5)))
  }

  func readdir(_ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile)
  {
    beforeReply()
    wasTaken.append(DirectoryBuffer(capacity: 64).reply(to: request))
  }
}

@Suite struct RefusedReplyTests {
  private let filesystem = Replying()

  private static let requests: [(fuse_opcode, [UInt8])] = [
    (FUSE_LOOKUP, name("a")), (FUSE_OPEN, bytes(of: fuse_open_in())),
    (FUSE_CREATE, bytes(of: fuse_create_in()) + name("a")),
    (FUSE_READDIR, bytes(of: fuse_read_in())),
  ]

  @Test func aReplyThatGivesSomethingTellsWhetherItWasTaken() throws {
    for (opcode, body) in Self.requests {
      let kernel = try PretendKernel(filesystem)
      try kernel.begin()
      try #expect(kernel.ask(opcode, body).error == 0)
    }
    #expect(filesystem.wasTaken == [true, true, true, true])
  }

  @Test func aReplyThatTheKernelDoesNotTakeSaysSo() throws {
    for (opcode, body) in Self.requests {
      let kernel = try PretendKernel(filesystem)
      try kernel.begin()
      filesystem.beforeReply = { [unowned kernel] in kernel.hangUp() }
      try kernel.send(opcode, body)
    }
    #expect(filesystem.wasTaken == [false, false, false, false])
  }
}
