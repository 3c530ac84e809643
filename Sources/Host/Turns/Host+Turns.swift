// Turns from beginning to end: each request is answered, and lets go of what it held.

import ControlProtocol
import FUSE
import Glibc
import Ruby
import System

extension Host {
  // MARK: Beginning and ending

  /// Begins a turn that answers a request of the kernel's.
  func begin(_ operation: Operation, _ request: consuming Request) -> Turn {
    let context = request.context
    let turn = begin(operation, context)
    turn.request = consume request
    return turn
  }

  /// Begins a turn.
  func begin(_ operation: Operation, _ context: Context = Context()) -> Turn {
    let turn = idleTurns.take()
    turn.operation = operation
    turn.context = context
    turn.wasToldOfEnd = false
    turn.wasInterrupted = false
    turn.isScripts = false
    turn.isNewcomer = false
    liveTurns += 1
    if tracer.isOn { watch(turn) }
    return turn
  }

  /// How many idle turns are kept, and how many idle fibers of a kind: more than wait at once in most
  /// filesystems, and few kilobytes.
  static let idleKept = 64

  /// Ends a turn: its request was answered, or it has none.
  func end(_ turn: Turn) {
    turn.next = nil
    turn.node = nil
    turn.request = nil
    if turn.record != nil { turn.record = nil }
    if let node = turn.held.take() { node._withUnsafeGuaranteedRef { letGo(of: $0) } }
    if let node = turn.heldSecond.take() { node._withUnsafeGuaranteedRef { letGo(of: $0) } }
    if !turn.alsoHeld.isEmpty {
      for node in turn.alsoHeld { letGo(of: node) }
      turn.alsoHeld.removeAll(keepingCapacity: true)
    }
    liveTurns -= 1
    idleTurns.put(turn)
  }

  /// Keeps a node in the tree while the turn lasts.
  func hold(_ node: Node, in turn: Turn) {
    node.holds += 1
    if turn.held == nil {
      turn.held = .passUnretained(node)
    } else if turn.heldSecond == nil {
      turn.heldSecond = .passUnretained(node)
    } else {
      turn.alsoHeld.append(node)
    }
  }

  private func letGo(of node: Node) {
    node.holds -= 1
    tree.discardIfUnused(node)
  }

  /// The node that a request is about, held; the request is answered ESTALE where there is none.
  func node(_ id: NodeID, for turn: Turn) -> Node? {
    guard let node = tree[id] else {
      fail(turn, Errno(ESTALE))
      return nil
    }
    hold(node, in: turn)
    return node
  }

  // MARK: Answering

  /// Answers the turn's request and ends the turn.
  ///
  /// `result` is what a trace shows of the answer, such as a number of bytes.
  func answer(
    _ turn: Turn, result: Result<Int, Errno> = .success(0), _ reply: (consuming Request) -> Void
  ) {
    turn.record?.end(turn.operation)
    if let request = turn.request.take() { reply(request) }
    trace(turn, result)
    end(turn)
  }

  func succeed(_ turn: Turn) { answer(turn) { $0.succeed() } }

  func fail(_ turn: Turn, _ error: Errno) {
    turn.record?.end(turn.operation)
    if let request = turn.request.take() { request.fail(error) }
    trace(turn, .failure(error))
    end(turn)
  }
}
