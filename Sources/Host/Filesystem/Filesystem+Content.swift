// Content: reading and writing, piece by piece or as a whole.
//
// Invariant: what is read is cut to what was asked, and what is claimed to be written to what was
// handed over; a reply points at the Ruby String's own bytes and is sent, or copied, before Ruby runs
// again.

import FUSE
import Glibc
import Reports
import Ruby
import System

extension Filesystem {
  func read(
    _ request: consuming Request, node id: NodeID, size: Int, offset: Int64, file: OpenFile
  ) {
    let task = begin(.read, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .range(size, offset))
    let handle = handles[file.handle]
    task.file = file
    task.readSince = handle?.reading.begin(size) ?? 0
    if let handle, handle.reading.isPastCache {
      readToEnd(task, node, size, offset, handle)
    } else {
      read(task, node, size, offset, handle)
    }
  }

  /// Reads a piece past the kernel's cache, where the kernel does not look where the file ends. The host
  /// does as it would: it asks for attributes that are not to be believed any more.
  private func readToEnd(
    _ task: ScriptTask, _ node: Node, _ size: Int, _ offset: Int64, _ handle: OpenHandle
  ) {
    func read(_ attributes: Attributes) {
      let rest = node.hasUnknownSize ? Int64(size) : min(attributes.size - offset, Int64(size))
      guard rest > 0 else {
        return reply(task, with: UnsafeRawBufferPointer(start: nil, count: 0))
      }
      self.read(task, node, Int(rest), offset, handle)
    }
    let isCutAnyway = !handle.pending.isEmpty || handle.snapshot != nil && offset > 0
    if isCutAnyway || Int64(size) <= (node.attributes?.size ?? 0) - offset {
      return self.read(task, node, size, offset, handle)
    }
    if let attributes = node.attributes, monotonicNanoseconds() < node.attributesExpire {
      return read(attributes)
    }
    attributes(of: node, in: task) { attributes throws(Errno) in
      guard let attributes else { throw Errno(ENOENT) }
      read(attributes)
    }
  }

  private func read(
    _ task: ScriptTask, _ node: Node, _ size: Int, _ offset: Int64, _ handle: OpenHandle?
  ) {
    if let handle, !handle.pending.isEmpty { return readPending(task, handle, size, offset) }
    task.range = (offset, size)
    // No more is captured than the host, here and in write.
    call(
      task, .read, on: node, [.integer(size), .integer(offset), object(handle?.object)]
    ) { [self] result throws(Errno) in try read(result) }
  }

  /// on_read has returned, or the class has none.
  private func read(_ result: HookResult) throws(Errno) {
    let task = result.task
    let (offset, size) = task.range
    if result.isMissing, let node = result.node {
      return readAll(task, node, size, offset, handles[task.file.handle])
    }
    let bytes = try results.bytes(of: result, limit: size)
    if bytes.count < size { result.node?.measuredSize = offset + Int64(bytes.count) }
    self.reply(task, with: bytes)
  }

  func reply(_ task: ScriptTask, with bytes: UnsafeRawBufferPointer) {
    if task.readSince > 0 { handles[task.file.handle]?.reading.end(task.readSince) }
    reply(task, result: .success(bytes.count)) { $0.bytes(bytes) }
  }

  func reply(_ task: ScriptTask, written count: Int) {
    reply(task, result: .success(count)) { $0.written(count) }
  }

  func cut(
    _ content: UnsafeRawBufferPointer, _ size: Int, _ offset: Int64
  ) -> UnsafeRawBufferPointer {
    let start = min(Int(clamping: max(offset, 0)), content.count)
    return UnsafeRawBufferPointer(rebasing: content[start...].prefix(size))
  }

  /// Reads a piece of what on_read_all returns. The content is kept from the read at offset 0 until
  /// its end was read, so that a caller that reads a file from beginning to end sees one content.
  private func readAll(
    _ task: ScriptTask, _ node: Node, _ size: Int, _ offset: Int64, _ handle: OpenHandle?
  ) {
    if offset > 0, let handle, let snapshot = handle.snapshot {
      vm[snapshot].withBytes { content in
        reply(task, with: cut(content, size, offset))
        if offset >= content.count { dropSnapshot(of: handle) }
      }
      return
    }
    call(task, .readAll, on: node, [object(handle?.object)]) { [self] result throws(Errno) in
      let length = try results.bytes(of: result).count
      node.measuredSize = Int64(length)
      // Only a content of more than one piece has to be kept. That moves the String's bytes, so it
      // comes before they are lent.
      let isWhole = offset == 0 && length <= size && !node.hasUnknownSize
      if let handle, !isWhole, case .value(let value) = result.content {
        keepSnapshot(value, length, in: handle)
      }
      self.reply(task, with: cut(try results.bytes(of: result), size, offset))
    }
  }

  private func keepSnapshot(_ value: Value, _ length: Int, in handle: OpenHandle) {
    dropSnapshot(of: handle)
    var content = value.kind == .array ? value[0] : value
    do throws(RubyException) {
      // A copy that shares the bytes: what the script does to its String later is not seen.
      content = try vm.send(
        content, interpreter.names.slice, [try vm.integer(0), try vm.integer(length)])
      handle.snapshot = try vm.retain(content)
    } catch {
      reporter.report(vm.describe(error), in: Hook.readAll.name, path: handle.node.pathText)
    }
  }

  private func dropSnapshot(of handle: OpenHandle) {
    if let snapshot = handle.snapshot.take() { vm.release(snapshot) }
  }

  func write(
    _ request: consuming Request, node id: NodeID, data: UnsafeRawBufferPointer, offset: Int64,
    file: OpenFile
  ) {
    let task = begin(.write, request)
    guard let node = node(id, for: task) else { return }
    let total = data.count
    task.note(node, .range(total, offset))
    let handle = handles[file.handle]
    if let handle {
      dropSnapshot(of: handle)
      handle.largestPiece = max(handle.largestPiece, total)
    }
    if writesWhole(node) {
      guard let handle else { return fail(task, Errno(EBADF)) }
      // Where the end is, what was written knows better than the kernel, which may remember another size.
      return write(data, at: file.flags & O_APPEND == 0 ? offset : nil, handle, task)
    }
    task.file = file
    task.range = (offset, total)
    call(task, .write, on: node, [.bytes(data), .integer(offset), object(handle?.object)]) {
      [self] result throws(Errno) in
      try written(result)
    }
  }

  /// on_write has returned: a write by a caller without privileges takes the file's away.
  private func written(_ result: HookResult) throws(Errno) {
    guard !result.isMissing, let node = result.node else { throw Errno(ENOSYS) }
    let task = result.task
    let count = try results.count(of: result, total: task.range.count)
    changed(node)
    guard task.file.clearsSetID, let mode = modeWithoutPrivileges(of: node) else {
      return self.reply(task, written: count)
    }
    call(task, .chmod, on: node, [.integer(mode)]) { [self] result throws(Errno) in
      try results.accept(result)
      node.attributes?.mode = mode
      self.reply(task, written: count)
    }
  }
}
