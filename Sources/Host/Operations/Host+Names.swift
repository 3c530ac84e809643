// Names: looking them up, and forgetting them.

package import FUSE
import Glibc
import Ruby
import System

extension Host {
  package func lookup(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>
  ) {
    let turn = begin(.lookup, request)
    guard let parent = node(parent, for: turn),
      let place = borrowedPlace(parent, name, for: turn)
    else { return }
    parent.listingHabit.looked()
    // No more is captured than the host: this is done for every look-up. Only where the kernel is to
    // believe that a name is absent, the name is kept.
    let next: Continuation
    if options.negativeTimeout > 0 {
      let kept = place.kept
      next = { [self] answer throws(Errno) in try answerLookup(answer, of: kept) }
    } else {
      next = { [self] answer throws(Errno) in try answerLookup(answer, of: nil) }
    }
    if tree.child(of: parent, named: place.name) == nil, greet(turn, place, next: next) { return }
    let node = findOrAdd(place, in: turn)
    note(turn, node)
    call(turn, .getattr, on: node, next: next)
  }

  /// Answers with what on_getattr said; an absent name is remembered where `place` is given.
  private func answerLookup(_ answer: Answer, of place: Node.Place?) throws(Errno) {
    if let node = answer.node, let attributes = try attributes(in: answer, of: node) {
      return enter(answer.turn, node, attributes)
    }
    if let node = answer.node { forgetInstance(of: node) }
    var timeout = 0.0
    if let place {
      timeout = options.negativeTimeout
      absentNames.note(place.name.bytes, under: place.parent.id)
    }
    self.answer(answer.turn, result: .failure(Errno(ENOENT))) { $0.negative(timeout: timeout) }
  }

  package func forget(_ node: NodeID, lookups: UInt64) {
    guard let node = tree[node], !node.isRoot else { return }
    node.lookups -= min(lookups, node.lookups)
    release(node)
  }

  // MARK: Helpers that all operations on names share

  /// A name under a directory, checked; the request is answered ENAMETOOLONG where it is none.
  func place(
    _ parent: Node, _ name: UnsafePointer<CChar>, for turn: Turn
  ) -> Node.Place? {
    borrowedPlace(parent, name, for: turn)?.kept
  }

  /// The same for an operation that does not look at the name any more once a hook has waited.
  private func borrowedPlace(
    _ parent: Node, _ name: UnsafePointer<CChar>, for turn: Turn
  ) -> Node.Place? {
    let name = FileName(borrowing: name)
    guard name.count <= FileName.longest else {
      fail(turn, Errno(ENAMETOOLONG))
      return nil
    }
    guard parent.isLinked else {
      // A directory that was removed while somebody is in it.
      fail(turn, Errno(ENOENT))
      return nil
    }
    return Node.Place(parent: parent, name: name)
  }

  /// The node of that name, held by the turn.
  func findOrAdd(_ place: Node.Place, in turn: Turn) -> Node {
    let node =
      tree.child(of: place.parent, named: place.name)
      ?? tree.add(place.name, under: place.parent)
    hold(node, in: turn)
    return node
  }

  /// Answers with a node as an entry, which is a look-up.
  func enter(_ turn: Turn, _ node: Node, _ attributes: Attributes) {
    let node = options.usesInodes ? merge(node, attributes, in: turn) : node
    let entry = entry(node, attributes)
    node.lookups += 1
    answer(turn) { if !$0.entry(entry) { forget(entry.node, lookups: 1) } }
  }

  func entry(_ node: Node, _ attributes: Attributes) -> Entry {
    Entry(
      node: node.id, generation: node.generation, attributes: attributes,
      attributeTimeout: options.attributeTimeout, entryTimeout: options.entryTimeout)
  }

  /// With use_ino two paths that show the same inode number are one file: the names of the later node
  /// go to the earlier one, which answers for both.
  private func merge(_ node: Node, _ attributes: Attributes, in turn: Turn) -> Node {
    guard attributes.mode & S_IFMT != S_IFDIR,
      let twin = tree.twin(of: node, ino: attributes.ino)
    else { return node }
    hold(twin, in: turn)
    for place in node.places {
      // Between the two a directory of which the kernel knows nothing else would go.
      hold(place.parent, in: turn)
      tree.unlink(node, from: place)
      tree.link(twin, as: place)
    }
    twin.attributes = attributes
    release(node)
    return twin
  }

  /// Lets go of an instance whose path is gone; one with open files stays until they are closed.
  func forgetInstance(of node: Node) {
    guard node.openFiles == 0 else { return }
    if let instance = node.instance.take() { vm.release(instance) }
    node.draft = nil
    node.attributes = nil
    for child in Array(node.children.values) {
      forgetInstance(of: child)
      tree.discardIfUnused(child)
    }
  }

  /// Called where something let go of a node: an unlinked one loses its instance with the last.
  func release(_ node: Node) {
    if !node.isLinked, node.lookups == 0, node.openFiles == 0 { forgetInstance(of: node) }
    tree.discardIfUnused(node)
  }
}
