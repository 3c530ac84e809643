// Turns: what one request, or one piece of background work, is about while it runs and while it
// waits.
//
// Invariants: a turn ends once, by `Host.end`; its request is answered before that, and exactly once
// (Request cannot be copied). The arena is saved and restored around every stretch that runs, never
// across a wait. Everything here belongs to the VM's thread.

import ControlProtocol
import FUSE
import Glibc
import Ruby
import System
import Waiting

/// What to do with the answer of the hook that a turn is at.
typealias Continuation = (Answer) throws(Errno) -> Void
/// What to do after a step that has no answer of its own.
typealias Done = () throws(Errno) -> Void

/// One operation on its way through the script.
final class Turn {
  /// The fiber that the method runs in which it is at, and where that goes back to.
  var fiber: VM.Root?
  var shelf: Fibers.Shelf = 0
  /// What the kernel waits for; nil once it was answered, and for background work.
  var request: Request?
  /// What is being done: the name of the request, or of the background work.
  var operation = Operation.background
  /// On whose behalf.
  var context = Context()
  /// What a read, write, open or release is about, so that what goes on after its hook need not
  /// capture it.
  var file = OpenFile()
  var range = (offset: Int64(0), count: 0)
  /// When a read of a large piece began, as `ReadingHabit.Signs` counts.
  var readSince: UInt64 = 0

  // Not counted: a held node is kept by the tree, and one whose hook is called is held.
  /// The nodes that stay in the tree until the turn is over: hardly ever more than two.
  var held: Unmanaged<Node>?
  var heldSecond: Unmanaged<Node>?
  var alsoHeld: [Node] = []

  /// The hook that it is at, with what is to be done after it.
  var hook = Hook.getattr
  unowned(unsafe) var node: Node?
  var next: Continuation?
  /// The call makes the instance too, whose hook it is.
  var isNewcomer = false

  /// What it waits for, while it is parked.
  var ticket: Ticket?
  var waitsFor: Wait?
  var waitsSince: UInt64 = 0
  /// The mount ends, and the turn was told so by an exception.
  var wasToldOfEnd = false
  /// Its caller was interrupted, and its hook was told so.
  var wasInterrupted = false
  /// The console whose line it is.
  var console: Console?
  /// Background work that the script itself began, not a hook: a reload begins it again.
  var isScripts = false
  /// For the trace; nil while nobody looks.
  var record: TraceRecord?

  /// The next of those that are over and wait to be used again.
  fileprivate var nextIdle: Unmanaged<Turn>?
}

/// Turns that are over, to be used again: a list through the turns themselves, which are counted by
/// hand, as everything is that each request does.
struct IdleTurns: ~Copyable {
  private var first: Unmanaged<Turn>?
  private var count = 0

  init() {}

  deinit {
    var next = first
    while let turn = next {
      next = turn._withUnsafeGuaranteedRef { $0.nextIdle }
      turn.release()
    }
  }

  mutating func take() -> Turn {
    guard let turn = first?.takeRetainedValue() else { return Turn() }
    first = turn.nextIdle
    turn.nextIdle = nil
    count -= 1
    return turn
  }

  mutating func put(_ turn: Turn) {
    guard count < Host.idleKept else { return }
    turn.nextIdle = first
    first = Unmanaged.passRetained(turn)
    count += 1
  }
}
