// The host: makes its rooms, and hands each the others that it needs.
//
// Invariants: one thread runs the kernel's requests and all Ruby, and nothing else ever enters the VM
// (no room is Sendable that touches it); a second thread does all the waiting, from the first wait on. No
// thread exists before the process has gone to the background.

import FUSE
import Reports
import Ruby
package import System
import Waiting

/// One script and its mount.
package final class Host {
  private let configuration: HostConfiguration
  private let reporter = Reporter()
  private let script: Script
  private let reloader: Reloader
  private let mount: Mount
  let lifecycle = Lifecycle()
  let interpreter: Interpreter
  let waits: Waits
  let scheduler: Scheduler
  let waitArguments: WaitArguments
  let background: BackgroundWork

  /// Opens a VM with everything that a script expects in it.
  package init(_ configuration: HostConfiguration) throws(HostError) {
    self.configuration = configuration
    interpreter = try Interpreter()
    do throws(WaiterFailure) { waits = Waits(try Waiter(notify: Wakeup.wake)) } catch {
      throw HostError("there are not enough descriptors to start: \(error)")
    }
    let tree = Tree()
    let tracer = Tracer()
    tracer.later = { [waits] seconds, body in waits.after(seconds, body) }
    let notifications = Notifications()
    let results = HookResults(interpreter, reporter, lifecycle)
    scheduler = Scheduler(
      interpreter, waits: waits, tree: tree, tracer: tracer, lifecycle: lifecycle,
      reporter: reporter)
    let outboxes = Outboxes(interpreter.vm, lifecycle)
    waitArguments = WaitArguments(interpreter.vm, waits, outboxes)
    background = BackgroundWork(interpreter, scheduler, reporter, lifecycle)
    let filesystem = Filesystem(
      interpreter, scheduler, tree, results, notifications, reporter, mayReload: configuration.watch
    )
    let settings = MountSettings(configuration, interpreter)
    let consoles = Consoles(interpreter, scheduler)
    let inspection = Inspection(
      configuration, scheduler, filesystem, consoles, tracer, reporter)
    script = Script(configuration, interpreter, scheduler, reporter, lifecycle)
    reloader = Reloader(
      script, interpreter, scheduler, background, filesystem, settings, reporter, lifecycle)
    mount = Mount(
      configuration, settings, scheduler, waitArguments, background, filesystem, notifications,
      inspection, reloader, reporter, lifecycle)
    do throws(RubyException) {
      try scheduler.defineWaiting(waitArguments)
      try outboxes.defineNatives()
      try background.defineNatives()
      try filesystem.defineNatives()
      try mount.defineNatives()
      try consoles.defineNatives()
    } catch {
      throw HostError(
        "the host's methods could not be defined: \(interpreter.vm.describe(error).message)")
    }
  }

  /// Runs the script to its end, with the mount in the middle; returns the exit status.
  ///
  /// Throws where there is nothing to run: one clear line.
  package func run() throws(HostError) -> Int32 {
    var watch: ScriptWatch?
    if configuration.watch {
      do throws(SystemError) { watch = try ScriptWatch(script, reloader, waits, lifecycle) } catch {
        reporter.say("the script cannot be watched: inotify: \(error)")
      }
    }
    try script.load()
    var mountStatus: Int32?
    if lifecycle.wantsMount {
      lifecycle.wantsMount = false
      do throws(HostError) { mountStatus = try mount.serve(watch) } catch {
        reporter.say(error.description)
        mountStatus = error.status
      }
    }
    if let status = script.finish(mountStatus: mountStatus) { return status }
    throw HostError(
      "\(configuration.script) never called FUSE.run, so there is nothing to mount")
  }

  /// Loads the script up to FUSE.run, and looks at the class that it is handed, as `ScriptCheck` says.
  package func check(callsHooks: Bool) throws(HostError) -> CheckResult {
    try ScriptCheck(script, interpreter, lifecycle).check(callsHooks: callsHooks)
  }

  /// Whether a script finds a constant of that name at the top level, before it has defined any.
  package func has(constant name: String) -> Bool {
    interpreter.vm.scope { (try? interpreter.vm.constant(name)) != nil }
  }
}
