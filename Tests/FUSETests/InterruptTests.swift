import CFuse
import Glibc
import System
import Testing

@testable import FUSE

@Suite struct InterruptTests {
  let filesystem = Filesystem()

  private func interrupt(_ kernel: PretendKernel, _ unique: UInt64) throws {
    try kernel.send(
      FUSE_INTERRUPT, node: 0, bytes(of: fuse_interrupt_in(unique: unique)), unique: unique | 1)
  }

  @Test func anInterruptReachesTheOneWhoListens() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    let unique = try kernel.send(FUSE_READ, node: 99, bytes(of: fuse_read_in()))
    filesystem.listenToKept(1234)
    #expect(!filesystem.keptIsInterrupted)
    try interrupt(kernel, unique)
    #expect(filesystem.tokens == [1234])
    #expect(filesystem.keptIsInterrupted)
    #expect(kernel.reply() == nil)
    filesystem.answerKept(Errno(EINTR))
    #expect(kernel.reply()?.error == EINTR)
  }

  @Test func whoListensLateIsToldAtOnce() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    let unique = try kernel.send(FUSE_READ, node: 99, bytes(of: fuse_read_in()))
    try interrupt(kernel, unique)
    #expect(filesystem.tokens.isEmpty)
    filesystem.listenToKept(5)
    #expect(filesystem.tokens == [5])
    filesystem.answerKept(Errno(EINTR))
    #expect(kernel.reply()?.error == EINTR)
  }

  @Test func anInterruptAfterTheAnswerReachesNobody() throws {
    let kernel = try PretendKernel(filesystem)
    try kernel.begin()
    let unique = try kernel.send(FUSE_READ, node: 99, bytes(of: fuse_read_in()))
    filesystem.listenToKept(5)
    filesystem.answerKept(Errno(EACCES))
    #expect(kernel.reply()?.error == EACCES)
    try interrupt(kernel, unique)
    #expect(filesystem.tokens.isEmpty)
    // libfuse keeps the interrupt in case its request is still to come, and gives it back later.
    #expect(try kernel.send(FUSE_GETATTR, bytes(of: fuse_getattr_in())) > 0)
    #expect(kernel.reply()?.error == EAGAIN)
    #expect(kernel.reply()?.error == 0)
  }
}
