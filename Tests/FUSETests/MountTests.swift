import CFuse
import Glibc
import System
import Testing

@testable import FUSE

/// On real mounts. This process serves them, so only others may look into them.
@Suite(.serialized) struct MountTests {
  static let canMount = geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0

  private func makeDirectory() throws -> String {
    var template = Array("/tmp/fuse-tests.XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.map { mkdtemp($0) != nil } ?? false
    }
    try #require(made)
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Starts a program that answers nothing but its exit status.
  private func spawn(_ arguments: [String]) throws -> pid_t {
    let words = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var pid: pid_t = 0
    let program = try #require(words[0])
    let status = posix_spawn(&pid, program, nil, nil, words, environ)
    try #require(status == 0)
    return pid
  }

  /// Serves until the program ends, for ten seconds at most; returns its exit status.
  private func serve(_ session: Session, while pid: pid_t) throws -> Int32 {
    let deadline = Timestamp.now.seconds + 10
    var status: Int32 = 0
    while waitpid(pid, &status, WNOHANG) == 0 {
      guard Timestamp.now.seconds < deadline else {
        kill(pid, SIGKILL)
        throw Errno(ETIMEDOUT)
      }
      var ready = pollfd(fd: session.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&ready, 1, 20)
      while try session.receive() == .request { session.process() }
    }
    return status
  }

  @Test(.enabled(if: canMount, "mounting needs root and /dev/fuse"))
  func anotherProcessReadsAndWrites() throws {
    let path = try makeDirectory()
    defer { rmdir(path) }
    let filesystem = SmallFilesystem()
    let session = try Session(
      filesystem, options: SessionOptions(libraryOptions: ["fsname=small", "subtype=tests"]))
    try session.mount(at: path)
    #expect(session.descriptor >= 0)
    let reading = try spawn(["/bin/sh", "-c", "test \"$(cat '\(path)/file')\" = hello"])
    #expect(try serve(session, while: reading) == 0)
    let writing = try spawn(["/bin/sh", "-c", "echo there > '\(path)/file'"])
    #expect(try serve(session, while: writing) == 0)
    #expect(filesystem.content == Array("there\n".utf8))
    let listing = try spawn(["/bin/sh", "-c", "test \"$(ls '\(path)')\" = file"])
    #expect(try serve(session, while: listing) == 0)
    let absent = try spawn(["/bin/sh", "-c", "! test -e '\(path)/absent'"])
    #expect(try serve(session, while: absent) == 0)
    #expect(session.connection?.major == 7)
    session.unmount()
    #expect(session.descriptor == -1)
    #expect(try session.receive() == .ended)
  }

  @Test(.enabled(if: canMount, "mounting needs root and /dev/fuse"))
  func anUnmountFromOutsideEndsTheSession() throws {
    let path = try makeDirectory()
    defer { rmdir(path) }
    let session = try Session(SmallFilesystem())
    try session.mount(at: path)
    let pid = try spawn(["/bin/umount", path])
    #expect(try serve(session, while: pid) == 0)
    #expect(try session.receive() == .ended)
    session.unmount()
  }

  /// Elsewhere it stays mounted, so the kernel does not tell the session that it is gone from its place.
  @Test(.enabled(if: canMount, "mounting needs root and /dev/fuse"), arguments: [false, true])
  func anUnmountTakesNothingElseAwayAndIsSilent(hasOtherBelow: Bool) throws {
    let path = try makeDirectory()
    let elsewhere = try makeDirectory()
    defer {
      rmdir(path)
      rmdir(elsewhere)
    }
    if hasOtherBelow { try #require(mount("tmpfs", path, "tmpfs", 0, nil) == 0) }
    let session = try Session(SmallFilesystem())
    try session.mount(at: path)
    let move = "mount --bind '\(path)' '\(elsewhere)' && umount '\(path)'"
    #expect(try serve(session, while: spawn(["/bin/sh", "-c", move])) == 0)
    let (_, words) = StandardError.capturing { session.unmount() }
    #expect(words.isEmpty)
    #expect(session.descriptor == -1)
    #expect(try session.receive() == .ended)
    #expect(MountTable.last(at: path)?.type == (hasOtherBelow ? "tmpfs" : nil))
    if hasOtherBelow { umount2(path, 0) }
    umount2(elsewhere, Linux.unmountDetach)
  }

  @Test func aMountThatFailsSaysWhyInOneLine() throws {
    let session = try Session(SmallFilesystem())
    let error = #expect(throws: MountError.self) { try session.mount(at: "/nonexistent/place") }
    #expect(error?.message.contains("/nonexistent/place") == true)
    #expect(error?.message.contains("\n") == false)
    #expect(error?.errno == Errno(ENOENT))
    #expect(error?.message.hasPrefix("fuse:") == false)
    #expect(session.descriptor == -1)
  }

  @Test func anUnknownOptionIsNamed() throws {
    let error = #expect(throws: MountError.self) {
      _ = try Session(
        SmallFilesystem(), options: SessionOptions(libraryOptions: ["ro", "no_such_option=1"]))
    }
    #expect(error?.message.contains("no_such_option=1") == true)
  }
}

/// One file in one directory.
private final class SmallFilesystem: Operations {
  var content = Array("hello\n".utf8)
  private var listing = DirectoryBuffer(capacity: 1 << 16)

  private func attributes(_ node: NodeID) -> Attributes {
    var attributes = Attributes()
    attributes.ino = node
    attributes.mode = node == rootID ? S_IFDIR | 0o755 : S_IFREG | 0o644
    attributes.size = node == rootID ? 0 : Int64(content.count)
    return attributes
  }

  func lookup(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    guard strcmp(name, "file") == 0 else {
      request.fail(Errno(ENOENT))
      return
    }
    _ = request.entry(Entry(node: 2, attributes: attributes(2)))
  }

  func getattr(_ request: consuming Request, node: NodeID, handle: UInt64?) {
    request.attributes(attributes(node), timeout: 0)
  }

  func setattr(
    _ request: consuming Request, node: NodeID, changes: AttributeChanges, handle: UInt64?
  ) {
    if let size = changes.size { content = Array(content.prefix(Int(size))) }
    request.attributes(attributes(node), timeout: 0)
  }

  func read(_ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile) {
    let rest = content.dropFirst(Int(offset)).prefix(size)
    request.bytes(rest.span.bytes)
  }

  func write(
    _ request: consuming Request, node: NodeID, data: UnsafeRawBufferPointer, offset: Int64,
    file: OpenFile
  ) {
    content = Array(content.prefix(Int(offset))) + Array(data)
    request.written(data.count)
  }

  func readdir(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) {
    listing.removeAll(limit: size)
    if offset == 0 {
      do {
        try "file".utf8.withContiguousStorageIfAvailable {
          _ = try listing.add(UnsafeRawBufferPointer($0), ino: 2, mode: S_IFREG, next: 1)
        }
      } catch {
        request.fail(Errno(EIO))
        return
      }
    }
    listing.reply(to: request)
  }
}
