// One mount from beginning to end.
//
// Invariant: whatever happens, what was mounted is unmounted, and every request is replied to before.

import FUSE
import Glibc
import Reports
import Ruby
import System
import Waiting

/// The mount of a script's filesystem.
final class Mount {
  let configuration: HostConfiguration
  let settings: MountSettings
  let scheduler: Scheduler
  let waitArguments: WaitArguments
  let background: BackgroundWork
  let filesystem: Filesystem
  let notifications: Notifications
  let inspection: Inspection
  let reloader: Reloader
  let reporter: Reporter
  let lifecycle: Lifecycle
  /// Where it is mounted, as an absolute path; nil while it is not.
  private(set) var point: String?

  init(
    _ configuration: HostConfiguration, _ settings: MountSettings, _ scheduler: Scheduler,
    _ waitArguments: WaitArguments, _ background: BackgroundWork, _ filesystem: Filesystem,
    _ notifications: Notifications, _ inspection: Inspection, _ reloader: Reloader,
    _ reporter: Reporter, _ lifecycle: Lifecycle
  ) {
    self.configuration = configuration
    self.settings = settings
    self.scheduler = scheduler
    self.waitArguments = waitArguments
    self.background = background
    self.filesystem = filesystem
    self.notifications = notifications
    self.inspection = inspection
    self.reloader = reloader
    self.reporter = reporter
    self.lifecycle = lifecycle
  }

  var waiter: Waiter { scheduler.waits.waiter }
  var vm: VM { scheduler.interpreter.vm }

  func defineNatives() throws(RubyException) {
    try vm.define("FUSE", "__unmount") { [unowned self] _ in
      lifecycle.stop(status: 0)
      return .nil
    }
    try vm.define("FUSE", "__mountpoint") { [unowned self] _ throws(RubyException) in
      guard let point else { return .nil }
      return try vm.string(RawText.bytes(of: point))
    }
    try vm.define("FUSE", "__help") { [unowned self] _ throws(RubyException) in
      try vm.string(Hook.help)
    }
  }

  /// Mounts, serves until the end, unmounts; returns the exit status.
  ///
  /// `watch` tells of changes to the script, which is loaded again then.
  func serve(_ watch: ScriptWatch?) throws(HostError) -> Int32 {
    filesystem.options = try settings.read()
    guard let given = configuration.mountPoint ?? filesystem.options.path else {
      throw HostError(
        "there is no mount point: name one behind the script, or set FUSE.path in it")
    }
    let point = try MountPoint(given, force: configuration.force)
    try inspection.startTrace()
    let session = try makeSession()
    // From here on a signal must not leave a mount behind that nothing serves.
    let goesToBackground = configuration.daemonize ?? filesystem.options.daemonize
    // In front SIGHUP says that the terminal is gone, which nohup(1) has said not to mind.
    let caught = Mount.endings.filter {
      $0 != SIGHUP || goesToBackground || !Wakeup.isIgnored(SIGHUP)
    }
    Wakeup.install(catching: caught)
    defer { Wakeup.uninstall(caught) }
    do throws(MountError) {
      try session.mount(at: RawText.cString(point.path))
    } catch {
      throw HostError("could not mount \(given): \(Mount.advice(error))")
    }
    self.point = point.path
    Wakeup.guardMount(point.path, connection: session.place?.connectionNumber)
    defer {
      Wakeup.endGuard()
      Wakeup.guardMount(nil)
      self.point = nil
    }
    var daemon: Background?
    if goesToBackground {
      do throws(HostError) { daemon = try .enter() } catch {
        session.unmount()
        throw error
      }
      lifecycle.isInBackground = true
    }
    waiter.startWhenNeeded()
    watch?.serve()
    if configuration.watch || lifecycle.isInBackground { reloader.noteLoaded() }
    notifications.begin(session.notifier)
    let status = serve(session, daemon)
    waiter.stop()
    return status
  }

  private func makeSession() throws(HostError) -> Session {
    let options = filesystem.options
    do throws(MountError) {
      return try Session(
        filesystem,
        options: SessionOptions(
          libraryOptions: options.mount.libraryOptions, connection: options.connection))
    } catch {
      throw HostError("mount options: \(error)")
    }
  }

  /// The mount is gone from its place.
  func leavePoint() { point = nil }

  /// What to try, behind what libfuse said.
  private static func advice(_ error: MountError) -> String {
    let message = error.message
    if message.contains("user_allow_other") {
      return message + " (as root: echo user_allow_other >> /etc/fuse.conf)"
    }
    if Glibc.access("/dev/fuse", F_OK) != 0 {
      return "there is no /dev/fuse (as root: modprobe fuse; a container needs --device /dev/fuse)"
    }
    if Glibc.access("/dev/fuse", R_OK | W_OK) != 0 {
      return "no permission to open /dev/fuse (as root: chmod 666 /dev/fuse, as udev would)"
    }
    return message
  }
}
