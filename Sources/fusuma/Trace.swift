import ArgumentParser
import ControlProtocol
import Glibc
import System
import Terminal

/// Shows the operations of a live mount as they end.
struct Trace: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the operations of a live mount as they end, until Ctrl-C.")

  @Argument(help: "Where the filesystem is mounted.")
  var mountPoint: String

  @OptionGroup var options: TraceOptions

  func run() throws {
    let filter = try options.filter
    let client = try ControlClient(mountPoint: mountPoint)
    Interrupt.install()
    var request = filter.message
    request["do"] = "trace"
    request["format"] = .string(options.format.rawValue)
    let hasColours = Terminal.hasColours
    request["colours"] = .bool(hasColours)
    client.send(.object(request))
    try Held.waitForAnswer(client, mountPoint)
    while true {
      switch client.receive() {
      case .line(let line):
        if line.starts(with: "{\"lost\":".utf8), let lost = JSON(parsing: line)?["lost"]?.integer {
          Terminal.write("fusuma: \(lost) lines were lost\n", to: STDERR_FILENO)
          continue
        }
        guard Terminal.write(Trace.shown(line, hasColours) + "\n") else { return }
      case .interrupted, .closed: return
      case .silence: continue
      }
    }
  }

  /// A line of the mount's without anything that a terminal obeys, but for the two colours that a trace has.
  private static func shown(_ line: [UInt8], _ hasColours: Bool) -> String {
    let text = Printable.line(line)
    guard hasColours else { return text }
    return colours.reduce(text) { $0.replacing("\\x1b[\($1)m", with: "\u{1B}[\($1)m") }
  }

  /// Red, yellow, and what ends them.
  private static let colours = ["31", "33", "0"]
}

/// A mount that does not answer, because something runs in it that never waits.
enum Held {
  /// How long an answer may take before it is said why there is none, in seconds.
  private static let patience = 1.0

  /// Waits for the first line of an answer, and says what holds the mount up meanwhile.
  @discardableResult
  static func waitForAnswer(_ client: ControlClient, _ mountPoint: String) throws -> JSON {
    var hasSaid = false
    while true {
      switch client.receive(within: patience) {
      case .line(let line): return JSON(parsing: line) ?? .null
      case .closed: throw HostError("\(mountPoint) lets nobody in, or was just unmounted")
      case .interrupted: throw ExitCode(130)
      case .silence:
        if !hasSaid { say(client, mountPoint) }
        hasSaid = true
      }
    }
  }

  /// Says what holds a mount up.
  static func say(_ client: ControlClient, _ mountPoint: String) {
    Terminal.write(
      Printable.line("fusuma: \(mountPoint) does not answer: it is held up by \(client.holder())")
        + "\n",
      to: STDERR_FILENO)
  }
}
