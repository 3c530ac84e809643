// The command: arguments, and the exit status.

import ArgumentParser
import Glibc
import Host

/// `fusuma`, with a subcommand or, without one, a script to mount.
@main
struct Fusuma: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fusuma",
    abstract: "Mounts a filesystem that is written as a Ruby script.",
    usage: """
      fusuma SCRIPT [MOUNTPOINT] [-o OPTIONS] [-f | -d] [-- ARGV ...]
      fusuma help | version
      """,
    version: "fusuma \(Version.number)",
    subcommands: [Mount.self, Version.self],
    defaultSubcommand: Mount.self)

  /// Parses and runs; an error is one line on standard error, and status 1, or 2 for the command line.
  static func main() {
    do {
      var command = try parseAsRoot(nil)
      try command.run()
    } catch let error as HostError {
      complain(error.description)
      Glibc.exit(error.status)
    } catch {
      let code = exitCode(for: error)
      if code.isSuccess {
        print(fullMessage(for: error))
      } else if let status = error as? ExitCode {
        Glibc.exit(status.rawValue)
      } else {
        complain("\(message(for: error)); 'fusuma help' tells how to use it")
        Glibc.exit(2)
      }
      Glibc.exit(code.rawValue)
    }
  }

  private static func complain(_ line: String) {
    var text = "fusuma: \(line)\n"
    text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
