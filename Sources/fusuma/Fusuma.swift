// The command: arguments, and the exit status.

import ArgumentParser
import Glibc
import System

/// `fusuma`, with a subcommand or, without one, a script to mount.
@main
struct Fusuma: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fusuma",
    abstract: "Mounts a filesystem that is written as a Ruby script.",
    usage: """
      fusuma SCRIPT [MOUNTPOINT] [-o OPTIONS] [-f | -d] [--watch] [--trace[=FILE]] [-- ARGV ...]
      fusuma console SCRIPT [MOUNTPOINT]
      fusuma attach | trace | stats MOUNTPOINT
      fusuma new NAME [--template hello|webhook|memory]
      fusuma check SCRIPT
      fusuma help | version
      """,
    version: "fusuma \(Version.number)",
    subcommands: [
      Mount.self, Console.self, Attach.self, Trace.self, Stats.self, New.self, Check.self,
      Version.self,
    ],
    defaultSubcommand: Mount.self)

  static func main() {
    StandardStreams.fill()
    finish {
      var command = try parseAsRoot(arguments)
      try command.run()
      return 0
    }
  }

  /// What the command line says, as bytes; a `--trace` without a file traces to standard error.
  private static var arguments: [String] {
    var isOurs = true
    let words = UnsafeBufferPointer(
      start: CommandLine.unsafeArgv, count: Int(CommandLine.argc))
    return words.dropFirst().compactMap { $0.map { RawText.text(of: $0) } }.map { argument in
      if argument == "--" { isOurs = false }
      return isOurs && argument == "--trace" ? "--trace=-" : argument
    }
  }

  /// Runs something and ends the process with its status; an error is one line on standard error, and
  /// status 1, or 2 for the command line.
  static func finish(_ body: () throws -> Int32) -> Never {
    do {
      Glibc.exit(try body())
    } catch let error as HostError {
      complain(Printable.line(error.description))
      Glibc.exit(error.status)
    } catch {
      let code = exitCode(for: error)
      if code.isSuccess {
        print(fullMessage(for: error))
      } else if let status = error as? ExitCode {
        Glibc.exit(status.rawValue)
      } else {
        var said = message(for: error)
        if said.hasSuffix(".") { said.removeLast() }
        complain("\(Printable.lines(said)); 'fusuma help' tells how to use it")
        Glibc.exit(2)
      }
      Glibc.exit(code.rawValue)
    }
  }

  private static func complain(_ line: String) {
    LineWriter.standardError.write("fusuma: \(line)\n")
  }
}
