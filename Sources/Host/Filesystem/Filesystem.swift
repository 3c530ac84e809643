// The filesystem: what the kernel asks for, done by the hooks of the script.
//
// Invariant: each request is replied to exactly once, and what fails half-way gives back what it took.
//
// Each operation is a method of the kernel's name in one of the files beside this one; what they share
// stands here.

import ControlProtocol
import FUSE
import Glibc
import Reports
import Ruby
import System
import Waiting

/// Serves the requests of one mount.
final class Filesystem: Operations {
  let interpreter: Interpreter
  let vm: VM
  let scheduler: Scheduler
  let calls: HookCalls
  let results: HookResults
  let reporter: Reporter
  let notifications: Notifications
  let tree: Tree
  let handles = OpenHandles()
  let negativeDentries = NegativeDentries()
  /// What a reply to readdir is put together in.
  var directoryBuffer = DirectoryBuffer(capacity: 1 << 20)
  /// Whether the script can be loaded again while files are open.
  let mayReload: Bool
  /// Whether any class has on_poll; nil until that was asked.
  var isPollDefined: Bool?
  /// The user who mounts: the owner of every file whose stat-like names none.
  let owner = (uid: getuid(), gid: getgid())
  /// When the mount was made: the times of files of which nothing else is known.
  let started = Timestamp.now
  /// What the script's settings and the command line say.
  var options = Options()
  /// How many changes to files there were.
  private(set) var changes: UInt64 = 0
  /// What was agreed on with the kernel; nil until then.
  private(set) var connection: Connection?

  init(
    _ interpreter: Interpreter, _ scheduler: Scheduler, _ tree: Tree, _ results: HookResults,
    _ notifications: Notifications, _ reporter: Reporter, mayReload: Bool
  ) {
    self.interpreter = interpreter
    self.scheduler = scheduler
    self.tree = tree
    self.results = results
    self.notifications = notifications
    self.reporter = reporter
    self.mayReload = mayReload
    vm = interpreter.vm
    calls = HookCalls(interpreter, scheduler, tree, results)
  }

  func started(_ connection: Connection) { self.connection = connection }
  func destroyed() {}
  func interrupted(_ token: UInt64) { scheduler.interrupt(Ticket(token)) }

  // MARK: What operations do with their task

  func begin(_ operation: Operation, _ request: consuming Request) -> ScriptTask {
    scheduler.begin(operation, request)
  }

  @inline(__always)
  func call(
    _ task: ScriptTask, _ hook: Hook, on node: Node, _ arguments: borrowing Arguments = Arguments(),
    next: consuming @escaping Continuation
  ) {
    calls.call(task, hook, on: node, arguments, next: next)
  }

  /// Calls a hook that acts, and replies whether it succeeded.
  func act(_ task: ScriptTask, _ hook: Hook, on node: Node, _ arguments: Arguments = []) {
    call(task, hook, on: node, arguments) { [self] result throws(Errno) in
      try results.accept(result)
      succeed(result.task)
    }
  }

  @inline(__always)
  func reply(
    _ task: ScriptTask, result: Result<Int, Errno> = .success(0),
    _ send: (consuming Request) -> Void
  ) {
    scheduler.reply(task, result: result, send)
  }

  func succeed(_ task: ScriptTask) { scheduler.reply(task) { $0.succeed() } }
  func fail(_ task: ScriptTask, _ error: Errno) { scheduler.fail(task, error) }

  /// The node that a request is about, pinned; the request fails with ESTALE where there is none.
  func node(_ id: NodeID, for task: ScriptTask) -> Node? {
    guard let node = tree[id] else {
      fail(task, Errno(ESTALE))
      return nil
    }
    task.pin(node)
    return node
  }

  /// The node of a dentry, pinned by the task.
  func findOrAdd(_ dentry: Dentry, in task: ScriptTask) -> Node {
    let node = tree.findOrAdd(dentry)
    task.pin(node)
    return node
  }

  func has(_ hook: Hook, _ node: Node) -> Bool { calls.has(hook, node) }

  /// A handle's object as the argument of a hook.
  func object(_ root: VM.Root?) -> Argument { .value(root.map { vm[$0] } ?? .nil) }

  // MARK: What changes

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
    node.attributesExpire = 0
  }

  /// After the mount the tree is empty and no handle is open.
  func releaseEverything() {
    for node in tree.all {
      interpreter.dropInstance(of: node)
    }
    tree.removeAll()
    handles.removeAll()
    connection = nil
  }
}
