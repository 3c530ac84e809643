import CFuse
import Glibc
import System
import Testing

@testable import FUSE

/// A filesystem that notes what it is asked, and can keep requests for later.
final class Filesystem: Operations {
  var names: [[UInt8]] = []
  var log: [String] = []
  var contexts: [Context] = []
  var changes: [AttributeChanges] = []
  var files: [OpenFile] = []
  var written: [UInt8] = []
  var content: [UInt8] = Array("hello".utf8)
  var openReply = OpenReply(handle: 7)
  var tokens: [UInt64] = []
  var kept: Request?
  var connection: Connection?
  var pollHandle: PollHandle?

  static func attributes(_ node: NodeID) -> Attributes {
    var attributes = Attributes()
    attributes.ino = node
    attributes.mode = S_IFREG | 0o644
    attributes.size = 5
    attributes.mtime = Timestamp(seconds: -1, nanoseconds: 999_999_999)
    return attributes
  }

  func started(_ connection: Connection) { self.connection = connection }
  func destroyed() { log.append("destroyed") }
  func interrupted(_ token: UInt64) { tokens.append(token) }

  func lookup(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    names.append(Array(UnsafeRawBufferPointer(start: name, count: strlen(name))))
    contexts.append(request.context)
    switch String(cString: name) {
    case "absent": request.fail(Errno(ENOENT))
    case "never": request.negative(timeout: 1.5)
    case "dropped": break
    default:
      _ = request.entry(
        Entry(
          node: 9, generation: 3, attributes: Self.attributes(9), attributeTimeout: 0.25,
          entryTimeout: 2))
    }
  }

  func forget(_ node: NodeID, lookups: UInt64) { log.append("forget \(node) \(lookups)") }

  func getattr(_ request: consuming Request, node: NodeID, handle: UInt64?) {
    log.append("getattr \(node) \(handle.map(String.init) ?? "-")")
    request.attributes(Self.attributes(node), timeout: 1)
  }

  func setattr(
    _ request: consuming Request, node: NodeID, changes: AttributeChanges, handle: UInt64?
  ) {
    self.changes.append(changes)
    log.append("setattr \(handle.map(String.init) ?? "-")")
    request.attributes(Self.attributes(node), timeout: 0)
  }

  func readlink(_ request: consuming Request, node: NodeID) {
    let content = content
    request.bytes(content.span.bytes)
  }

  func symlink(
    _ request: consuming Request, target: UnsafePointer<CChar>, parent: NodeID,
    name: UnsafePointer<CChar>
  ) {
    log.append("symlink \(String(cString: target)) \(String(cString: name))")
    request.fail(Errno(EROFS))
  }

  func rename(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, newParent: NodeID,
    newName: UnsafePointer<CChar>, flags: UInt32
  ) {
    log.append(
      "rename \(parent) \(String(cString: name)) \(newParent) \(String(cString: newName)) \(flags)")
    request.succeed()
  }

  func create(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    file: OpenFile
  ) {
    files.append(file)
    contexts.append(request.context)
    _ = request.created(
      Entry(node: 9, attributes: Self.attributes(9), attributeTimeout: 0.5), openReply)
  }

  func open(_ request: consuming Request, node: NodeID, file: OpenFile) {
    files.append(file)
    _ = request.opened(openReply)
  }

  func read(_ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile) {
    files.append(file)
    if node == 99 {
      kept = consume request
      return
    }
    let content = content
    request.bytes(content.span.bytes)
  }

  func write(
    _ request: consuming Request, node: NodeID, data: UnsafeRawBufferPointer, offset: Int64,
    file: OpenFile
  ) {
    files.append(file)
    written += Array(data)
    request.written(data.count)
  }

  func poll(
    _ request: consuming Request, node: NodeID, file: OpenFile, events: UInt32,
    handle: PollHandle?
  ) {
    pollHandle = handle
    request.polled(events & UInt32(POLLIN))
  }

  func setlk(_ request: consuming Request, node: NodeID, file: OpenFile, lock: FileLock, wait: Bool)
  {
    log.append("setlk \(lock.kind) \(lock.start) \(lock.length) \(wait) \(file.lockOwner)")
    request.succeed()
  }

  func getlk(_ request: consuming Request, node: NodeID, file: OpenFile, lock: FileLock) {
    request.lock(FileLock(.write, start: 10, length: 5, pid: 3))
  }

  /// Answers the request that was kept, if there is one.
  func answerKept(_ error: Errno) {
    guard let request = kept.take() else { return }
    request.fail(error)
  }

  var hasPollHandle: Bool {
    switch pollHandle {
    case .some: true
    case .none: false
    }
  }

  func notifyPoll() throws { try pollHandle.take()?.notify() }

  func dropKept() { kept = nil }

  func listenToKept(_ token: UInt64) {
    guard let request = kept.take() else { return }
    request.onInterrupt(token)
    kept = consume request
  }

  var keptIsInterrupted: Bool {
    guard let request = kept.take() else { return false }
    let result = request.isInterrupted
    kept = consume request
    return result
  }
}
