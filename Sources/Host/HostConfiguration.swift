package import ControlProtocol

/// What the command line says.
package struct HostConfiguration: Sendable {
  package var script: String
  package var mountPoint: String?
  /// What stood after each `-o`.
  package var mountOptions: [String] = []
  /// What follows the script: ARGV.
  package var arguments: [String] = []
  /// nil leaves it to the script.
  package var daemonize: Bool?
  /// Clear a dead mount that is in the way.
  package var force = false
  /// Where operations are told, from the beginning; nil for nowhere.
  package var trace: TraceOutput?
  /// Told once the mount is live, with its path.
  package var onLive: (@Sendable (String) -> Void)?
  /// Load the script again whenever one of its files changes.
  package var watch = false

  package init(script: String) { self.script = script }

  /// The script's name without the directories before it.
  var scriptName: Substring { script.split(separator: "/").last ?? script[...] }
}

/// A trace that the command line asks for.
package struct TraceOutput: Sendable {
  /// The file that it is appended to; "-" is standard error.
  package var path: String
  package var format: TraceFormat
  package var filter: TraceFilter

  package init(path: String, format: TraceFormat, filter: TraceFilter) {
    self.path = path
    self.format = format
    self.filter = filter
  }
}
