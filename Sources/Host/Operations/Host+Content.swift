// Content: reading and writing, piece by piece or as a whole.
//
// Invariant: what is read is cut to what was asked, and what is claimed to be written to what was
// handed over; a reply points at the Ruby String's own bytes and is sent, or copied, before Ruby runs
// again.

package import FUSE
import Glibc
import Reports
import Ruby
import System

extension Host {
  package func read(
    _ request: consuming Request, node id: NodeID, size: Int, offset: Int64, file: OpenFile
  ) {
    let turn = begin(.read, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node, .range(size, offset))
    let handle = handles[file.handle]
    turn.file = file
    turn.readSince = handle?.reading.begin(size) ?? 0
    if let handle, handle.reading.isPastCache {
      readToEnd(turn, node, size, offset, handle)
    } else {
      read(turn, node, size, offset, handle)
    }
  }

  /// Reads a piece past the kernel's cache, where the kernel does not look where the file ends. The host
  /// does as it would: it asks for attributes that are not to be believed any more.
  private func readToEnd(
    _ turn: Turn, _ node: Node, _ size: Int, _ offset: Int64, _ handle: OpenHandle
  ) {
    func read(_ attributes: Attributes) {
      let rest = node.hasUnknownSize ? Int64(size) : min(attributes.size - offset, Int64(size))
      guard rest > 0 else {
        return answer(turn, with: UnsafeRawBufferPointer(start: nil, count: 0))
      }
      self.read(turn, node, Int(rest), offset, handle)
    }
    let isCutAnyway = node.draft != nil || handle.snapshot != nil && offset > 0
    if isCutAnyway || Int64(size) <= (node.attributes?.size ?? 0) - offset {
      return self.read(turn, node, size, offset, handle)
    }
    if let attributes = node.attributes, monotonicNanoseconds() < node.believedUntil {
      return read(attributes)
    }
    attributes(of: node, in: turn) { attributes throws(Errno) in
      guard let attributes else { throw Errno(ENOENT) }
      read(attributes)
    }
  }

  private func read(
    _ turn: Turn, _ node: Node, _ size: Int, _ offset: Int64, _ handle: OpenHandle?
  ) {
    if let draft = node.draft {
      // Somebody is writing the whole content anew: that is what there is to read.
      return draft.content.withUnsafeBytes { content in
        answer(turn, with: cut(content, size, offset))
      }
    }
    turn.range = (offset, size)
    // No more is captured than the host, here and in write.
    call(
      turn, .read, on: node, [.integer(size), .integer(offset), object(handle?.object)]
    ) { [self] answer throws(Errno) in try read(answer) }
  }

  /// on_read has answered, or the class has none.
  private func read(_ answer: Answer) throws(Errno) {
    let turn = answer.turn
    let (offset, size) = turn.range
    if answer.isMissing, let node = answer.node {
      return readAll(turn, node, size, offset, handles[turn.file.handle])
    }
    let bytes = try bytes(of: answer, limit: size)
    if bytes.count < size { answer.node?.measuredSize = offset + Int64(bytes.count) }
    self.answer(turn, with: bytes)
  }

  private func answer(_ turn: Turn, with bytes: UnsafeRawBufferPointer) {
    if turn.readSince > 0 { handles[turn.file.handle]?.reading.end(turn.readSince) }
    answer(turn, result: .success(bytes.count)) { $0.bytes(bytes) }
  }

  func answer(_ turn: Turn, written count: Int) {
    answer(turn, result: .success(count)) { $0.written(count) }
  }

  private func cut(
    _ content: UnsafeRawBufferPointer, _ size: Int, _ offset: Int64
  ) -> UnsafeRawBufferPointer {
    let start = min(Int(clamping: max(offset, 0)), content.count)
    return UnsafeRawBufferPointer(rebasing: content[start...].prefix(size))
  }

  /// Reads a piece of what on_read_all answers. The content is kept from the read at offset 0 until
  /// its end was read, so that who reads a file from beginning to end sees one content.
  private func readAll(
    _ turn: Turn, _ node: Node, _ size: Int, _ offset: Int64, _ handle: OpenHandle?
  ) {
    if offset > 0, let handle, let snapshot = handle.snapshot {
      vm[snapshot].withBytes { content in
        answer(turn, with: cut(content, size, offset))
        if offset >= content.count { dropSnapshot(of: handle) }
      }
      return
    }
    call(turn, .readAll, on: node, [object(handle?.object)]) { [self] answer throws(Errno) in
      let length = try bytes(of: answer).count
      node.measuredSize = Int64(length)
      // Only a content of more than one piece has to be kept. That moves the String's bytes, so it
      // comes before they are lent.
      let isWhole = offset == 0 && length <= size && !node.hasUnknownSize
      if let handle, !isWhole, case .value(let value) = answer.result {
        keepSnapshot(value, length, in: handle)
      }
      self.answer(turn, with: cut(try bytes(of: answer), size, offset))
    }
  }

  private func keepSnapshot(_ answer: Value, _ length: Int, in handle: OpenHandle) {
    dropSnapshot(of: handle)
    var content = answer.kind == .array ? answer[0] : answer
    do throws(RubyException) {
      // A copy that shares the bytes: what the script does to its String later is not seen.
      content = try vm.send(content, names.slice, [try vm.integer(0), try vm.integer(length)])
      handle.snapshot = try vm.retain(content)
    } catch {
      reporter.report(vm.describe(error), in: Hook.readAll.name, path: handle.node.pathText)
    }
  }

  private func dropSnapshot(of handle: OpenHandle) {
    if let snapshot = handle.snapshot.take() { vm.release(snapshot) }
  }

  package func write(
    _ request: consuming Request, node id: NodeID, data: UnsafeRawBufferPointer, offset: Int64,
    file: OpenFile
  ) {
    let turn = begin(.write, request)
    guard let node = node(id, for: turn) else { return }
    let total = data.count
    note(turn, node, .range(total, offset))
    let handle = handles[file.handle]
    if let handle {
      dropSnapshot(of: handle)
      handle.largestPiece = max(handle.largestPiece, total)
    }
    if writesWhole(node) {
      // Where the end is, the draft knows better than the kernel, which may remember another size.
      return writeDraft(turn, node, data, file.flags & O_APPEND == 0 ? offset : nil)
    }
    turn.file = file
    turn.range = (offset, total)
    call(turn, .write, on: node, [.bytes(data), .integer(offset), object(handle?.object)]) {
      [self] answer throws(Errno) in
      try written(answer)
    }
  }

  /// on_write has answered: a write by somebody without privileges takes the file's away.
  private func written(_ answer: Answer) throws(Errno) {
    guard !answer.isMissing, let node = answer.node else { throw Errno(ENOSYS) }
    let turn = answer.turn
    let count = try count(of: answer, total: turn.range.count)
    changed(node)
    guard turn.file.clearsSetID, let mode = modeWithoutPrivileges(of: node) else {
      return self.answer(turn, written: count)
    }
    call(turn, .chmod, on: node, [.integer(mode)]) { [self] answer throws(Errno) in
      try accept(answer)
      node.attributes?.mode = mode
      self.answer(turn, written: count)
    }
  }

  // MARK: Content as a whole

  /// The largest content that is gathered for on_write_all, in bytes.
  static let largestDraft = 1 << 30

  /// Whether writes to the file are gathered for on_write_all.
  func writesWhole(_ node: Node) -> Bool { !has(.write, node) && has(.writeAll, node) }

  /// Writes to the draft, which is made where there is none; at its end where there is no offset.
  private func writeDraft(
    _ turn: Turn, _ node: Node, _ data: UnsafeRawBufferPointer, _ offset: Int64?
  ) {
    let total = data.count
    let writer = turn.context.pid
    func write(_ data: UnsafeRawBufferPointer) throws(Errno) {
      let start = offset.map { Int(clamping: $0) } ?? node.draft?.content.count ?? 0
      guard start >= 0, start <= Host.largestDraft - total else { throw Errno(EFBIG) }
      node.draft?.write(data, at: start, by: writer)
      changed(node)
      answer(turn, written: total)
    }
    do throws(Errno) {
      if node.draft != nil { return try write(data) }
      // The request's buffer is gone once the hook that is asked for the old content waits.
      let copy = [UInt8](data)
      try draft(of: node, keeping: true, in: turn) { () throws(Errno) in
        // withUnsafeBytes of an Array forgets what type is thrown.
        try copy.withUnsafeBytes { bytes in
          Result { () throws(Errno) in try write(bytes) }
        }.get()
      }
    } catch {
      fail(turn, error)
    }
  }

  /// Sees to it that the node has a draft: what on_read_all has, or nothing.
  func draft(
    of node: Node, keeping: Bool, in turn: Turn, next: @escaping Done
  ) throws(Errno) {
    if node.draft != nil { return try next() }
    guard keeping, has(.readAll, node) else {
      node.draft = Draft(content: node.handingOver ?? [])
      if !keeping { node.draft?.content = [] }
      return try next()
    }
    if let content = node.handingOver {
      node.draft = Draft(content: content)
      return try next()
    }
    call(turn, .readAll, on: node, [.value(.nil)]) { [self] answer throws(Errno) in
      let content: [UInt8]
      do throws(Errno) { content = [UInt8](try bytes(of: answer)) } catch {
        // Something that can be written but not read begins empty.
        guard error.rawValue == ENOENT else { throw error }
        content = []
      }
      if node.draft == nil { node.draft = Draft(content: content) }
      try next()
    }
  }

  /// Hands a draft over to on_write_all, once.
  ///
  /// Where the script refuses it, the turn fails with its errno, unless `orElse` goes on instead.
  func handOver(
    _ node: Node, _ object: VM.Root?, in turn: Turn,
    orElse: Done? = nil, next: @escaping Done
  ) {
    guard let draft = node.draft.take() else {
      do throws(Errno) { try next() } catch { fail(turn, error) }
      return
    }
    node.handingOver = draft.content
    draft.content.withUnsafeBytes { content in
      call(turn, .writeAll, on: node, [.bytes(content), self.object(object)]) {
        [self] answer throws(Errno) in
        node.handingOver = nil
        do throws(Errno) { try accept(answer) } catch {
          guard let orElse else { throw error }
          return try orElse()
        }
        changed(node)
        try next()
      }
    }
  }
}
