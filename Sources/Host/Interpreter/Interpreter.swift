// The script's interpreter: a VM with everything in it that a script expects, and the objects and
// names that the host asks for all the time.
//
// Invariant: only the thread that made it touches it (VM is not Sendable, so the compiler keeps that).

import Ruby
import RubyLibrary
import System

/// A VM that is ready to run a script, and what the host has at hand of it.
final class Interpreter {
  let vm: VM
  /// Module FUSE, and the classes that decide what an exception means.
  let fuse: VM.Root
  let systemCallError: VM.Root
  let systemExit: VM.Root
  let httpResponse: VM.Root
  /// The script's class, and what else its `new` is handed; nil until FUSE.run was called.
  let klass: VM.Root
  let arguments: VM.Root
  let names: MethodNames
  /// The methods' names, by the hooks' numbers.
  let hookNames: [Name]

  /// Names of methods that are called all the time.
  struct MethodNames {
    let new, newWithMany, setPath, errno, time, slice, dup, toArray, call: Name

    fileprivate init(_ vm: VM) {
      new = vm.name("new")
      newWithMany = vm.name("__new")
      setPath = vm.name("path=")
      errno = vm.name("errno")
      time = vm.name("__time")
      slice = vm.name("slice")
      dup = vm.name("dup")
      toArray = vm.name("to_a")
      call = vm.name("call")
    }
  }

  /// Opens a VM and evaluates the library that every script finds.
  ///
  /// Throws one line: of the library's own error, or that there is no memory.
  init() throws(HostError) {
    let vm: VM
    do throws(VM.OutOfMemory) { vm = try VM() } catch {
      throw HostError("there is not enough memory to start")
    }
    self.vm = vm
    names = MethodNames(vm)
    hookNames = Hook.table.map { vm.name($0.name) }
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    try Surroundings.define(in: vm)
    do throws(RubyException) {
      fuse = try vm.retain(try vm.constant("FUSE"))
      systemCallError = try vm.retain(try vm.constant("SystemCallError"))
      systemExit = try vm.retain(try vm.constant("SystemExit"))
      httpResponse = try vm.retain(try vm.constant("Response", in: try vm.constant("HTTP")))
      klass = try vm.retain(.nil)
      arguments = try vm.retain(.nil)
    } catch {
      throw HostError("the library of scripts is not whole: \(vm.describe(error).message)")
    }
  }

  /// Takes what FUSE.run was called with.
  func takeClass() throws(RubyException) {
    try vm.replace(klass, with: try vm.send(vm[fuse], "klass"))
    try vm.replace(arguments, with: try vm.send(vm[fuse], "args"))
  }

  /// Whether instances of the script's class have a hook.
  func has(_ hook: Hook) -> Bool {
    vm.instances(of: vm[klass], accept: hookNames[hook.rawValue]) != nil
  }

  // MARK: Instances

  /// Gives a node its instance, unless another task was faster while `initialize` waited: one path, one
  /// instance.
  func adopt(_ instance: Value, by node: Node) throws(RubyException) {
    if node.instance == nil { node.instance = try vm.retain(instance) }
  }

  /// Gives a node the instance that was made in the stretch of Ruby that is over.
  ///
  /// None is made yet as long as the class stands there, which is another one after a reload.
  func adoptMade(by node: Node) {
    guard vm.isKind(vm.made, of: vm[klass]) else { return }
    // Without memory it has none, and is made again for the next operation.
    do throws(RubyException) { try adopt(vm.made, by: node) } catch {}
  }

  /// Takes a node's instance away.
  func dropInstance(of node: Node) {
    if let instance = node.instance.take() { vm.release(instance) }
  }
}
