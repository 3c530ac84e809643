// The host: the script's VM, the tree of live nodes, and what goes on between them.
//
// Invariants: one thread runs the kernel's requests and all Ruby, and nothing else ever enters the VM
// (Host is not Sendable); a second thread does all the waiting, from the first wait on. No thread
// exists before the process has gone to the background.

package import ControlProtocol
import FUSE
import Glibc
import HTTP
import Reports
import Ruby
import RubyLibrary
package import System
import Waiting

/// One script and its mount.
package final class Host: Operations {
  let configuration: Configuration
  let vm: VM
  let classes: Classes
  let names: Names
  /// The methods' names, by the hooks' numbers.
  let hookNames: [Name]
  let statMembers: MemberNames
  let statfsMembers: MemberNames
  let reporter = Reporter()
  let waiter: Waiter

  var options = Options()
  var tree = Tree()
  var absentNames = AbsentNames()
  var handles = OpenHandles()
  var directoryBuffer = DirectoryBuffer(capacity: 1 << 20)
  var tracer = Tracer()
  let started = Timestamp.now
  /// How many changes to files there were.
  var changes: UInt64 = 0
  /// Who mounts: the owner of every file whose stat-like names none.
  let mounter = (uid: getuid(), gid: getgid())

  // Turns.
  // Not counted: whoever lets a turn run holds it meanwhile.
  var entered: Unmanaged<Turn>?
  /// The turn that Ruby runs for; nil where it does for none.
  var running: Turn? { entered?.takeUnretainedValue() }
  var idleTurns = IdleTurns()
  var fibers: Fibers
  var liveTurns = 0
  var parked: [Ticket: Turn] = [:]
  /// How many waits have parked their turn so far.
  var parkings = 0
  var lastTicket: UInt64 = 0
  /// Streaming requests that were asked for and not yet begun.
  var streams: [UInt64: HTTPRequest] = [:]
  /// Who is told of descriptors that are watched for as long as the mount lives.
  var watchers: [Ticket: (Outcome) -> Void] = [:]
  /// The way in for those who want to look inside; nil where it could not be opened.
  var control: ControlServer?
  /// Where others can read what is going on.
  var notices = StatusWriter()
  /// Background work that waits for the mount.
  var spawned: [Spawned] = []
  /// What is to be done after the unmount.
  var atUnmount: [Spawned] = []

  // The script and its mount.
  var scriptTurn: Turn?
  /// How the script ended; nil while it has not.
  var ending: Ending?
  /// What there was before the script.
  var base: World?
  /// The script is being evaluated again.
  var isReloading = false
  var watch: SourceWatch?
  /// A file of the script has changed, and it will be loaded again in a moment.
  var isReloadDue = false
  /// A directory of the script's files is gone, and looked for.
  var isSearching = false
  var isInBackground = false
  var wantsMount = false
  var session: Session?
  var mountPoint: String?
  let notifier = NotifierThread()
  /// Requests are being served.
  var isServing = false
  /// on_init is through.
  var isInitialized = false
  /// Those who wait for the mount were told.
  var isLive = false
  /// Why it ends, as the status of the process; nil while it goes on.
  var stopStatus: Int32?

  /// What the command line says.
  package struct Configuration: Sendable {
    package var script: String
    package var mountPoint: String?
    /// What stood after each `-o`.
    package var mountOptions: [String] = []
    /// What follows the script: ARGV.
    package var arguments: [String] = []
    /// nil leaves it to the script.
    package var daemonize: Bool?
    /// Clear a dead mount that is in the way.
    package var force = false
    /// Where operations are told, from the beginning; nil for nowhere.
    package var trace: Trace?
    /// Told once the mount is live, with its path.
    package var onLive: (@Sendable (String) -> Void)?
    /// Load the script again whenever one of its files changes.
    package var watch = false

    package init(script: String) { self.script = script }

    /// The script's name without the directories before it.
    var scriptName: Substring { script.split(separator: "/").last ?? script[...] }
  }

  /// A trace that the command line asks for.
  package struct Trace: Sendable {
    /// The file that it is appended to; "-" is standard error.
    package var path: String
    package var format: TraceFormat
    package var filter: TraceFilter

    package init(path: String, format: TraceFormat, filter: TraceFilter) {
      self.path = path
      self.format = format
      self.filter = filter
    }
  }

  /// Objects of the VM that are always at hand.
  struct Classes {
    let fuse: VM.Root
    let systemCallError: VM.Root
    let systemExit: VM.Root
    /// The script's class, and what else its `new` is handed, once FUSE.run was called.
    let klass: VM.Root
    let arguments: VM.Root
  }

  /// Names of methods that are called all the time.
  struct Names {
    let new: Name
    let newWithMany: Name
    let setPath: Name
    let errno: Name
    let time: Name
    let slice: Name
    let dup: Name
    let toArray: Name
    let call: Name
  }

  /// Opens a VM with everything that a script expects in it.
  package init(_ configuration: Configuration) throws(HostError) {
    self.configuration = configuration
    do {
      let vm = try VM()
      self.vm = vm
      waiter = try Waiter(notify: Wakeup.wake)
      hookNames = Hook.table.map { vm.name($0.name) }
      statMembers = MemberNames(StatMember.allCases.map { vm.name($0.name) })
      statfsMembers = MemberNames(Host.statfsMemberNames.map { vm.name($0) })
      names = Names(
        new: vm.name("new"), newWithMany: vm.name("__new"),
        setPath: vm.name("path="), errno: vm.name("errno"), time: vm.name("__time"),
        slice: vm.name("slice"), dup: vm.name("dup"), toArray: vm.name("to_a"),
        call: vm.name("call"))
      let scope = vm.openScope()
      defer { vm.closeScope(scope) }
      try Surroundings.define(in: vm)
      let fuse = try vm.constant("FUSE")
      classes = Classes(
        fuse: try vm.retain(fuse),
        systemCallError: try vm.retain(try vm.constant("SystemCallError")),
        systemExit: try vm.retain(try vm.constant("SystemExit")),
        klass: try vm.retain(.nil), arguments: try vm.retain(.nil))
      fibers = Fibers(hookNames)
    } catch let error as HostError {
      throw error
    } catch {
      throw HostError("there is not enough memory or descriptors to start: \(error)")
    }
    do throws(RubyException) {
      try installParking()
      try installMountNatives()
      try installBackgroundNatives()
      try installConsoleOutput()
    } catch {
      throw HostError("the host's methods could not be defined: \(vm.describe(error).message)")
    }
  }
}
