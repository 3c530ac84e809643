import Glibc
import System
import Testing

@testable import ControlProtocol

@Suite struct StatusPageTests {
  /// A name for a page that no other test has.
  private let path = "/tmp/fusuma-page-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"

  @Test func aClientSeesWhatTheMountDoes() throws {
    defer { unlink(path) }
    let mount = try StatusPage.make(path, hooks: ["on_getattr", "on_read"])
    let client = try StatusPage.open(path)
    #expect(client.read().work == nil)
    mount.writer.enter(.read, hook: 1, pid: 7)
    #expect(client.read().work == "on_read (read)")
    #expect(client.read().pid == 7)
    mount.writer.leave()
    #expect(client.read().work == nil)
    client.interrupt()
    #expect(mount.writer.interruptWord?.pointee == 1)
    mount.writer.clearInterrupt()
    #expect(mount.writer.interruptWord?.pointee == 0)
  }

  @Test func aPageOfAnythingElseIsNoCrash() throws {
    defer { unlink(path) }
    try SourceFile.write(String(repeating: "\u{FF}", count: 4096), toNew: path)
    _ = try StatusPage.open(path).read()
    unlink(path)
    try SourceFile.write("short", toNew: path)
    #expect(throws: HostError.self) { try StatusPage.open(path) }
    unlink(path)
    mkfifo(path, 0o600)
    #expect(throws: HostError.self) { try StatusPage.open(path) }
  }
}
