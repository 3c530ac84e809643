// The script's own lines, as a report shows them.

import System

/// Somewhere in a source.
package struct Place: Equatable {
  package let file: String
  package let line: Int
  /// From 1 on; nil where only the line is known.
  package var column: Int?

  package init(file: String, line: Int, column: Int? = nil) {
    self.file = file
    self.line = line
    self.column = column
  }

  /// The place of a frame of a backtrace: "file:line" or "file:line:in method".
  package init?(frame: String) {
    let place = frame.split(separator: ":in ", maxSplits: 1).first ?? ""
    guard let colon = place.lastIndex(of: ":"),
      let line = Int(place[place.index(after: colon)...])
    else { return nil }
    self.init(file: String(place[..<colon]), line: line)
  }
}

/// Shows lines of sources, each file read once.
struct Excerpts {
  private var sources: [String: [String]] = [:]

  /// The lines around a place, which is marked; empty where they cannot be had.
  mutating func around(_ place: Place, _ ink: Ink) -> String {
    let lines = lines(of: place.file)
    guard place.line >= 1, place.line <= lines.count else { return "" }
    let first = max(place.line - 1, 1)
    let last = min(place.line + 1, lines.count)
    let width = "\(last)".count
    var text = ""
    for number in first...last {
      let margin = String(repeating: " ", count: width - "\(number)".count) + "\(number) | "
      let line = lines[number - 1]
      if number == place.line {
        text +=
          "  \(ink.paint(">", .boldRed)) \(ink.paint(margin, .faint))\(ink.paint(line, .bold))\n"
        if let column = place.column, column >= 1, column <= line.count + 1 {
          let indent = String(repeating: " ", count: 4 + margin.count + column - 1)
          text += "\(indent)\(ink.paint("^", .boldRed))\n"
        }
      } else {
        text += "    \(ink.paint(margin, .faint))\(line)\n"
      }
    }
    return text
  }

  /// Whether the files that were read have the same lines.
  func isSame(as other: Excerpts) -> Bool { sources == other.sources }

  /// Reads a file now, for later.
  mutating func remember(_ file: String) { _ = lines(of: file) }

  private mutating func lines(of file: String) -> [String] {
    if let lines = sources[file] { return lines }
    let bytes = (try? SourceFile.readAgain(file)) ?? []
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map {
        Printable.lines(String(decoding: $0.last == 0x0D ? $0.dropLast() : $0, as: UTF8.self))
      }
    if lines.last == "" { lines.removeLast() }
    sources[file] = lines
    return lines
  }
}
