// Content that is written as a whole: gathered for each open file, and handed over to on_write_all.
//
// Invariants: what is written through one open file is one content, handed over once, and its errno is that
// of its own close(2). It is applied to what there is at the hand-over. A file without a name is not handed
// over.

import FUSE
import Glibc
import Ruby
import System

extension Filesystem {
  /// Whether writes to the file are gathered for on_write_all, or on_append.
  func writesWhole(_ node: Node) -> Bool {
    !has(.write, node) && (has(.writeAll, node) || has(.append, node))
  }

  /// Whether a content begins empty, because there is nothing to read: no one may, or nothing can.
  private func beginsEmpty(_ node: Node) -> Bool {
    if !has(.readAll, node) { return true }
    guard let mode = node.attributes?.mode else { return false }
    return mode & 0o444 == 0
  }

  /// Takes in a piece of the content that is written through a handle; at its end where there is no offset.
  func write(
    _ data: UnsafeRawBufferPointer, at offset: Int64?, _ handle: OpenHandle, _ task: ScriptTask
  ) {
    let limit = options.largestContent
    let place = offset.map { Int(clamping: $0) }
    let end = place ?? size(of: handle)
    guard end >= 0, end <= limit, data.count <= limit - end else { return fail(task, Errno(EFBIG)) }
    handle.pending.write(data, at: place)
    handle.shown = nil
    changed(handle.node)
    reply(task, written: data.count)
  }

  /// How large the content is that is written through a handle, as far as is known.
  private func size(of handle: OpenHandle) -> Int {
    handle.pending.size(of: Int(clamping: handle.node.scriptSize ?? 0))
  }

  /// The size of a file that is being written to: what the handle makes of it that was opened last, of those
  /// with changes; nil where none has any.
  func pendingSize(of node: Node) -> Int64? {
    node.writers.last { !$0.pending.isEmpty }.map { Int64(size(of: $0)) }
  }

  /// Cuts a content off: that of the handle where there is one, else that of the process's own open(2) with
  /// O_TRUNC, which the kernel tells without its handle, else the file's at once.
  func truncateWhole(
    _ node: Node, to size: Int64, _ handle: OpenHandle?, in task: ScriptTask, next: @escaping Done
  ) throws(Errno) {
    guard let size = Int(exactly: size), size <= options.largestContent else { throw Errno(EFBIG) }
    let opened = node.writers.last { $0.opener == task.context.pid && $0.pending.isEmpty }
    if let handle = handle ?? (size == 0 ? opened : nil), handle.mayWrite {
      handle.pending.truncate(to: size)
      handle.shown = nil
      return try next()
    }
    var pending = PendingContent()
    pending.truncate(to: size)
    handOver(pending, to: node, nil, in: task, orElse: nil, next: next)
  }

  /// Replies with a piece of what there is, with what was written through the handle.
  func readPending(_ task: ScriptTask, _ handle: OpenHandle, _ size: Int, _ offset: Int64) {
    let show: (OpenHandle) -> Void = { [self] handle in
      (handle.shown ?? []).withUnsafeBytes { content in
        reply(task, with: cut(content, size, offset))
      }
    }
    if handle.shown != nil { return show(handle) }
    base(of: handle.pending, handle.node, in: task) { content throws(Errno) in
      handle.shown = handle.pending.applied(to: content)
      show(handle)
    }
  }

  /// What there is before changes are applied: what on_read_all returns, unless they replace it anyway.
  private func base(
    of pending: PendingContent, _ node: Node, in task: ScriptTask,
    next: @escaping ([UInt8]) throws(Errno) -> Void
  ) {
    guard !pending.replacesAll, !beginsEmpty(node) else {
      do throws(Errno) { try next([]) } catch { fail(task, error) }
      return
    }
    call(task, .readAll, on: node, [.value(.nil)]) { [self] result throws(Errno) in
      let content: [UInt8]
      do throws(Errno) { content = [UInt8](try results.bytes(of: result)) } catch {
        // Something that can be written but not read begins empty.
        guard error.rawValue == ENOENT else { throw error }
        content = []
      }
      try next(content)
    }
  }

  /// Hands over what was written through a handle.
  ///
  /// Where the script refuses it, the task fails with its errno, unless `orElse` goes on instead.
  func handOver(
    _ handle: OpenHandle, in task: ScriptTask, orElse: Done? = nil, next: @escaping Done
  ) {
    let pending = handle.pending
    handle.pending = PendingContent()
    handle.shown = nil
    handOver(pending, to: handle.node, handle.object, in: task, orElse: orElse, next: next)
  }

  private func handOver(
    _ pending: PendingContent, to node: Node, _ object: VM.Root?, in task: ScriptTask,
    orElse: Done?, next: @escaping Done
  ) {
    // What is to be applied to what there is waits for what is on its way to there.
    if !pending.replacesAll, node.handOvers > 0 {
      node.afterHandOver.append { [self] in
        handOver(pending, to: node, object, in: task, orElse: orElse, next: next)
      }
      return
    }
    guard node.isLinked else {
      do throws(Errno) { try next() } catch { fail(task, error) }
      return
    }
    node.handOvers += 1
    // However the task ends, those that wait go on.
    task.whenOver = { [self] in endHandOver(of: node) }
    let accept: Continuation = { [self] result throws(Errno) in
      task.endBusiness()
      do throws(Errno) { try results.accept(result) } catch {
        guard let orElse else { throw error }
        return try orElse()
      }
      changed(node)
      try next()
    }
    if let bytes = appended(by: pending, to: node) {
      return bytes.withUnsafeBytes { bytes in
        call(task, .append, on: node, [.bytes(bytes), self.object(object)], next: accept)
      }
    }
    base(of: pending, node, in: task) { [self] content throws(Errno) in
      pending.applied(to: content).withUnsafeBytes { content in
        call(task, .writeAll, on: node, [.bytes(content), self.object(object)], next: accept)
      }
    }
  }

  /// What on_append is handed: what was only appended, or, of a class that knows nothing else, everything.
  private func appended(by pending: PendingContent, to node: Node) -> [UInt8]? {
    guard has(.append, node) else { return nil }
    return pending.onlyAppended ?? (has(.writeAll, node) ? nil : pending.applied(to: []))
  }

  private func endHandOver(of node: Node) {
    node.handOvers -= 1
    guard node.handOvers == 0 else { return }
    let waiting = node.afterHandOver
    node.afterHandOver = []
    for goOn in waiting { goOn() }
  }
}
