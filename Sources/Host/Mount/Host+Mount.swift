// One mount from beginning to end.

import FUSE
import Glibc
import Ruby
import System
import Waiting

extension Host {
  /// Mounts, serves until the end, unmounts; answers the exit status.
  func mountAndServe() throws(HostError) -> Int32 {
    options = try readOptions()
    guard let given = configuration.mountPoint ?? options.path else {
      throw HostError(
        "there is no mount point: name one behind the script, or set FUSE.path in it")
    }
    let point = try MountPoint(given, force: configuration.force)
    try startTrace()
    let session = try makeSession()
    // From here on a signal must not leave a mount behind that nobody serves.
    Wakeup.install(catching: Host.endings)
    defer { Wakeup.uninstall(Host.endings) }
    do throws(MountError) {
      try session.mount(at: point.path)
    } catch {
      throw HostError("could not mount \(given): \(Host.advice(error))")
    }
    self.session = session
    mountPoint = point.path
    Wakeup.guardMount(point.path)
    defer { Wakeup.guardMount(nil) }
    defer {
      self.session = nil
      mountPoint = nil
    }
    var background: Background?
    if configuration.daemonize ?? options.daemonize {
      do throws(HostError) { background = try .enter() } catch {
        session.unmount()
        throw error
      }
      isInBackground = true
    }
    waiter.startWhenNeeded()
    serveWatch()
    if mayReload { noteLoaded() }
    let status = serve(session, background)
    watch = nil
    waiter.stop()
    return status
  }

  private func makeSession() throws(HostError) -> Session {
    do throws(MountError) {
      return try Session(
        self,
        options: SessionOptions(
          libraryOptions: options.mount.libraryOptions, connection: options.connection))
    } catch {
      throw HostError("mount options: \(error)")
    }
  }

  /// The script's settings, then the command line's options: what comes later counts.
  func readOptions() throws(HostError) -> Options {
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    var options = Options()
    var defaultPermissions = true
    var names = ["fsname": "fusuma", "subtype": "fusuma"]
    do {
      let fuse = vm[classes.fuse]
      try vm.replace(classes.klass, with: try vm.send(fuse, "klass"))
      try vm.replace(classes.arguments, with: try vm.send(fuse, "args"))
      let program = try vm.send(fuse, "program_name").text
      names["fsname"] = program ?? names["fsname"]
      for pair in try vm.send(fuse, "__settings").elements ?? [] {
        guard let name = pair[0].symbol.map(vm.text) else { continue }
        if name == "default_permissions" { defaultPermissions = pair[1].isTruthy }
        names[name] = nil
        try options.set(name, pair[1], vm)
      }
    } catch let error as RubyException {
      throw HostError(vm.describe(error).message)
    } catch let error as HostError {
      throw error
    } catch {
      throw HostError("\(error)")
    }
    for list in configuration.mountOptions { try options.add(list) }
    if defaultPermissions { try options.add("default_permissions") }
    // systemd unmounts what bears no name.
    for (name, value) in names.sorted(by: { $0.key < $1.key })
    where !options.mount.hasLibraryOption(name) {
      do throws(MountOptionError) { try options.mount.add(name, value: value) } catch {
        throw HostError("\(error)")
      }
    }
    options.settle()
    // The kernel keeps locks by itself unless it is told at the mount that the script does.
    let klass = vm[classes.klass]
    options.connection.posixLocks =
      vm.instances(of: klass, accept: hookNames[Hook.lock.rawValue]) != nil
    options.connection.flockLocks =
      vm.instances(of: klass, accept: hookNames[Hook.flock.rawValue]) != nil
    return options
  }

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
