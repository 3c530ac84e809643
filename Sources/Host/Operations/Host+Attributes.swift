// Attributes: telling and changing them.

package import FUSE
import Glibc
import Ruby
import System

extension Host {
  package func getattr(_ request: consuming Request, node id: NodeID, handle: UInt64?) {
    let turn = begin(.getattr, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node)
    tell(turn, node)
  }

  /// Answers with a node's attributes.
  func tell(_ turn: Turn, _ node: Node) {
    // No more is captured than the host: this is done for every stat.
    call(turn, .getattr, on: node) { [self] answer throws(Errno) in
      guard let node = answer.node else { throw Errno(ESTALE) }
      guard let attributes = try attributes(in: answer, of: node) else {
        forgetInstance(of: node)
        throw Errno(ENOENT)
      }
      let timeout = options.attributeTimeout
      self.answer(answer.turn) { $0.attributes(attributes, timeout: timeout) }
    }
  }

  /// Asks on_getattr; nil is a file that does not exist.
  func attributes(
    of node: Node, in turn: Turn, next: @escaping (Attributes?) throws(Errno) -> Void
  ) {
    call(turn, .getattr, on: node) { [self] answer throws(Errno) in
      try next(try attributes(in: answer, of: node))
    }
  }

  /// The attributes that on_getattr answered; nil is a file that does not exist.
  func attributes(in answer: Answer, of node: Node) throws(Errno) -> Attributes? {
    if answer.isMissing {
      // A class without on_getattr: a root directory, and nothing in it.
      var stat = StatLike()
      stat.mode = S_IFDIR | 0o755
      return node.isRoot ? attributes(from: stat, of: node) : nil
    }
    if let stat = try statLike(of: answer) { return attributes(from: stat, of: node) }
    // The script no longer knows a file that was unlinked but is still open.
    guard !node.isLinked, var last = node.attributes else { return nil }
    last.nlink = 0
    return last
  }

  package func setattr(
    _ request: consuming Request, node id: NodeID, changes: AttributeChanges, handle: UInt64?
  ) {
    let turn = begin(.setattr, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node, .changes(changes))
    let object = handle.flatMap { handles[$0] }?.object
    var changes = changes
    // chown(2) with -1 for both, or fallocate(2) of a file that loses its privileges by it: the owner
    // stays, and what goes with a change of owner is done.
    if changes.isEmpty { changes.uid = node.attributes?.uid ?? mounter.uid }
    if changes.mode == nil, changes.clearsSetID || changes.uid != nil || changes.gid != nil {
      changes.mode = modeWithoutPrivileges(of: node)
    }
    change(node, changes, object, in: turn)
  }

  /// The permission bits that are left of a file when it is written to by somebody who may not keep
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
    _ node: Node, _ changes: AttributeChanges, _ object: VM.Root?, in turn: Turn
  ) {
    var rest = changes
    let next: Done = { [self] () throws(Errno) in change(node, rest, object, in: turn) }
    if let size = rest.size.take() {
      truncate(node, to: size, object, in: turn, next: next)
    } else if rest.uid != nil || rest.gid != nil {
      let (uid, gid) = (rest.uid.take(), rest.gid.take())
      chown(node, uid, gid, in: turn, next: next)
    } else if let mode = rest.mode.take() {
      chmod(node, mode, in: turn, next: next)
    } else if rest.accessTime != nil || rest.modificationTime != nil {
      let (access, modification) = (rest.accessTime.take(), rest.modificationTime.take())
      utimens(node, access, modification, in: turn, next: next)
    } else {
      tell(turn, node)
    }
  }

  private func truncate(
    _ node: Node, to size: Int64, _ object: VM.Root?, in turn: Turn,
    next: @escaping Done
  ) {
    call(turn, .truncate, on: node, [.integer(size), self.object(object)]) {
      [self] answer throws(Errno) in
      try accept(answer)
      changed(node)
      guard writesWhole(node) else { return try next() }
      try draft(of: node, keeping: size > 0, in: turn) { [self] () throws(Errno) in
        guard let size = Int(exactly: size), size <= Host.largestDraft else {
          throw Errno(EFBIG)
        }
        node.draft?.truncate(to: size)
        // truncate(2) on a file that nobody writes to: there will be no flush.
        guard node.openWriters == 0 else { return try next() }
        handOver(node, nil, in: turn, next: next)
      }
    }
  }

  private func chmod(
    _ node: Node, _ mode: UInt32, in turn: Turn, next: @escaping Done
  ) {
    call(turn, .chmod, on: node, [.integer(mode)]) { [self] answer throws(Errno) in
      try accept(answer)
      // Without the hook: asking for what is so already succeeds; a mode cannot be kept.
      if answer.isMissing, let now = node.attributes?.mode, now & 0o7777 != mode & 0o7777 {
        throw Errno(EPERM)
      }
      changedAttributes(node)
      try next()
    }
  }

  private func chown(
    _ node: Node, _ uid: UInt32?, _ gid: UInt32?, in turn: Turn,
    next: @escaping Done
  ) {
    // The one that is not to change is handed over as it is, so that a script can set both.
    let now = node.attributes
    let newUID = uid ?? now?.uid ?? mounter.uid
    let newGID = gid ?? now?.gid ?? mounter.gid
    call(turn, .chown, on: node, [.integer(newUID), .integer(newGID)]) {
      [self] answer throws(Errno) in
      try accept(answer)
      if answer.isMissing, let now, now.uid != newUID || now.gid != newGID {
        throw Errno(EPERM)
      }
      changedAttributes(node)
      try next()
    }
  }

  private func utimens(
    _ node: Node, _ access: AttributeChanges.Time?, _ modification: AttributeChanges.Time?,
    in turn: Turn, next: @escaping Done
  ) {
    // One moment for both, so that who sets both to now finds them equal.
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
      arguments = [.value(try value(of: accessed)), .value(try value(of: modified))]
    } catch {
      return fail(turn, errno(of: error, in: Hook.utimens.name, node: node))
    }
    call(turn, .utimens, on: node, arguments) { [self] answer throws(Errno) in
      try accept(answer)
      node.accessed = accessed ?? node.accessed
      node.modified = modified ?? node.modified
      changedAttributes(node)
      try next()
    }
  }

  /// A moment as Ruby sees it: a Rational of seconds, which loses no nanosecond; nil for none.
  func value(of time: Timestamp?) throws(RubyException) -> Value {
    guard let time else { return .nil }
    return try vm.send(
      vm[classes.fuse], names.time,
      [try vm.integer(Int(time.seconds)), try vm.integer(Int(time.nanoseconds))])
  }

  /// Remembers that a file's content changed, for scripts that keep no time of it.
  func changed(_ node: Node) {
    node.modified = .lastTick
    node.measuredSize = nil
    changedAttributes(node)
  }

  /// Remembers that something of a file changed: what a listing said of it before does not hold.
  func changedAttributes(_ node: Node) {
    changes += 1
    node.lastChange = changes
    node.believedUntil = 0
  }

  /// A handle's object as the argument of a hook.
  func object(_ root: VM.Root?) -> Argument { .value(root.map { vm[$0] } ?? .nil) }

  package func access(_ request: consuming Request, node id: NodeID, mask: Int32) {
    let turn = begin(.access, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node, .number(Int(mask)))
    act(turn, .access, on: node, [.integer(mask)])
  }

  package func readlink(_ request: consuming Request, node id: NodeID) {
    let turn = begin(.readlink, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node)
    call(turn, .readlink, on: node) { [self] answer throws(Errno) in
      let target = try bytes(of: answer, limit: Int(PATH_MAX) - 1)
      self.answer(turn) { $0.target(target) }
    }
  }

  package func statfs(_ request: consuming Request, node id: NodeID) {
    let turn = begin(.statfs, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node)
    call(turn, .statfs, on: node.isRoot ? node : tree.root) { [self] answer throws(Errno) in
      let statistics = try statistics(of: answer)
      self.answer(turn) { $0.statistics(statistics) }
    }
  }

  /// Calls a hook that acts, and answers whether it succeeded.
  func act(_ turn: Turn, _ hook: Hook, on node: Node, _ arguments: Arguments = []) {
    call(turn, hook, on: node, arguments) { [self] answer throws(Errno) in
      try accept(answer)
      succeed(turn)
    }
  }
}
