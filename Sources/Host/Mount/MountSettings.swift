import FUSE
import Ruby
import System

/// Reads what the script and the command line say of the mount.
final class MountSettings {
  private let configuration: HostConfiguration
  private let interpreter: Interpreter
  private let vm: VM

  init(_ configuration: HostConfiguration, _ interpreter: Interpreter) {
    self.configuration = configuration
    self.interpreter = interpreter
    vm = interpreter.vm
  }

  /// The script's settings, then the command line's options: what comes later counts.
  func read() throws(HostError) -> Options {
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    var options = Options()
    var defaultPermissions = true
    var names = ["fsname": "fusuma", "subtype": "fusuma"]
    do {
      let fuse = vm[interpreter.fuse]
      try interpreter.takeClass()
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
    options.connection.posixLocks = interpreter.has(.lock)
    options.connection.flockLocks = interpreter.has(.flock)
    return options
  }
}
