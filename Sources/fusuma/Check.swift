import ArgumentParser
import Host
import System

/// Looks for mistakes in a script without mounting it.
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Load a script without mounting it, list its hooks, and warn of mistakes.",
    discussion: """
      The script is run up to FUSE.run. Then on_getattr, on_readdir, on_open, on_read and on_read_all \
      are called for the files that there are, unless --no-calls is given. What they wait for is waited \
      for, for 20 seconds in all.

      The exit status is 0 where there is nothing to warn of, 1 where there is, or where the script \
      does not load, and 2 where the command line is wrong.
      """)

  @Argument(help: "The Ruby script.")
  var script: String

  @Flag(name: .customLong("no-calls"), help: "Only look at the methods; call none.")
  var callsNothing = false

  @Argument(parsing: .postTerminator, help: "What the script finds in ARGV.")
  var arguments: [String] = []

  func run() throws {
    var configuration = HostConfiguration(script: script)
    configuration.arguments = arguments
    let result = try Host(configuration).check(callsHooks: !callsNothing)
    print(
      "\(Printable.line("\(script): \(result.className)")) has \(result.hooks.count) of the hooks")
    let width = result.hooks.map(\.name.count).max() ?? 0
    for hook in result.hooks {
      let space = String(repeating: " ", count: width - hook.name.count)
      print("  \(hook.name)\(space)  \(Printable.line(hook.place ?? "(built in)"))")
    }
    for warning in result.warnings {
      print(Printable.line("\(warning.place ?? script): warning: \(warning.text)"))
    }
    if !result.warnings.isEmpty { throw ExitCode(1) }
  }
}
