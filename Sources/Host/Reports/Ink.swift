// Colour, where a terminal shows it.

import Glibc

/// Marks text for a terminal; leaves it as it is for anything else, and where NO_COLOR is set.
struct Ink {
  let isColoured: Bool

  /// Asks whether a descriptor is a terminal. isatty(3)
  init(for descriptor: Int32) {
    isColoured =
      isatty(descriptor) == 1 && getenv("NO_COLOR") == nil
      && getenv("TERM").map { String(cString: $0) } != "dumb"
  }

  func red(_ text: String) -> String { marked(text, "1;31") }
  func bold(_ text: String) -> String { marked(text, "1") }
  func dim(_ text: String) -> String { marked(text, "2") }

  private func marked(_ text: String, _ code: String) -> String {
    isColoured && !text.isEmpty ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
  }
}
