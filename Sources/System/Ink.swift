// Colour, where a terminal shows it.

import Glibc

/// Marks text for a terminal; leaves it as it is for anything else, and where NO_COLOR is set
/// (no-color.org).
package struct Ink: Sendable {
  /// Whether text is marked.
  package let isColoured: Bool

  /// Asks whether a descriptor is a terminal. isatty(3)
  package init(for descriptor: Int32) {
    func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
    isColoured =
      isatty(descriptor) == 1 && variable("NO_COLOR") ?? "" == "" && variable("TERM") != "dumb"
  }

  /// A colour or a weight. console_codes(4)
  package enum Style: String, Sendable {
    case bold = "1"
    case faint = "2"
    case red = "31"
    case boldRed = "1;31"
    case cyan = "36"
  }

  /// The text in a style where there are colours, as it is where there are none.
  package func paint(_ text: String, _ style: Style) -> String {
    isColoured && !text.isEmpty ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }
}
