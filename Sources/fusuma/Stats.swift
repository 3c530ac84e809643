import ArgumentParser
import ControlProtocol
import Glibc
import System
import Terminal

/// Shows what a live mount does, in numbers.
struct Stats: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a live mount does, in a table that refreshes until Ctrl-C.")

  @Argument(help: "Where the filesystem is mounted.")
  var mountPoint: String

  @Flag(help: "Measure for one interval, print the table and end; so it does without a terminal.")
  var once = false

  @Flag(help: "Print each table as a JSON object on one line.")
  var json = false

  @Option(help: ArgumentHelp("How long to measure for one table.", valueName: "seconds"))
  var interval = 1.0

  func validate() throws {
    guard (0.05...3600).contains(interval) else {
      throw ValidationError("--interval must be between 0.05 and 3600 seconds")
    }
  }

  func run() throws {
    let client = try ControlClient(mountPoint: mountPoint)
    Interrupt.install()
    client.send(["do": "stats", "interval": .number(interval)])
    let isOnce = once || (!Terminal.isOutput && !json)
    while true {
      switch client.receive(within: interval + 1) {
      case .line(let line):
        if json {
          // Written anew, so that it is one object, in which nothing is left that a terminal obeys.
          guard let report = JSON(parsing: line) else {
            throw HostError("what came from \(mountPoint) is no JSON")
          }
          guard Terminal.write(report.text + [UInt8(ascii: "\n")]) else { return }
        } else {
          show(StatsTable(JSON(parsing: line) ?? .null), isOnce)
        }
        if isOnce { return }
      case .silence: Held.say(client, mountPoint)
      case .interrupted: return
      case .closed: throw HostError("\(mountPoint) was unmounted")
      }
    }
  }

  private func show(_ table: StatsTable, _ isOnce: Bool) {
    if isOnce {
      Terminal.write(table.lines.map { $0 + "\n" }.joined())
    } else {
      let lines = table.lines.prefix(Terminal.height - 1)
      // Home, each line with its rest cleared, and all that is below.
      Terminal.write("\u{1B}[H" + lines.map { $0 + "\u{1B}[K\n" }.joined() + "\u{1B}[J")
    }
  }
}
