// Making, moving and removing names.

import ControlProtocol
package import FUSE
import Glibc
import Reports
import Ruby
import System

extension Host {
  package func mknod(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    device: UInt64
  ) {
    make(.mknod, request, .mknod, parent, name, .octal(mode), [.integer(mode), .integer(device)])
  }

  package func mkdir(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32
  ) {
    make(.mkdir, request, .mkdir, parent, name, .octal(mode), [.integer(mode | S_IFDIR)])
  }

  package func symlink(
    _ request: consuming Request, target: UnsafePointer<CChar>, parent: NodeID,
    name: UnsafePointer<CChar>
  ) {
    let bytes = UnsafeRawBufferPointer(start: target, count: strlen(target))
    make(
      .symlink, request, .symlink, parent, name, .text(FileName(borrowing: target).bytes),
      [.bytes(bytes)])
  }

  /// What mknod, mkdir and symlink have in common: the hook of the new path makes it, and then it is
  /// an entry like one that was looked up.
  private func make(
    _ operation: Operation, _ request: consuming Request, _ hook: Hook, _ parent: NodeID,
    _ name: UnsafePointer<CChar>, _ detail: @autoclosure () -> TraceRecord.Detail,
    _ arguments: Arguments
  ) {
    let turn = begin(operation, request)
    guard let parent = node(parent, for: turn),
      let place = place(parent, name, for: turn)
    else { return }
    let node = fresh(place, in: turn)
    note(turn, node, detail())
    call(turn, hook, on: node, arguments) { [self] answer throws(Errno) in
      try accepted(answer, making: node)
      changed(parent)
      attributes(of: node, in: turn) { [self] attributes throws(Errno) in
        enter(turn, node, try made(node, attributes, by: hook))
      }
    }
  }

  /// A node for a path that does not exist yet: what the kernel believes to be absent is absent, so
  /// an instance left from something that vanished goes now.
  func fresh(_ place: Node.Place, in turn: Turn) -> Node {
    let node = findOrAdd(place, in: turn)
    if node.lookups == 0, node.openFiles == 0 { forgetInstance(of: node) }
    return node
  }

  /// Accepts the answer of a hook that makes `node`; where it did not, the instance goes again.
  func accepted(_ answer: Answer, making node: Node) throws(Errno) {
    do throws(Errno) { try accept(answer) } catch {
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

  package func unlink(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    remove(.unlink, request, .unlink, parent, name)
  }

  package func rmdir(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    remove(.rmdir, request, .rmdir, parent, name)
  }

  private func remove(
    _ operation: Operation, _ request: consuming Request, _ hook: Hook, _ parent: NodeID,
    _ name: UnsafePointer<CChar>
  ) {
    let turn = begin(operation, request)
    guard let parent = node(parent, for: turn),
      let place = place(parent, name, for: turn)
    else { return }
    let node = findOrAdd(place, in: turn)
    note(turn, node)
    // A file with several names is one instance, so it is told which of them goes.
    let path = place.path ?? []
    path.withUnsafeBytes {
      call(turn, hook, on: node, [.bytes($0)]) { [self] answer throws(Errno) in
        try accept(answer)
        unlink(node, from: place)
        changed(parent)
        changedAttributes(node)
        succeed(turn)
      }
    }
  }

  /// Takes a name from a node; one that has no path left keeps its instance while it is in use.
  func unlink(_ node: Node, from place: Node.Place) {
    let first = node.path
    tree.unlink(node, from: place)
    if node.isLinked, node.path != first { tellPath(of: node) }
    release(node)
  }

  package func link(
    _ request: consuming Request, node id: NodeID, newParent: NodeID,
    newName: UnsafePointer<CChar>
  ) {
    let turn = begin(.link, request)
    guard let node = node(id, for: turn),
      let parent = self.node(newParent, for: turn), let place = place(parent, newName, for: turn)
    else { return }
    let path = place.path ?? []
    note(turn, node, .text(path))
    path.withUnsafeBytes {
      call(turn, .link, on: node, [.bytes($0)]) { [self] answer throws(Errno) in
        try accept(answer)
        if let other = tree.child(of: parent, named: place.name), other !== node {
          unlink(other, from: place)
        }
        tree.link(node, as: place)
        changed(parent)
        changedAttributes(node)
        attributes(of: node, in: turn) { [self] attributes throws(Errno) in
          enter(turn, node, try made(node, attributes, by: .link))
        }
      }
    }
  }

  package func rename(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, newParent: NodeID,
    newName: UnsafePointer<CChar>, flags: UInt32
  ) {
    let turn = begin(.rename, request)
    guard let parent = node(parent, for: turn),
      let newParent = node(newParent, for: turn), let old = place(parent, name, for: turn),
      let new = place(newParent, newName, for: turn)
    else { return }
    let node = findOrAdd(old, in: turn)
    let newPath = new.path ?? []
    note(turn, node, .text(newPath))
    let exchanges = flags & Linux.renameExchange != 0
    if flags != 0, has(.rename, node), !takesFlags(node) {
      // A hook that is not told of flags cannot honour them. The kernel has seen to NOREPLACE by
      // looking the new name up; an exchange is more than a rename.
      guard flags == Linux.renameNoReplace else { return fail(turn, Errno(EINVAL)) }
    }
    let oldPath = old.path ?? []
    newPath.withUnsafeBytes { newBytes in
      oldPath.withUnsafeBytes { oldBytes in
        call(
          turn, .rename, on: node, [.bytes(newBytes), .integer(flags), .bytes(oldBytes)]
        ) { [self] answer throws(Errno) in
          try accept(answer)
          move(node, from: old, to: new, exchange: exchanges)
          changed(parent)
          changed(newParent)
          succeed(turn)
        }
      }
    }
  }

  private func takesFlags(_ node: Node) -> Bool {
    let name = hookNames[Hook.rename.rawValue]
    let accepted =
      node.instance.flatMap { vm.accepts(vm[$0], name) }
      ?? vm.instances(of: vm[classes.klass], accept: name) ?? 0
    return accepted >= 2
  }

  /// Moves a name in the tree, and tells every instance whose path has changed.
  private func move(
    _ node: Node, from old: Node.Place, to new: Node.Place, exchange: Bool
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
    if let instance = node.instance, let path = node.path {
      vm.scope {
        let value = vm[instance]
        guard vm.accepts(value, names.setPath) != nil else {
          if node.openFiles == 0 {
            node.instance = nil
            vm.release(instance)
          }
          return
        }
        do throws(RubyException) {
          try vm.send(value, names.setPath, [try vm.string(path)])
        } catch {
          reporter.report(vm.describe(error), in: "path=", path: node.pathText)
        }
      }
    }
    for child in node.children.values { tellPath(of: child) }
  }
}
