// The tree of live nodes: node id -> node is one look-up in an array, and a path is only made when an
// instance is.
//
// Invariant: what is in the tree is what exists or is in use. A name that was asked for and turned
// out to be absent leaves nothing behind.

import FUSE

/// All nodes of a mount, by id and by name.
struct Tree {
  private var nodes: [Node?]
  private var free: [Int] = []
  private var generations: [UInt64]
  /// Which node showed an inode number last, for mounts with use_ino.
  private var inodes: [UInt64: NodeID] = [:]
  let root: Node

  init() {
    root = Node(id: rootID, generation: 0)
    // The kernel never forgets the root.
    root.lookups = 1
    // Place 0 is no node's: ids begin with the root's, 1.
    nodes = [nil, root]
    generations = [0, 0]
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
  func child(of parent: Node, named name: FileName) -> Node? { parent.children[name] }

  /// Makes a node for a name that has none, and keeps the name.
  mutating func add(_ name: FileName, under parent: Node) -> Node {
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
    link(node, as: Node.Place(parent: parent, name: name.kept))
    return node
  }

  /// Gives a node a further name, in place of whatever bore it; none below itself.
  mutating func link(_ node: Node, as place: Node.Place) {
    guard node.places.isEmpty || !isBelow(place.parent, node) else { return }
    if let other = place.parent.children[place.name], other !== node {
      unlink(other, from: place)
    }
    place.parent.children[place.name] = node
    if !node.places.contains(place) { node.places.append(place) }
  }

  /// Takes a name from a node; with its last one, everything below it loses its path too.
  mutating func unlink(_ node: Node, from place: Node.Place) {
    if place.parent.children[place.name] === node { place.parent.children[place.name] = nil }
    node.places.removeAll { $0 == place }
    defer { discardIfUnused(place.parent) }
    guard !node.isLinked else { return }
    for child in Array(node.children.values) {
      for place in child.places where place.parent === node { unlink(child, from: place) }
      discardIfUnused(child)
    }
  }

  /// Moves a name; what bore the new one loses it, or takes the old one with `exchange`.
  ///
  /// A node that has lost the old name meanwhile, or would come below itself, gets none. The kernel sees
  /// to that, as far as the script is not another tree all of a sudden.
  mutating func move(
    _ node: Node, from old: Node.Place, to new: Node.Place, exchange: Bool = false
  ) {
    let other = new.parent.children[new.name]
    guard other !== node else { return }
    func mayMove() -> Bool { node.places.contains(old) && !isBelow(new.parent, node) }
    if exchange, let other, mayMove(), !isBelow(old.parent, other) {
      old.parent.children[old.name] = other
      new.parent.children[new.name] = node
      replace(old, by: new, in: node)
      replace(new, by: old, in: other)
      return
    }
    if let other { unlink(other, from: new) }
    guard mayMove() else { return unlink(node, from: old) }
    old.parent.children[old.name] = nil
    new.parent.children[new.name] = node
    replace(old, by: new, in: node)
    discardIfUnused(old.parent)
    if let other { discardIfUnused(other) }
  }

  /// Whether a directory is another one, or anywhere below it. A file with two names may have become
  /// a directory, so that it has two ways up.
  private func isBelow(_ directory: Node, _ other: Node) -> Bool {
    directory === other || directory.places.contains { isBelow($0.parent, other) }
  }

  private func replace(_ old: Node.Place, by new: Node.Place, in node: Node) {
    guard let index = node.places.firstIndex(of: old) else { return }
    node.places[index] = new
  }

  /// The node that is the same file as `node`, because the script shows the same inode number for
  /// both; nil where there is none, and then `node` is the one for the next.
  mutating func twin(of node: Node, ino: UInt64) -> Node? {
    if let id = inodes[ino], let twin = self[id], twin !== node, twin.attributes?.ino == ino {
      return twin
    }
    inodes[ino] = node.id
    node.shownInode = ino
    return nil
  }

  /// Called where something let go of the node: takes it out of the tree if that was the last.
  ///
  /// The instance must have been released before where the path is gone.
  mutating func discardIfUnused(_ node: Node) {
    guard node.lookups == 0, node.holds == 0, node.children.isEmpty, !node.isRoot,
      node.instance == nil, self[node.id] === node
    else { return }
    free.append(Int(node.id))
    if let ino = node.shownInode, inodes[ino] == node.id { inodes[ino] = nil }
    let places = node.places
    node.places = []
    for place in places {
      place.parent.children[place.name] = nil
      discardIfUnused(place.parent)
    }
    // Last: a turn that lets go of it does not count it, so that this may be the end of it.
    nodes[Int(node.id)] = nil
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
  mutating func makeNode(at path: [UInt8]) -> Node {
    var node = root
    for name in Tree.names(in: path) {
      node = node.children[name] ?? add(name, under: node)
    }
    return node
  }

  private static func names(in path: [UInt8]) -> some Sequence<FileName> {
    path.split(separator: UInt8(ascii: "/")).lazy.map { FileName([UInt8]($0)) }
  }
}
