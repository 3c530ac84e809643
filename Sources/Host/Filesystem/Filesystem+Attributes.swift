// Attributes: telling and changing them.

import FUSE
import Glibc
import Ruby
import System

extension Filesystem {
  func getattr(_ request: consuming Request, node id: NodeID, handle: UInt64?) {
    let task = begin(.getattr, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    tell(task, node)
  }

  /// Replies with a node's attributes.
  func tell(_ task: ScriptTask, _ node: Node) {
    // No more is captured than the host: this is done for every stat.
    call(task, .getattr, on: node) { [self] result throws(Errno) in
      guard let node = result.node else { throw Errno(ESTALE) }
      guard let attributes = try attributes(in: result, of: node) else {
        forgetInstance(of: node)
        throw Errno(ENOENT)
      }
      let timeout = options.attributeTimeout
      self.reply(result.task) { $0.attributes(attributes, timeout: timeout) }
    }
  }

  /// Asks on_getattr; nil is a file that does not exist.
  func attributes(
    of node: Node, in task: ScriptTask, next: @escaping (Attributes?) throws(Errno) -> Void
  ) {
    call(task, .getattr, on: node) { [self] result throws(Errno) in
      try next(try attributes(in: result, of: node))
    }
  }

  /// The attributes that on_getattr returned; nil is a file that does not exist.
  func attributes(in result: HookResult, of node: Node) throws(Errno) -> Attributes? {
    if result.isMissing {
      // A class without on_getattr: a root directory, and nothing in it.
      var stat = StatLike()
      stat.mode = S_IFDIR | 0o755
      return node.isRoot ? attributes(from: stat, of: node) : nil
    }
    if let stat = try results.statLike(of: result) {
      // The kernel gives up an inode whose type changes, and would never ask for the root again.
      guard stat.isDirectory || !node.isRoot else {
        throw results.wrong(
          result, try results.value(of: result), "the attributes of a directory for /",
          example: "FUSE::Stat.directory")
      }
      return attributes(from: stat, of: node)
    }
    // The script no longer knows a file that was unlinked but is still open.
    guard !node.isLinked, var last = node.attributes else { return nil }
    last.nlink = 0
    if let size = pendingSize(of: node) { last.size = size }
    return last
  }

  func setattr(
    _ request: consuming Request, node id: NodeID, changes: AttributeChanges, handle: UInt64?
  ) {
    let task = begin(.setattr, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .changes(changes))
    let handle = handle.flatMap { handles[$0] }
    var changes = changes
    // chown(2) with -1 for both, or fallocate(2) of a file that loses its privileges by it: the owner
    // stays, and what goes with a change of owner is done.
    if changes.isEmpty { changes.uid = node.attributes?.uid ?? owner.uid }
    if changes.mode == nil, changes.clearsSetID || changes.uid != nil || changes.gid != nil {
      changes.mode = modeWithoutPrivileges(of: node)
    }
    change(node, changes, handle, in: task)
  }

  /// The permission bits that are left of a file when it is written to by a caller that may not keep
  /// them, or changes its owner: without set-user-ID, and without set-group-ID where the group may
  /// execute it. nil where there is nothing to take away.
  ///
  /// The kernel leaves this to the host (FUSE_HANDLE_KILLPRIV_V2), and the host does it for scripts.
  func modeWithoutPrivileges(of node: Node) -> UInt32? {
    guard let mode = node.attributes?.mode, mode & S_IFMT != S_IFDIR, mode & S_IFMT != S_IFLNK,
      has(.chmod, node)
    else { return nil }
    var left = mode & ~S_ISUID
    if mode & S_IXGRP != 0 { left &= ~S_ISGID }
    return left == mode ? nil : left
  }

  /// Carries out what is left of a setattr, one hook after the other, and tells the outcome.
  private func change(
    _ node: Node, _ changes: AttributeChanges, _ handle: OpenHandle?, in task: ScriptTask
  ) {
    var rest = changes
    let next: Done = { [self] () throws(Errno) in change(node, rest, handle, in: task) }
    if let size = rest.size.take() {
      truncate(node, to: size, handle, in: task, next: next)
    } else if rest.uid != nil || rest.gid != nil {
      let (uid, gid) = (rest.uid.take(), rest.gid.take())
      chown(node, uid, gid, in: task, next: next)
    } else if let mode = rest.mode.take() {
      chmod(node, mode, in: task, next: next)
    } else if rest.accessTime != nil || rest.modificationTime != nil {
      let (access, modification) = (rest.accessTime.take(), rest.modificationTime.take())
      utimens(node, access, modification, in: task, next: next)
    } else {
      tell(task, node)
    }
  }

  private func truncate(
    _ node: Node, to size: Int64, _ handle: OpenHandle?, in task: ScriptTask,
    next: @escaping Done
  ) {
    call(task, .truncate, on: node, [.integer(size), self.object(handle?.object)]) {
      [self] result throws(Errno) in
      try results.accept(result)
      changed(node)
      guard writesWhole(node) else { return try next() }
      try truncateWhole(node, to: size, handle, in: task, next: next)
    }
  }

  private func chmod(
    _ node: Node, _ mode: UInt32, in task: ScriptTask, next: @escaping Done
  ) {
    call(task, .chmod, on: node, [.integer(mode)]) { [self] result throws(Errno) in
      try results.accept(result)
      // Without the hook: asking for what is so already succeeds; a mode cannot be kept.
      if result.isMissing, let now = node.attributes?.mode, now & 0o7777 != mode & 0o7777 {
        throw Errno(EPERM)
      }
      changedAttributes(node)
      try next()
    }
  }

  private func chown(
    _ node: Node, _ uid: UInt32?, _ gid: UInt32?, in task: ScriptTask,
    next: @escaping Done
  ) {
    // The one that is not to change is handed over as it is, so that a script can set both.
    let now = node.attributes
    let newUID = uid ?? now?.uid ?? owner.uid
    let newGID = gid ?? now?.gid ?? owner.gid
    call(task, .chown, on: node, [.integer(newUID), .integer(newGID)]) {
      [self] result throws(Errno) in
      try results.accept(result)
      if result.isMissing, let now, now.uid != newUID || now.gid != newGID {
        throw Errno(EPERM)
      }
      changedAttributes(node)
      try next()
    }
  }

  private func utimens(
    _ node: Node, _ access: AttributeChanges.Time?, _ modification: AttributeChanges.Time?,
    in task: ScriptTask, next: @escaping Done
  ) {
    // One moment for both, so that a caller that sets both to now finds them equal.
    let now = Timestamp.now
    func moment(_ time: AttributeChanges.Time?) -> Timestamp? {
      switch time {
      case nil: nil
      case .now: now
      case .to(let moment): moment
      }
    }
    let accessed = moment(access)
    let modified = moment(modification)
    // Made into Ruby objects now, in a scope that outlives the call which is handed them.
    let arena = vm.openScope()
    defer { vm.closeScope(arena) }
    let arguments: Arguments
    do throws(RubyException) {
      arguments = [
        .value(try interpreter.value(of: accessed)), .value(try interpreter.value(of: modified)),
      ]
    } catch {
      return fail(task, results.errno(of: error, in: Hook.utimens.name, node: node))
    }
    call(task, .utimens, on: node, arguments) { [self] result throws(Errno) in
      try results.accept(result)
      node.accessed = accessed ?? node.accessed
      node.modified = modified ?? node.modified
      changedAttributes(node)
      try next()
    }
  }

  func access(_ request: consuming Request, node id: NodeID, mask: Int32) {
    let task = begin(.access, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .number(Int(mask)))
    act(task, .access, on: node, [.integer(mask)])
  }

  func readlink(_ request: consuming Request, node id: NodeID) {
    let task = begin(.readlink, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    call(task, .readlink, on: node) { [self] result throws(Errno) in
      let target = try results.bytes(of: result, limit: Int(PATH_MAX) - 1)
      self.reply(task) { $0.target(target) }
    }
  }

  func statfs(_ request: consuming Request, node id: NodeID) {
    let task = begin(.statfs, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    call(task, .statfs, on: node.isRoot ? node : tree.root) { [self] result throws(Errno) in
      let statistics = try results.statistics(of: result)
      self.reply(task) { $0.statistics(statistics) }
    }
  }

  /// The attributes that the kernel is told: what the script said, and good defaults for the rest.
  func attributes(from stat: StatLike, of node: Node) -> Attributes {
    var attributes = Attributes()
    attributes.ino = stat.ino.flatMap { $0 == 0 ? nil : $0 } ?? node.id
    attributes.mode = stat.mode & ~options.reportedUmask
    attributes.nlink =
      node.isLinked
      ? stat.nlink ?? (stat.isDirectory ? 2 : UInt32(clamping: max(node.dentries.count, 1))) : 0
    attributes.uid = options.uid ?? stat.uid ?? owner.uid
    attributes.gid = options.gid ?? stat.gid ?? owner.gid
    attributes.rdev = stat.rdev ?? 0
    node.scriptSize = stat.size
    let size = pendingSize(of: node) ?? stat.size
    // Also while what is written has a size: the caller that opens the file next finds it handed over.
    node.hasUnknownSize = stat.isRegular && stat.size == nil
    attributes.size = size ?? node.measuredSize ?? 0
    attributes.blocks = stat.blocks ?? (attributes.size + 511) / 512
    if let blksize = stat.blksize, blksize > 0 { attributes.blksize = blksize }
    let mtime = stat.mtime ?? node.modified ?? started
    attributes.mtime = mtime
    attributes.atime = stat.atime ?? node.accessed ?? mtime
    attributes.ctime = stat.ctime ?? mtime
    node.attributes = attributes
    if options.attributeTimeout > 0 {
      let nanoseconds = UInt64(min(options.attributeTimeout, 1e9) * 1e9)
      node.attributesExpire = monotonicNanoseconds() + nanoseconds
    }
    return attributes
  }
}
