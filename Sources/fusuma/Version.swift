import ArgumentParser

/// Tells the version.
struct Version: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Tell the version.")

  /// Semantic versioning: what a script sees is the interface.
  static let number = "0.1.0"

  func run() { print("fusuma \(Version.number)") }
}
