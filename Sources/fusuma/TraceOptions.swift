import ArgumentParser
import ControlProtocol
import System

/// What of a trace is shown, and how.
struct TraceOptions: ParsableArguments {
  @Option(
    name: [.customLong("trace-format"), .customLong("format")],
    help: "How an operation is shown: text, or json for one object a line.")
  var format = TraceFormat.text

  @Option(
    name: [.customLong("trace-operation"), .customLong("operation")],
    help: ArgumentHelp("Only these operations, such as read,write.", valueName: "names"))
  var operations: [String] = []

  @Option(
    name: [.customLong("trace-path"), .customLong("path")],
    help: ArgumentHelp("Only paths that match, such as '/notes/*'.", valueName: "pattern"))
  var paths: [String] = []

  @Option(
    name: [.customLong("trace-errno"), .customLong("errno")],
    help: ArgumentHelp(
      "Only operations that failed with these errors, such as EIO,EACCES, or any.",
      valueName: "names"))
  var errors: [String] = []

  @Option(
    name: [.customLong("trace-slower"), .customLong("slower")],
    help: ArgumentHelp(
      "Only operations that took that long or longer, such as 5ms.", valueName: "duration"))
  var slower: String?

  /// The filter; throws one line where something of it means nothing.
  var filter: TraceFilter {
    get throws(HostError) {
      try TraceFilter(
        operations: operations, paths: paths, errors: errors, slowerThan: slower)
    }
  }
}

extension TraceFormat: ExpressibleByArgument {}
