// Making, moving and removing names.

import ControlProtocol
import FUSE
import Glibc
import Reports
import Ruby
import System

extension Filesystem {
  func mknod(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    device: UInt64
  ) {
    make(.mknod, request, .mknod, parent, name, .octal(mode), [.integer(mode), .integer(device)])
  }

  func mkdir(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32
  ) {
    make(.mkdir, request, .mkdir, parent, name, .octal(mode), [.integer(mode | S_IFDIR)])
  }

  func symlink(
    _ request: consuming Request, target: UnsafePointer<CChar>, parent: NodeID,
    name: UnsafePointer<CChar>
  ) {
    let bytes = UnsafeRawBufferPointer(start: target, count: strlen(target))
    make(
      .symlink, request, .symlink, parent, name, .text(EntryName(borrowing: target).bytes),
      [.bytes(bytes)])
  }

  /// What mknod, mkdir and symlink have in common: the hook of the new path makes it, and then it is
  /// an entry like one that was looked up.
  private func make(
    _ operation: Operation, _ request: consuming Request, _ hook: Hook, _ parent: NodeID,
    _ name: UnsafePointer<CChar>, _ detail: @autoclosure () -> TraceRecord.Detail,
    _ arguments: Arguments
  ) {
    let task = begin(operation, request)
    guard let parent = node(parent, for: task),
      let dentry = dentry(parent, name, for: task)
    else { return }
    let node = fresh(dentry, in: task)
    task.note(node, detail())
    call(task, hook, on: node, arguments) { [self] result throws(Errno) in
      try accepted(result, making: node)
      changed(parent)
      attributes(of: node, in: task) { [self] attributes throws(Errno) in
        enter(task, node, try made(node, attributes, by: hook))
      }
    }
  }

  /// A node for a path that does not exist yet: what the kernel believes to be absent is absent, so
  /// an instance left from something that vanished goes now.
  func fresh(_ dentry: Dentry, in task: ScriptTask) -> Node {
    let node = findOrAdd(dentry, in: task)
    if node.lookupCount == 0, node.openFiles == 0 { forgetInstance(of: node) }
    return node
  }

  /// Accepts the result of a hook that makes `node`; where it failed, the instance goes again.
  func accepted(_ result: HookResult, making node: Node) throws(Errno) {
    do throws(Errno) { try results.accept(result) } catch {
      forgetInstance(of: node)
      throw error
    }
  }

  /// The attributes of something that was just made, which on_getattr must know of.
  func made(_ node: Node, _ attributes: Attributes?, by hook: Hook) throws(Errno) -> Attributes {
    if let attributes { return attributes }
    reporter.report(
      "\(hook.name) succeeded, but on_getattr then answered nil: it should describe the new file",
      in: Hook.getattr.name, path: node.pathText)
    forgetInstance(of: node)
    throw Errno(EIO)
  }

  func unlink(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    remove(.unlink, request, .unlink, parent, name)
  }

  func rmdir(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    remove(.rmdir, request, .rmdir, parent, name)
  }

  private func remove(
    _ operation: Operation, _ request: consuming Request, _ hook: Hook, _ parent: NodeID,
    _ name: UnsafePointer<CChar>
  ) {
    let task = begin(operation, request)
    guard let parent = node(parent, for: task),
      let dentry = dentry(parent, name, for: task)
    else { return }
    let node = findOrAdd(dentry, in: task)
    task.note(node)
    // A file with several names is one instance, so it is told which of them goes.
    let path = dentry.path ?? []
    path.withUnsafeBytes {
      call(task, hook, on: node, [.bytes($0)]) { [self] result throws(Errno) in
        try results.accept(result)
        unlink(node, from: dentry)
        changed(parent)
        changedAttributes(node)
        succeed(task)
      }
    }
  }

  /// Takes a name from a node; one that has no path left keeps its instance while it is in use.
  func unlink(_ node: Node, from dentry: Dentry) {
    let first = node.path
    let stranded = tree.unlink(node, from: dentry)
    if node.isLinked, node.path != first { tellPath(of: node) }
    for node in stranded.reversed() { release(node) }
    release(node)
  }

  func link(
    _ request: consuming Request, node id: NodeID, newParent: NodeID,
    newName: UnsafePointer<CChar>
  ) {
    let task = begin(.link, request)
    guard let node = node(id, for: task),
      let parent = self.node(newParent, for: task), let dentry = dentry(parent, newName, for: task)
    else { return }
    let path = dentry.path ?? []
    task.note(node, .text(path))
    path.withUnsafeBytes {
      call(task, .link, on: node, [.bytes($0)]) { [self] result throws(Errno) in
        try results.accept(result)
        if let other = tree.child(of: parent, named: dentry.name), other !== node {
          unlink(other, from: dentry)
        }
        tree.link(node, as: dentry)
        changed(parent)
        changedAttributes(node)
        attributes(of: node, in: task) { [self] attributes throws(Errno) in
          enter(task, node, try made(node, attributes, by: .link))
        }
      }
    }
  }

  func rename(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, newParent: NodeID,
    newName: UnsafePointer<CChar>, flags: UInt32
  ) {
    let task = begin(.rename, request)
    guard let parent = node(parent, for: task),
      let newParent = node(newParent, for: task), let old = dentry(parent, name, for: task),
      let new = dentry(newParent, newName, for: task)
    else { return }
    let node = findOrAdd(old, in: task)
    let newPath = new.path ?? []
    task.note(node, .text(newPath))
    let exchanges = flags & Linux.renameExchange != 0
    if flags != 0, has(.rename, node), !takesFlags(node) {
      // A hook that is not told of flags cannot honour them. The kernel has seen to NOREPLACE by
      // looking the new name up; an exchange is more than a rename.
      guard flags == Linux.renameNoReplace else { return fail(task, Errno(EINVAL)) }
    }
    let oldPath = old.path ?? []
    newPath.withUnsafeBytes { newBytes in
      oldPath.withUnsafeBytes { oldBytes in
        call(
          task, .rename, on: node, [.bytes(newBytes), .integer(flags), .bytes(oldBytes)]
        ) { [self] result throws(Errno) in
          try results.accept(result)
          move(node, from: old, to: new, exchange: exchanges)
          changed(parent)
          changed(newParent)
          succeed(task)
        }
      }
    }
  }

  private func takesFlags(_ node: Node) -> Bool {
    let name = interpreter.hookNames[Hook.rename.rawValue]
    let accepted =
      node.instance.flatMap { vm.accepts(vm[$0], name) }
      ?? vm.instances(of: vm[interpreter.klass], accept: name) ?? 0
    return accepted >= 2
  }

  /// Moves a name in the tree, and tells every instance whose path has changed.
  private func move(
    _ node: Node, from old: Dentry, to new: Dentry, exchange: Bool
  ) {
    let replaced = tree.child(of: new.parent, named: new.name)
    tree.move(node, from: old, to: new, exchange: exchange)
    if let replaced, replaced !== node {
      if exchange { tellPath(of: replaced) } else { release(replaced) }
    }
    tellPath(of: node)
    changedAttributes(node)
    if let replaced { changedAttributes(replaced) }
  }

  /// Tells the instance of a node and those below it their new path; one that cannot be told is
  /// dropped, and made anew when it is next needed.
  func tellPath(of node: Node) {
    var rest = [node]
    while let node = rest.popLast() {
      if let instance = node.instance, let path = node.path { tell(instance, of: node, path) }
      rest += node.children.values
    }
  }

  private func tell(_ instance: VM.Root, of node: Node, _ path: [UInt8]) {
    vm.scope {
      let value = vm[instance]
      guard vm.accepts(value, interpreter.names.setPath) != nil else {
        if node.openFiles == 0 { interpreter.dropInstance(of: node) }
        return
      }
      do throws(RubyException) {
        try vm.send(value, interpreter.names.setPath, [try vm.string(path)])
      } catch {
        reporter.report(vm.describe(error), in: "path=", path: node.pathText)
      }
    }
  }
}
