package import System

/// How a trace looks.
package enum TraceFormat: String, CaseIterable, Sendable {
  /// A line for people.
  case text
  /// A JSON object a line.
  case json
}

/// Which operations are shown; all of them, unless more is said.
package struct TraceFilter: Equatable, Sendable {
  /// Only these operations; empty: any.
  package var operations: Set<Operation> = []
  /// Only paths that match one of these patterns; empty: any. fnmatch(3), where * also matches a slash.
  package var paths: [String] = []
  /// Only operations that failed with one of these errors; empty: any outcome.
  package var errors: Set<Int32> = []
  /// Only operations that took this many nanoseconds or more.
  package var slowest: UInt64 = 0

  package init() {}

  /// Reads what people type: names and patterns separated by commas, an errno or `any`, a duration.
  ///
  /// Throws one line that says what was expected.
  package init(
    operations: [String], paths: [String], errors: [String], slowerThan: String?
  ) throws(HostError) {
    for name in operations.flatMap({ $0.split(separator: ",") }) {
      // A hook's name is as good as its operation's.
      let bare = name.hasPrefix("on_") ? name.dropFirst(3) : name
      guard let operation = Operation(name: bare) else {
        throw HostError("\(name) is no operation; for example read, write, getattr, lookup")
      }
      self.operations.insert(operation)
    }
    self.paths = paths
    for name in errors.flatMap({ $0.split(separator: ",") }) {
      if name == "any" {
        self.errors.formUnion(Errno.all.map(\.rawValue))
      } else if let error = Errno.all.first(where: { $0.name ?? "" == name.uppercased() }) {
        self.errors.insert(error.rawValue)
      } else {
        throw HostError("\(name) is no errno; for example ENOENT, or any")
      }
    }
    if let slowerThan { slowest = try TraceFilter.nanoseconds(slowerThan) }
  }

  /// "250us", "5ms", "1s" or "5", which is milliseconds.
  private static func nanoseconds(_ text: String) throws(HostError) -> UInt64 {
    let units: [(String, Double)] = [("us", 1e3), ("ms", 1e6), ("s", 1e9), ("", 1e6)]
    for (suffix, factor) in units where text.hasSuffix(suffix) {
      guard let number = Double(text.dropLast(suffix.count)), number >= 0, number < 1e6 else {
        break
      }
      return UInt64(number * factor)
    }
    throw HostError("\(text) is no duration; for example 250us, 5ms or 1s")
  }

  // MARK: Over the socket

  /// The filter as a message has it.
  package var message: [String: JSON] {
    [
      "operations": .array(operations.map { .string($0.name) }),
      "paths": .array(paths.map(JSON.string)), "errors": .array(errors.map { .integer(Int($0)) }),
      "slowest": .integer(Int(clamping: slowest)),
    ]
  }

  /// Reads what came over the socket; what means nothing filters nothing.
  package init(_ message: JSON) {
    func strings(_ name: String) -> [String] { (message[name]?.array ?? []).compactMap(\.string) }
    operations = Set(strings("operations").compactMap { Operation(name: $0) })
    paths = strings("paths")
    errors = Set((message["errors"]?.array ?? []).compactMap(\.integer).map { Int32(clamping: $0) })
    slowest = UInt64(max(message["slowest"]?.integer ?? 0, 0))
  }
}
