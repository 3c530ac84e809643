import Glibc
import Testing

@testable import System

@Suite struct ErrnoTests {
  @Test func anErrorHasItsNameAndItsSentence() {
    #expect(Errno(EACCES).name == "EACCES")
    #expect(Errno(EACCES).message == "Permission denied")
    #expect(Errno(EACCES).description == "Permission denied (EACCES)")
    #expect(Errno(4711).name == nil)
    #expect(Errno(4711).description == "Unknown error 4711")
  }

  @Test func allHaveNames() {
    #expect(Errno.all.count > 130)
    #expect(Errno.all.first?.name == "EPERM")
    #expect(Errno.all.last?.name == "EHWPOISON")
    #expect(Set(Errno.all.map(\.name)).count == Errno.all.count)
  }
}
