// The tree of live nodes: node id -> node is one look-up in an array, and a path is only made when an
// instance is.
//
// Invariant: what is in the tree is what exists or is in use. A name that was asked for and turned
// out to be absent leaves nothing behind.

import FUSE

/// All nodes of a mount, by id and by name.
final class Tree {
  private var nodes: [Node?]
  private var free: [Int] = []
  private var generations: [UInt64]
  /// Which node showed an inode number last, for mounts with use_ino.
  private var inodes: [UInt64: NodeID] = [:]
  private(set) var root: Node

  init() {
    root = Tree.makeRoot()
    // Slot 0 is no node's: ids begin with the root's, 1.
    nodes = [nil, root]
    generations = [0, 0]
  }

  private static func makeRoot() -> Node {
    let root = Node(id: rootID, generation: 0)
    // The kernel never forgets the root.
    root.lookupCount = 1
    return root
  }

  /// Forgets every node, whose instances were released before.
  func removeAll() {
    // Not by the end of the root, which would end what is below it, and so on, as deep as the tree is.
    for node in nodes { node?.children = [:] }
    root = Tree.makeRoot()
    nodes = [nil, root]
    generations = [0, 0]
    free = []
    inodes = [:]
  }

  /// The node that the kernel names; nil for one that is gone.
  subscript(id: NodeID) -> Node? {
    id < UInt64(nodes.count) ? nodes[Int(id)] : nil
  }

  /// Every node that is alive.
  var all: some Sequence<Node> { nodes.lazy.compactMap { $0 } }
  /// How many nodes are alive.
  var count: Int { nodes.count - 1 - free.count }

  /// The node of that name; nil where none is known, which says nothing about the filesystem.
  func child(of parent: Node, named name: EntryName) -> Node? { parent.children[name] }

  /// The node of a dentry, made where there is none.
  func findOrAdd(_ dentry: Dentry) -> Node {
    child(of: dentry.parent, named: dentry.name) ?? add(dentry.name, under: dentry.parent)
  }

  /// Lets go of a node that was pinned.
  func unpin(_ node: Node) {
    node.pinCount -= 1
    discardIfUnused(node)
  }

  /// Makes a node for a name that has none, and keeps the name.
  func add(_ name: EntryName, under parent: Node) -> Node {
    let index: Int
    if let reused = free.popLast() {
      index = reused
    } else {
      index = nodes.count
      nodes.append(nil)
      generations.append(0)
    }
    generations[index] += 1
    let node = Node(id: UInt64(index), generation: generations[index])
    nodes[index] = node
    link(node, as: Dentry(parent: parent, name: name.kept))
    return node
  }

  /// Gives a node a further name, in the place of the node that had it; none below itself.
  func link(_ node: Node, as dentry: Dentry) {
    guard node.dentries.isEmpty || !isBelow(dentry.parent, node) else { return }
    if let other = dentry.parent.children[dentry.name], other !== node {
      unlink(other, from: dentry)
    }
    dentry.parent.children[dentry.name] = node
    if !node.dentries.contains(dentry) { node.dentries.append(dentry) }
  }

  /// Takes a name from a node; with its last one, everything below it loses its path too. Returns what
  /// was below and has none left.
  @discardableResult
  func unlink(_ node: Node, from dentry: Dentry) -> [Node] {
    var stranded: [Node] = []
    var parents: [Node] = []
    var rest = [(node, dentry)]
    while let (next, dentry) = rest.popLast() {
      if dentry.parent.children[dentry.name] === next { dentry.parent.children[dentry.name] = nil }
      next.dentries.removeAll { $0 == dentry }
      parents.append(dentry.parent)
      guard !next.isLinked else { continue }
      if next !== node { stranded.append(next) }
      for child in next.children.values {
        for dentry in child.dentries where dentry.parent === next { rest.append((child, dentry)) }
      }
    }
    for parent in parents.reversed() where parent !== node { discardIfUnused(parent) }
    return stranded
  }

  /// Moves a name; what bore the new one loses it, or takes the old one with `exchange`.
  ///
  /// A node that has lost the old name meanwhile, or would come below itself, gets none. The kernel sees
  /// to that, as far as the script is not another tree all of a sudden.
  func move(
    _ node: Node, from old: Dentry, to new: Dentry, exchange: Bool = false
  ) {
    let other = new.parent.children[new.name]
    guard other !== node else { return }
    func mayMove() -> Bool { node.dentries.contains(old) && !isBelow(new.parent, node) }
    if exchange, let other, mayMove(), !isBelow(old.parent, other) {
      old.parent.children[old.name] = other
      new.parent.children[new.name] = node
      replace(old, by: new, in: node)
      replace(new, by: old, in: other)
      return
    }
    if let other { unlink(other, from: new) }
    guard mayMove() else {
      unlink(node, from: old)
      return
    }
    old.parent.children[old.name] = nil
    new.parent.children[new.name] = node
    replace(old, by: new, in: node)
    discardIfUnused(old.parent)
    if let other { discardIfUnused(other) }
  }

  /// Whether a directory is another one, or anywhere below it. A file with two names may have become
  /// a directory, so that it has two ways up.
  private func isBelow(_ directory: Node, _ other: Node) -> Bool {
    var next: Node? = directory
    var rest: [Node] = []
    var seen: Set<NodeID> = []
    while let node = next ?? rest.popLast() {
      if node === other { return true }
      next = node.dentries.first?.parent
      guard node.dentries.count > 1 else { continue }
      if !seen.insert(node.id).inserted { next = nil }
      if next != nil { rest += node.dentries.dropFirst().map(\.parent) }
    }
    return false
  }

  private func replace(_ old: Dentry, by new: Dentry, in node: Node) {
    guard let index = node.dentries.firstIndex(of: old) else { return }
    node.dentries[index] = new
  }

  /// The node that is the same file as `node`, because the script shows the same inode number for
  /// both; nil where there is none, and then `node` is the one for the next.
  func twin(of node: Node, ino: UInt64) -> Node? {
    if let id = inodes[ino], let twin = self[id], twin !== node, twin.attributes?.ino == ino {
      return twin
    }
    inodes[ino] = node.id
    node.shownInode = ino
    return nil
  }

  /// Called where something let go of the node: takes it out of the tree if that was the last, and then
  /// the directories above it in turn.
  ///
  /// The instance must have been released before where the path is gone.
  func discardIfUnused(_ node: Node) {
    var next: Node? = node
    var rest: [Node] = []
    while let node = next ?? rest.popLast() {
      next = nil
      guard node.lookupCount == 0, node.pinCount == 0, node.children.isEmpty, !node.isRoot,
        node.instance == nil, self[node.id] === node
      else { continue }
      free.append(Int(node.id))
      if let ino = node.shownInode, inodes[ino] == node.id { inodes[ino] = nil }
      let dentries = node.dentries
      node.dentries = []
      for dentry in dentries {
        dentry.parent.children[dentry.name] = nil
        if next == nil { next = dentry.parent } else { rest.append(dentry.parent) }
      }
      // Last: a task that lets go of it does not count it, so that this may be the end of it.
      nodes[Int(node.id)] = nil
    }
  }

  /// The node at a path; nil where none is known.
  func node(at path: [UInt8]) -> Node? {
    var node = root
    for name in Tree.names(in: path) {
      guard let child = node.children[name] else { return nil }
      node = child
    }
    return node
  }

  /// The node at a path, made with those above it where they are missing.
  func makeNode(at path: [UInt8]) -> Node {
    var node = root
    for name in Tree.names(in: path) {
      node = node.children[name] ?? add(name, under: node)
    }
    return node
  }

  private static func names(in path: [UInt8]) -> some Sequence<EntryName> {
    path.split(separator: UInt8(ascii: "/")).lazy.map { EntryName([UInt8]($0)) }
  }
}
