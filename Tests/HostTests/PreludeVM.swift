import Glibc
import Ruby

@testable import Host

/// A host without a mount: its VM, its prelude and its turns, to run Ruby in.
final class PreludeVM {
  private let host: Host

  init() throws {
    signal(SIGPIPE, SIG_IGN)
    host = try Host(Host.Configuration(script: "test.rb"))
    host.isServing = true
    try host.waiter.start()
  }

  deinit { host.waiter.stop() }

  /// How many waits parked their turn.
  var parkings: Int { host.parkings }

  /// What `inspect` says of the source's value; the class and message of what it raised.
  func callAsFunction(_ source: String, file: String = "test.rb") throws -> String {
    let vm = host.vm
    let turn = host.begin(.script)
    var result: String?
    try vm.scope {
      let arguments: Arguments = [
        .value(try vm.string(source)), .value(try vm.string(file)),
      ]
      host.run(turn, vm[host.classes.fuse], vm.name("__eval"), arguments) { [host] answer in
        switch answer.result {
        case .value(let value): result = vm.inspect(value)
        case .raised(let exception):
          let description = vm.describe(exception)
          result = "\(description.className): \(description.message)"
        case .missing: result = "?"
        }
        host.end(turn)
      }
    }
    while true {
      if let result { return result }
      turnOnce()
    }
  }

  /// Goes on until every turn is over.
  func finish() throws {
    while !host.parked.isEmpty || !host.spawned.isEmpty { turnOnce() }
  }

  private func turnOnce() {
    host.startSpawned()
    var descriptor = pollfd(fd: host.waiter.eventDescriptor, events: Int16(POLLIN), revents: 0)
    poll(&descriptor, 1, host.parked.isEmpty ? 0 : 10_000)
    host.deliverOutcomes()
  }
}
