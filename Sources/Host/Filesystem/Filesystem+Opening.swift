// Opening and closing files.

import ControlProtocol
import FUSE
import Glibc
import Ruby
import System

/// What on_open, on_create and on_opendir returned.
struct Opened {
  var reply = OpenReply()
  /// What it said of direct_io; nil where it said nothing.
  var directIO: Bool?
  var object: Value = .nil
}

extension Filesystem {
  func open(_ request: consuming Request, node id: NodeID, file: OpenFile) {
    let task = begin(.open, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .flags(file.flags))
    open(node, file.flags, in: task) { [self] reply throws(Errno) in
      self.reply(task) { if !$0.opened(reply) { forget(handle: reply.handle) } }
    }
  }

  /// Calls on_open and makes a handle.
  private func open(
    _ node: Node, _ flags: Int32, in task: ScriptTask,
    next: @escaping (OpenReply) throws(Errno) -> Void
  ) {
    call(task, .open, on: node, [.integer(flags)]) { [self] result throws(Errno) in
      try next(try register(try opened(by: result), node, flags, result))
    }
  }

  func create(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    file: OpenFile
  ) {
    let task = begin(.create, request)
    guard let parent = node(parent, for: task),
      let dentry = dentry(parent, name, for: task)
    else { return }
    let node = fresh(dentry, in: task)
    task.note(node, .flags(file.flags))
    let flags = file.flags
    call(task, .create, on: node, [.integer(mode), .integer(flags)]) {
      [self] result throws(Errno) in
      guard result.isMissing else {
        let opened: Opened
        do throws(Errno) { opened = try self.opened(by: result) } catch {
          forgetInstance(of: node)
          throw error
        }
        // The handle's object must outlive the next hook.
        let reply = try register(opened, node, flags, result)
        return created(node, in: parent, reply, task)
      }
      // Without on_create: on_mknod, then on_open, as libfuse does it.
      call(task, .mknod, on: node, [.integer(mode), .integer(0)]) { [self] result throws(Errno) in
        try accepted(result, making: node)
        open(node, flags, in: task) { [self] reply throws(Errno) in
          created(node, in: parent, reply, task)
        }
      }
    }
  }

  private func created(_ node: Node, in parent: Node, _ reply: OpenReply, _ task: ScriptTask) {
    changed(parent)
    attributes(of: node, in: task) { [self] attributes throws(Errno) in
      let known: Attributes
      do throws(Errno) { known = try made(node, attributes, by: .create) } catch {
        forget(handle: reply.handle)
        throw error
      }
      var reply = reply
      reply.directIO = reply.directIO || node.hasUnknownSize
      let entry = entry(node, known)
      node.lookupCount += 1
      self.reply(task) {
        if $0.created(entry, reply) { return }
        forget(handle: reply.handle)
        forget(entry.node, lookups: 1)
      }
    }
  }

  /// Reads what a hook that opens has returned: 0, nil, a Hash of wishes, or a handle of its own.
  func opened(by result: HookResult) throws(Errno) -> Opened {
    let value = try results.value(of: result)
    var opened = Opened()
    if result.isMissing { return opened }
    switch value.kind {
    case .nil: throw Errno(ENOENT)
    case .false: throw results.wrong(result, value)
    case .integer: opened.object = value.integer == 0 ? .nil : value
    case .hash: try read(wishes: value, into: &opened, result)
    default: opened.object = value
    }
    return opened
  }

  private func read(wishes: Value, into opened: inout Opened, _ result: HookResult) throws(Errno) {
    do throws(RubyException) {
      for key in try vm.keys(of: wishes) {
        let value = try vm.get(key, from: wishes)
        switch key.symbol.map(vm.text) ?? key.text ?? "" {
        case "handle": opened.object = value
        case "direct_io": opened.directIO = value.isTruthy
        case "keep_cache": opened.reply.keepCache = value.isTruthy
        case "nonseekable": opened.reply.nonseekable = value.isTruthy
        case "cache_readdir": opened.reply.cacheReaddir = value.isTruthy
        case "parallel_direct_writes": opened.reply.parallelDirectWrites = value.isTruthy
        default: throw RubyException(value: key)
        }
      }
    } catch {
      throw results.wrong(
        result, wishes,
        "a Hash with handle, direct_io, keep_cache, nonseekable, cache_readdir or "
          + "parallel_direct_writes", example: "{ direct_io: true }")
    }
  }

  /// Makes an open handle of what a hook returned.
  func register(
    _ opened: Opened, _ node: Node, _ flags: Int32, _ result: HookResult
  ) throws(Errno) -> OpenReply {
    var object: VM.Root?
    if !opened.object.isNil {
      do throws(RubyException) { object = try vm.retain(opened.object) } catch {
        throw results.errno(of: error, in: result.hook.name, node: node)
      }
    }
    let handle = OpenHandle(
      node: node, flags: flags, object: object, opener: result.task.context.pid)
    var reply = opened.reply
    reply.handle = handles.add(handle)
    reply.keepCache = reply.keepCache || keepsCache(node)
    reply.directIO = opened.directIO ?? false || options.directIO || node.hasUnknownSize
    if options.adaptiveCaching, !reply.directIO, opened.directIO == nil, !reply.keepCache,
      !options.cachesContent
    {
      handle.reading.isPastCache = isReadPastCache(node, flags)
      reply.directIO = handle.reading.isPastCache || isWrittenPastCache(node, flags)
    }
    // A reload may bring on_flush while the file is open.
    reply.noFlush =
      options.adaptiveCaching && !mayReload && !has(.flush, node) && !writesWhole(node)
      || options.noReadOnlyFlush && flags & O_ACCMODE == O_RDONLY
    node.pinCount += 1
    node.openFiles += 1
    if handle.mayWrite { node.writers.append(handle) }
    return reply
  }

  /// Whether the kernel is to hand on what is written without a copy in its cache, which several times
  /// as many bytes a second get through; pieces of a page are quicker copied.
  ///
  /// Who opened a file for writing only can neither read it there nor map it. The cache serves whom the
  /// user asked to have cached; and past it the kernel forgets that O_DSYNC is followed by an fsync.
  private func isWrittenPastCache(_ node: Node, _ flags: Int32) -> Bool {
    flags & (O_ACCMODE | O_DSYNC) == O_WRONLY && !node.isWrittenInPages
      && LinuxRelease.running.dropsCacheOnWrites && !has(.fsync, node)
  }
  private static let pageSize = Int(getpagesize())

  /// Whether who opened a file for reading only is to read past the kernel's cache. The file can be mapped
  /// all the same.
  private func isReadPastCache(_ node: Node, _ flags: Int32) -> Bool {
    flags & O_ACCMODE == O_RDONLY
      && node.readingHabit.isPastCache(direct: flags & Linux.direct != 0)
      && connection?.mapsDirectIO == true
  }

  /// kernel_cache keeps what is cached; auto_cache does while size and mtime are what they were.
  private func keepsCache(_ node: Node) -> Bool {
    if options.kernelCache { return true }
    guard options.autoCache, let now = node.attributes else { return false }
    defer { node.cachedAt = (now.size, now.mtime) }
    guard let then = node.cachedAt else { return false }
    return then.size == now.size && then.mtime == now.mtime
  }

  func flush(_ request: consuming Request, node id: NodeID, file: OpenFile) {
    let task = begin(.flush, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    let handle = handles[file.handle]
    let object = handle?.object
    func flush() { act(task, .flush, on: node, [self.object(object)]) }
    guard let handle, !handle.pending.isEmpty, node.isLinked,
      Closing.isLast(of: handle, by: task.context.pid, inode: node.attributes?.ino ?? node.id)
    else { return flush() }
    handOver(handle, in: task) { () throws(Errno) in flush() }
  }

  func release(_ request: consuming Request, node id: NodeID, file: OpenFile) {
    let task = begin(.release, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    let number = file.handle
    let object = handles[number]?.object
    let closing: Done = { [self] () throws(Errno) in
      call(task, .release, on: node, [self.object(object)]) { [self] result throws(Errno) in
        forget(handle: number)
        try results.accept(result)
        succeed(task)
      }
    }
    // Its opener was gone before the last process that held it, or it was written to through a mapping
    // after the last flush.
    guard let handle = handles[number], !handle.pending.isEmpty, node.isLinked else {
      do throws(Errno) { try closing() } catch { fail(task, error) }
      return
    }
    handOver(handle, in: task, orElse: closing, next: closing)
  }

  /// Lets go of an open handle, and of a file that only it kept.
  func forget(handle number: UInt64) {
    guard let handle = handles.remove(number) else { return }
    if let object = handle.object { vm.release(object) }
    if let snapshot = handle.snapshot { vm.release(snapshot) }
    if let listing = handle.listing { vm.release(listing) }
    let node = handle.node
    node.pollHandles[number] = nil
    node.pinCount -= 1
    node.openFiles -= 1
    if handle.flags & O_ACCMODE == O_RDONLY {
      node.readingHabit.closed(handle.reading, size: node.attributes?.size ?? 0)
    }
    if handle.largestPiece > 0 {
      node.isWrittenInPages = handle.largestPiece <= Filesystem.pageSize
    }
    node.writers.removeAll { $0 === handle }
    release(node)
  }

  func fsync(
    _ request: consuming Request, node id: NodeID, dataOnly: Bool, file: OpenFile
  ) {
    sync(.fsync, request, .fsync, id, dataOnly, file)
  }

  /// What fsync and fsyncdir have in common.
  func sync(
    _ operation: Operation, _ request: consuming Request, _ hook: Hook, _ id: NodeID,
    _ dataOnly: Bool, _ file: OpenFile
  ) {
    let task = begin(operation, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    act(
      task, hook, on: node,
      [.value(Value(dataOnly)), object(handles[file.handle]?.object)])
  }
}
