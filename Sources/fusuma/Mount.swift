import ArgumentParser
import Glibc
import Host
import System

/// Mounts a script's filesystem and serves it until it is unmounted.
struct Mount: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Mount the filesystem of a script (the default).",
    discussion: """
      In front, until Ctrl-C or an unmount. MOUNTPOINT wins over FUSE.path; options win over the \
      script's settings. What follows -- is the script's ARGV.
      """)

  @Argument(help: "The Ruby script.")
  var script: String

  @Argument(help: "The directory to mount over; the script's FUSE.path where it is left out.")
  var mountPoint: String?

  @Option(
    name: .customShort("o"),
    help: ArgumentHelp(
      "Mount options, such as allow_other,attr_timeout=5; may be given several times.",
      valueName: "options"))
  var options: [String] = []

  @Flag(name: .customShort("f"), help: "Stay in front, whatever the script says.")
  var foreground = false

  @Flag(name: .customShort("d"), help: "Go to the background once the mount is live.")
  var background = false

  @Flag(help: "Clear a dead mount of yours that is in the way.")
  var force = false

  @Option(
    help: ArgumentHelp(
      "Show each operation as it ends: on standard error, or appended to a file (--trace=FILE).",
      valueName: "file"))
  var trace: String?

  @OptionGroup var tracing: TraceOptions

  @Flag(help: "Load the script again whenever it, or a file that it requires, is saved.")
  var watch = false

  @Argument(parsing: .postTerminator, help: "What the script finds in ARGV.")
  var arguments: [String] = []

  func validate() throws {
    if foreground && background {
      throw ValidationError("-f and -d exclude each other")
    }
  }

  /// What the options say to the host.
  var configuration: HostConfiguration {
    get throws(HostError) {
      var configuration = HostConfiguration(script: script)
      configuration.mountPoint = mountPoint
      configuration.mountOptions = options
      configuration.arguments = arguments
      configuration.daemonize = foreground ? false : background ? true : nil
      configuration.force = force
      configuration.watch = watch
      if let trace {
        configuration.trace = TraceOutput(
          path: trace, format: tracing.format, filter: try tracing.filter)
      }
      return configuration
    }
  }

  func run() throws {
    let status = try Host(configuration).run()
    if status != 0 { throw ExitCode(status) }
  }
}
