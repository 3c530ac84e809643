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
    let client = try StatusView(path, owner: getuid())
    #expect(client.read().work == nil)
    mount.writer.enter(.read, hook: 1, pid: 7)
    #expect(client.read().work == "on_read (read)")
    #expect(client.read().pid == 7)
    mount.writer.leave()
    #expect(client.read().work == nil)
    // Whatever the number, it is text.
    mount.writer.enter(.read, hook: 255, pid: -1)
    #expect(client.read().work == "a hook (read)")
    mount.writer.leave()
    client.interrupt()
    #expect(mount.writer.interruptWord?.pointee == 1)
    mount.writer.clearInterrupt()
    #expect(mount.writer.interruptWord?.pointee == 0)
  }

  @Test func aPageOfAnythingElseIsNoCrash() throws {
    defer { unlink(path) }
    try SourceFile.write(String(repeating: "\u{FF}", count: 4096), toNew: path)
    let reading = try StatusView(path, owner: getuid()).read()
    #expect(reading.work == "a hook (an operation)")
    unlink(path)
    try SourceFile.write("short", toNew: path)
    #expect(try StatusView(path, owner: getuid()).read().work == nil)
    #expect(throws: HostError.self) { try StatusView(path, owner: getuid() + 1) }
    unlink(path)
    mkfifo(path, 0o600)
    #expect(throws: HostError.self) { try StatusView(path, owner: getuid()) }
  }
}
