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
    request["colours"] = .bool(Terminal.hasColours)
    client.send(.object(request))
    try Held.waitForAnswer(client, mountPoint)
    while true {
      switch client.receive() {
      case .line(let line):
        if line.starts(with: "{\"lost\":".utf8), let lost = JSON(parsing: line)?["lost"]?.integer {
          Terminal.write("fusuma: \(lost) lines were lost\n", to: STDERR_FILENO)
          continue
        }
        guard Terminal.write(line + [UInt8(ascii: "\n")]) else { return }
      case .interrupted, .closed: return
      case .silence: continue
      }
    }
  }
}

/// A mount that does not answer, because something runs in it that gives no turn away.
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
      "fusuma: \(mountPoint) does not answer: it is held up by \(client.holder())\n",
      to: STDERR_FILENO)
  }
}
