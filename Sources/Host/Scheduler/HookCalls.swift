// Hook calls: from a task into the script's method, through a fiber, and on with its result.

import FUSE
import Glibc
import Ruby
import System

/// Calls hooks on the instances of nodes, which are made where there are none.
final class HookCalls {
  private let interpreter: Interpreter
  private let scheduler: Scheduler
  private let tree: Tree
  private let results: HookResults
  private let vm: VM

  init(_ interpreter: Interpreter, _ scheduler: Scheduler, _ tree: Tree, _ results: HookResults) {
    self.interpreter = interpreter
    self.scheduler = scheduler
    self.tree = tree
    self.results = results
    vm = interpreter.vm
  }

  /// Whether the class of a node's instance has a hook; asked of the script's class where there is
  /// no instance yet.
  func has(_ hook: Hook, _ node: Node) -> Bool {
    guard let instance = node.instance else { return interpreter.has(hook) }
    return vm.accepts(vm[instance], interpreter.hookNames[hook.rawValue]) != nil
  }

  /// Calls a hook on a node's instance, which is made where there is none; then `next` is told the
  /// result, now or after the hook has waited. What `next` throws is what the task fails with.
  func call(
    _ task: ScriptTask, _ hook: Hook, on node: Node, _ arguments: borrowing Arguments = Arguments(),
    next: consuming @escaping Continuation
  ) {
    assert(node.isRoot || node.pinCount > 0, "the task keeps no node that it has not pinned")
    task.isFirstCall = false
    task.hook = hook
    task.node = node
    task.next = next
    task.record?.beginHook()
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    guard let instance = node.instance else {
      return makeInstance(task, hook, node, arguments)
    }
    let receiver = vm[instance]
    guard let accepted = vm.accepts(receiver, interpreter.hookNames[hook.rawValue]) else {
      return scheduler.proceed(task, .missing)
    }
    let count = min(accepted, arguments.count)
    scheduler.run(task, receiver, FiberPool.kind(hook, count), arguments, count: count)
  }

  /// Makes a node's instance, and goes on with the hook.
  private func makeInstance(
    _ task: ScriptTask, _ hook: Hook, _ node: Node, _ arguments: borrowing Arguments
  ) {
    guard let next = task.next else { return scheduler.end(task) }
    // The hook's arguments must outlive `initialize`, which may wait: bytes of a request do not.
    let kept = arguments.kept(by: vm)
    task.next = { [self] result throws(Errno) in
      defer { kept.release(from: vm) }
      guard case .value(let instance) = result.content else {
        throw results.errno(of: result, in: HookResult.initializer)
      }
      do throws(RubyException) { try interpreter.adopt(instance, by: node) } catch {
        throw results.errno(of: error, in: "new", node: node)
      }
      call(task, hook, on: node, kept.arguments, next: next)
    }
    let begun: Void? = node.withPath { path in
      let klass = vm[interpreter.klass]
      let count = argumentCountOfNew
      if count <= Arguments.most {
        return scheduler.run(task, klass, interpreter.names.new, argumentsOfNew(path, count))
      }
      scheduler.run(
        task, klass, interpreter.names.newWithMany,
        [.bytes(path), .value(vm[interpreter.arguments])])
    }
    guard begun == nil else { return }
    // It lost its path and its instance: there is none to ask any more.
    task.next = nil
    kept.release(from: vm)
    scheduler.fail(task, Errno(ESTALE))
  }

  /// How many arguments `new` of the script's class is handed: the path, and those of FUSE.run.
  private var argumentCountOfNew: Int { (vm[interpreter.arguments].count ?? 0) + 1 }

  /// As many of these arguments.
  private func argumentsOfNew(_ path: UnsafeRawBufferPointer, _ count: Int) -> Arguments {
    var arguments = Arguments()
    arguments.append(.bytes(path))
    let rest = vm[interpreter.arguments]
    for index in 0..<count - 1 { arguments.append(.value(rest[index])) }
    return arguments
  }

  /// Asks on_getattr of a name that has no node, on an instance made for it, in one go: a name that
  /// turns out to be absent leaves nothing behind. Returns false where the class wants it otherwise.
  ///
  /// The result has a node, pinned by the task, unless it is that there is no such file.
  func callFirst(_ task: ScriptTask, _ dentry: Dentry, next: @escaping Continuation) -> Bool {
    let klass = vm[interpreter.klass]
    let count = argumentCountOfNew
    guard count <= Arguments.most,
      vm.makesPlainly(klass, with: interpreter.hookNames[Hook.getattr.rawValue])
    else { return false }
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    task.isFirstCall = true
    task.hook = .getattr
    task.node = nil
    task.next = next
    task.note(dentry)
    task.record?.beginHook()
    let known = dentry.parent.children.count
    return scheduler.runFirstCall(task, FiberPool.firstCall(count)) { fiber in
      // nil: a directory above it was unlinked while it was asked for.
      dentry.withPath { path in
        vm.call(fiber, klass, argumentsOfNew(path, count), count: count)
      }
    } made: { outcome in
      // Code that asked for the path in the middle of it has made a node.
      guard !outcome.isNil || dentry.parent.children.count != known else { return }
      let node = tree.findOrAdd(dentry)
      task.pin(node)
      task.node = node
      interpreter.adoptMade(by: node)
    }
  }
}
