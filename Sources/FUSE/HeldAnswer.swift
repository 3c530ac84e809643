// The answer that is given while its request is being processed is held, and sent when that is over.
//
// What is left to do once an answer is given - to free the request, let go of what it held, return
// from all the calls - takes twice as long behind the answer as before it: each system call wakes
// somebody else, who fills the processor's caches with their own.
//
// Invariants: only the thread that is inside `Session.process` holds an answer, and only to the
// request that it processes; it is sent before `process` returns. libfuse has let go of the request
// by then, and is not asked to send anything.

import CFuse

/// What the kernel is given by an answer, and gives back in time: a look-up, an open file, or both.
public struct Given: Sendable, Equatable {
  /// The node that one more look-up of the kernel's counts for.
  public var node: NodeID?
  /// The handle that a release will come for.
  public var handle: UInt64?
}

/// A place for one short answer.
struct HeldAnswer: ~Copyable {
  /// The request that is being processed and the number that it has in the kernel.
  private var request: fuse_req_t?
  private var number: UInt64 = 0
  /// The answer as the kernel wants it, and how long it is, in bytes; 0 for none. It begins with a page,
  /// so that a short one lies in one: the kernel pins each.
  private let memory = UnsafeMutableRawPointer.allocate(
    byteCount: headerSize + longest, alignment: longest)
  private var count = 0
  private var given = Given()

  /// The longest message that is worth a copy, in bytes: the kernel takes longer ones from where they
  /// lie at the cost of pinning that memory.
  private static let longest = 4096
  private static let headerSize = MemoryLayout<fuse_out_header>.size

  init() {}

  deinit { memory.deallocate() }

  /// The request with that number is going to be processed.
  mutating func begin(_ number: UInt64) { self.number = number }

  /// libfuse has handed out the request.
  mutating func expect(_ request: fuse_req_t) { self.request = request }

  /// Leaves the answer to a request here; false where it has to be sent at once.
  @inline(__always)
  mutating func take(
    _ request: fuse_req_t, error: Int32, _ message: UnsafeRawBufferPointer, _ given: Given
  ) -> Bool {
    guard request == self.request, message.count <= HeldAnswer.longest else { return false }
    self.request = nil
    self.given = given
    count = HeldAnswer.headerSize + message.count
    let header = fuse_out_header(len: UInt32(count), error: -error, unique: number)
    memory.storeBytes(of: header, as: fuse_out_header.self)
    UnsafeMutableRawBufferPointer(start: memory + HeldAnswer.headerSize, count: message.count)
      .copyMemory(from: message)
    return true
  }

  /// The request has been processed. Hands over what was left here, and answers what is to be given
  /// back if that was refused.
  @inline(__always)
  mutating func end(_ send: (UnsafeRawBufferPointer) -> Bool) -> Given? {
    request = nil
    guard count > 0 else { return nil }
    let answer = UnsafeRawBufferPointer(start: memory, count: count)
    count = 0
    return send(answer) ? nil : given
  }
}
