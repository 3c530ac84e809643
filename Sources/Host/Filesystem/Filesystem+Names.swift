// Names: looking them up, and forgetting them.

import FUSE
import Glibc
import Ruby
import System

extension Filesystem {
  func lookup(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>
  ) {
    let task = begin(.lookup, request)
    guard let parent = node(parent, for: task),
      let dentry = borrowedDentry(parent, name, for: task)
    else { return }
    // No more is captured than the host: this is done for every look-up. Only where the kernel is to
    // believe that a name is absent, the name is kept.
    let next: Continuation
    if options.negativeTimeout > 0 {
      let kept = dentry.kept
      next = { [self] result throws(Errno) in try answerLookup(result, of: kept) }
    } else {
      next = { [self] result throws(Errno) in try answerLookup(result, of: nil) }
    }
    if tree.child(of: parent, named: dentry.name) == nil, calls.callFirst(task, dentry, next: next)
    {
      return
    }
    let node = findOrAdd(dentry, in: task)
    task.note(node)
    call(task, .getattr, on: node, next: next)
  }

  /// Replies with what on_getattr returned; an absent name is remembered where `dentry` is given.
  private func answerLookup(_ result: HookResult, of dentry: Dentry?) throws(Errno) {
    if let node = result.node, let attributes = try attributes(in: result, of: node) {
      return enter(result.task, node, attributes)
    }
    if let node = result.node { forgetInstance(of: node) }
    var timeout = 0.0
    if let dentry {
      timeout = options.negativeTimeout
      negativeDentries.note(dentry.name.bytes, under: dentry.parent.id)
    }
    self.reply(result.task, result: .failure(Errno(ENOENT))) { $0.negative(timeout: timeout) }
  }

  func forget(_ node: NodeID, lookups: UInt64) {
    guard let node = tree[node], !node.isRoot else { return }
    node.lookupCount -= min(lookups, node.lookupCount)
    release(node)
  }

  // MARK: Helpers that all operations on names share

  /// A name under a directory, checked; the request fails with ENAMETOOLONG where it is none.
  func dentry(
    _ parent: Node, _ name: UnsafePointer<CChar>, for task: ScriptTask
  ) -> Dentry? {
    borrowedDentry(parent, name, for: task)?.kept
  }

  /// The same for an operation that does not look at the name any more once a hook has waited.
  private func borrowedDentry(
    _ parent: Node, _ name: UnsafePointer<CChar>, for task: ScriptTask
  ) -> Dentry? {
    let name = EntryName(borrowing: name)
    guard name.count <= EntryName.longest else {
      fail(task, Errno(ENAMETOOLONG))
      return nil
    }
    guard parent.isLinked else {
      // A directory that was removed while a process is in it.
      fail(task, Errno(ENOENT))
      return nil
    }
    return Dentry(parent: parent, name: name)
  }

  /// Replies with a node as an entry, which counts as a look-up.
  func enter(_ task: ScriptTask, _ node: Node, _ attributes: Attributes) {
    let node = options.usesInodes ? merge(node, attributes, in: task) : node
    let entry = entry(node, attributes)
    node.lookupCount += 1
    reply(task) { if !$0.entry(entry) { forget(entry.node, lookups: 1) } }
  }

  func entry(_ node: Node, _ attributes: Attributes) -> Entry {
    Entry(
      node: node.id, generation: node.generation, attributes: attributes,
      attributeTimeout: options.attributeTimeout, entryTimeout: options.entryTimeout)
  }

  /// With use_ino two paths that show the same inode number are one file: the names of the later node
  /// go to the earlier one, which stands for both.
  private func merge(_ node: Node, _ attributes: Attributes, in task: ScriptTask) -> Node {
    guard attributes.mode & S_IFMT != S_IFDIR,
      let twin = tree.twin(of: node, ino: attributes.ino)
    else { return node }
    task.pin(twin)
    for dentry in node.dentries {
      // Between the two a directory of which the kernel knows nothing else would go.
      task.pin(dentry.parent)
      tree.unlink(node, from: dentry)
      tree.link(twin, as: dentry)
    }
    twin.attributes = attributes
    release(node)
    return twin
  }

  /// Lets go of the instances of a node whose path is gone, and of those below it; one with open files
  /// stays until they are closed.
  func forgetInstance(of node: Node) {
    var rest = [node]
    var done: [Node] = []
    while let next = rest.popLast() {
      guard next.openFiles == 0 else { continue }
      interpreter.dropInstance(of: next)
      next.attributes = nil
      if next !== node { done.append(next) }
      rest += next.children.values
    }
    // Those below first: a directory that still has some stays.
    for node in done.reversed() { tree.discardIfUnused(node) }
  }

  /// Called where something let go of a node: an unlinked one loses its instance with the last.
  func release(_ node: Node) {
    if !node.isLinked, node.lookupCount == 0, node.openFiles == 0 { forgetInstance(of: node) }
    tree.discardIfUnused(node)
  }
}
