import Glibc
import Ruby

@testable import Host

/// A host without a mount: its VM, its prelude and its tasks, to run Ruby in.
final class PreludeVM {
  private let host: Host

  init() throws {
    signal(SIGPIPE, SIG_IGN)
    host = try Host(HostConfiguration(script: "test.rb"))
    host.lifecycle.enter(.live)
    try host.waits.waiter.start()
  }

  deinit { host.waits.waiter.stop() }

  /// How many waits parked their task.
  var parkings: Int { host.waits.parkings }

  /// What `inspect` says of the source's value; the class and message of what it raised.
  func callAsFunction(_ source: String, file: String = "test.rb") throws -> String {
    let vm = host.interpreter.vm
    let task = host.scheduler.begin(.script)
    var shown: String?
    try vm.scope {
      let arguments: Arguments = [
        .value(try vm.string(source)), .value(try vm.string(file)),
      ]
      host.scheduler.run(task, vm[host.interpreter.fuse], vm.name("__eval"), arguments) {
        [host] result in
        switch result.content {
        case .value(let value): shown = vm.inspect(value)
        case .raised(let exception):
          let description = vm.describe(exception)
          shown = "\(description.className): \(description.message)"
        case .missing: shown = "?"
        }
        host.scheduler.end(task)
      }
    }
    while true {
      if let shown { return shown }
      turnOnce()
    }
  }

  /// Goes on until every task is over.
  func finish() throws {
    while !host.waits.tasks.isEmpty || host.background.isDue { turnOnce() }
  }

  private func turnOnce() {
    host.background.startSpawned()
    var descriptor = pollfd(
      fd: host.waits.waiter.eventDescriptor, events: Int16(POLLIN), revents: 0)
    poll(&descriptor, 1, host.waits.tasks.isEmpty ? 0 : 10_000)
    host.scheduler.deliverOutcomes(host.waitArguments)
  }
}
