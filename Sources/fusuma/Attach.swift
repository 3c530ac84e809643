import ArgumentParser
import ControlProtocol
import Glibc
import System
import Terminal

/// Opens a console on a live mount.
struct Attach: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Open a console on a live mount: Ruby that runs inside it.",
    discussion: """
      Lines run between operations, which go on while one types. Local variables stay, _ is the last \
      value, Tab completes, Ctrl-C gives a line up, Ctrl-D leaves.
      """)

  @Argument(help: "Where the filesystem is mounted.")
  var mountPoint: String

  func run() throws {
    Interrupt.install()
    let client = try ControlClient(mountPoint: mountPoint)
    try Attach.greet(client, mountPoint)
    if Prompt(client).run() == .cutShort { throw ExitCode.failure }
  }

  /// Says to whom one talks now.
  static func greet(_ client: ControlClient, _ mountPoint: String) throws {
    client.send(["do": "hello"])
    let hello = try Held.waitForAnswer(client, mountPoint)
    guard Terminal.isInteractive else { return }
    Terminal.write(
      Printable.line(hello["script"]?.string ?? "?") + " at "
        + Printable.line(hello["mountpoint"]?.string ?? mountPoint)
        + " (pid \(hello["pid"]?.integer ?? 0)); Ctrl-D leaves\n")
  }
}
