import ArgumentParser
import Glibc
import Host
import System

/// Writes a script to begin with.
struct New: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a commented script that runs at once.",
    discussion: """
      NAME.rb is written, and never over a file that is there. The templates are hello (a file with a \
      content), webhook (a write becomes a POST) and memory (files kept in memory).
      """)

  @Argument(help: "What to call it; the script becomes NAME.rb.")
  var name: String

  @Option(name: .shortAndLong, help: "What to begin with.")
  var template = Template.hello

  func run() throws {
    let file = name.hasSuffix(".rb") ? name : name + ".rb"
    let base = String(file.dropLast(3).split(separator: "/").last ?? "")
    guard let className = New.className(base) else {
      throw HostError("'\(base)' makes no name for a class: use letters, digits, - and _")
    }
    // A path that a command line does not take for an option.
    let argument = file.hasPrefix("-") ? "./" + file : file
    let source = template.source(
      className: try free(className), file: argument, name: base)
    do throws(SystemError) { try SourceFile.write(source, toNew: file) } catch {
      throw HostError("cannot write \(file): \(error)")
    }
    print(
      """
      wrote \(file); to try it:
        mkdir -p /tmp/\(base)
        fusuma --watch \(argument) /tmp/\(base)
      """)
  }

  /// The name, or a longer one where Ruby, the host or the template itself has something of that name:
  /// the script would change it, or could not be run.
  private func free(_ className: String) throws -> String {
    let host = try Host(HostConfiguration(script: name))
    let isTaken =
      ["BEGIN", "END"].contains(className) || template.assigns(constant: className)
      || host.has(constant: className)
    return isTaken ? className + "Filesystem" : className
  }

  /// "my-files" is MyFiles; nil where there is no letter to begin with.
  private static func className(_ name: String) -> String? {
    let words = name.split { $0 == "-" || $0 == "_" || $0 == "." }
    guard !words.isEmpty,
      words.allSatisfy({ $0.utf8.allSatisfy { UInt8(ascii: "0") <= $0 && isalnum(Int32($0)) != 0 } }
      )
    else { return nil }
    let joined = words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    guard let first = joined.utf8.first, isalpha(Int32(first)) != 0 else { return nil }
    return joined
  }
}
