import Glibc
import Testing

@testable import System

@Suite struct PathTests {
  @Test func aRelativePathBeginsAtTheWorkingDirectory() {
    #expect(Path.absolute("/a/b") == "/a/b")
    #expect(Path.absolute("b").hasPrefix("/"))
    #expect(Path.absolute("b").hasSuffix("/b"))
  }

  @Test func theLastNameNeedNotExist() {
    #expect(Path.resolvingParent(of: "/no-such-name") == "/no-such-name")
    #expect(Path.resolvingParent(of: "/usr/../no-such-name/") == "/no-such-name")
    #expect(Path.resolvingParent(of: "/no-such-name/below") == nil)
    #expect(Path.resolvingParent(of: "/usr/..") == "/")
    #expect(Path.resolvingParent(of: "/") == "/")
  }

  @Test func aProgramTellsItsStatus() {
    #expect(Program.run(["sh", "-c", "exit 3"]) == 3)
    #expect(Program.run(["/no/such/program"]) == -1)
  }
}
