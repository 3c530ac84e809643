// Tasks: what one request, or one piece of background work, is about while it runs and while it
// waits.
//
// Invariants: a task ends once, by `Scheduler.end`; its request is replied to before that, and exactly
// once (Request cannot be copied). The arena is saved and restored around every stretch that runs, never
// across a wait. Everything here belongs to the VM's thread.

import ControlProtocol
import FUSE
import Glibc
import Ruby
import System
import Waiting

/// What to do with the result of the hook that a task is at.
typealias Continuation = (HookResult) throws(Errno) -> Void
/// What to do after a step that has no result of its own.
typealias Done = () throws(Errno) -> Void

/// One operation on its way through the script.
final class ScriptTask {
  /// The fiber in which its method runs, and the kind of fibers in the pool that this is one of.
  var fiber: VM.Root?
  var fiberKind: FiberPool.Kind = 0
  /// What the kernel waits for; nil once it was replied to, and for background work.
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

  // Not counted: a pinned node is kept by the tree, and one whose hook is called is pinned.
  /// The nodes that stay in the tree until the task is over: hardly ever more than two.
  fileprivate var pinned: Unmanaged<Node>?
  fileprivate var pinnedSecond: Unmanaged<Node>?
  fileprivate var pinnedToo: [Node] = []

  /// The hook that it is at, with what is to be done after it.
  var hook = Hook.getattr
  unowned(unsafe) var node: Node?
  var next: Continuation?
  /// Called once when the task ends, or is through with what this is for.
  var whenOver: (() -> Void)?
  /// The call makes the instance too, whose hook it is.
  var isFirstCall = false

  /// What it waits for, while it is parked.
  var ticket: Ticket?
  var waitsFor: Wait?
  var waitsSince: UInt64 = 0
  /// Its caller was interrupted, and its hook was told so.
  var wasInterrupted = false
  /// The mount ends, and the task was told so by an exception.
  var wasToldOfEnd = false
  /// The console whose line it is.
  var console: Console?
  /// It is the script's own: FUSE.run waits in it for the end of the mount.
  var isScript = false
  /// Background work that the script itself began, not a hook: a reload begins it again.
  var isBegunByScript = false
  /// For the trace; nil while none is asked for.
  var record: TraceRecord?

  /// The next of those that are over and wait to be used again.
  fileprivate var nextIdle: Unmanaged<ScriptTask>?

  /// Notes what a trace would show of the operation.
  @inline(__always)
  func note(_ node: Node, _ detail: @autoclosure () -> TraceRecord.Detail = .none) {
    if let notes = record?.notes { notes.take(node, detail()) }
  }

  /// The same for a name that has no node yet.
  func note(_ dentry: Dentry) { record?.notes.take(dentry) }

  /// Makes it as good as new for another operation.
  func begin(_ operation: Operation, _ context: Context) {
    self.operation = operation
    self.context = context
    wasInterrupted = false
    wasToldOfEnd = false
    isScript = false
    isBegunByScript = false
    isFirstCall = false
  }

  /// Calls `whenOver`, once.
  func endBusiness() { if let whenOver = whenOver.take() { whenOver() } }

  /// Keeps a node in the tree while the task lasts.
  func pin(_ node: Node) {
    node.pinCount += 1
    if pinned == nil {
      pinned = .passUnretained(node)
    } else if pinnedSecond == nil {
      pinnedSecond = .passUnretained(node)
    } else {
      pinnedToo.append(node)
    }
  }

  /// Lets go of every node that it has pinned.
  func unpinAll(in tree: Tree) {
    if let node = pinned.take() { node._withUnsafeGuaranteedRef { tree.unpin($0) } }
    if let node = pinnedSecond.take() { node._withUnsafeGuaranteedRef { tree.unpin($0) } }
    guard !pinnedToo.isEmpty else { return }
    for node in pinnedToo { tree.unpin(node) }
    pinnedToo.removeAll(keepingCapacity: true)
  }
}

/// Tasks that are over, to be used again: a list through the tasks themselves, which are counted by
/// hand, as everything is that each request does.
struct IdleTasks: ~Copyable {
  private var first: Unmanaged<ScriptTask>?
  private var count = 0

  /// How many idle tasks are kept, and how many idle fibers of a kind: more than wait at once in most
  /// filesystems, and few kilobytes.
  static let most = 64

  init() {}

  deinit {
    var next = first
    while let task = next {
      next = task._withUnsafeGuaranteedRef { $0.nextIdle }
      task.release()
    }
  }

  mutating func take() -> ScriptTask {
    guard let task = first?.takeRetainedValue() else { return ScriptTask() }
    first = task.nextIdle
    task.nextIdle = nil
    count -= 1
    return task
  }

  mutating func put(_ task: ScriptTask) {
    guard count < IdleTasks.most else { return }
    task.nextIdle = first
    first = Unmanaged.passRetained(task)
    count += 1
  }
}
