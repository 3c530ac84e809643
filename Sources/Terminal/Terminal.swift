import Glibc

/// What is known of the terminal that a program talks to.
package enum Terminal {
  /// Whether standard input and output are both terminals: somebody sits there.
  package static var isInteractive: Bool { isatty(STDIN_FILENO) == 1 && isOutput }
  /// Whether standard output is a terminal.
  package static var isOutput: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Whether to print in colours: on a terminal, unless NO_COLOR is set. no-color.org.
  package static var hasColours: Bool {
    isOutput && (getenv("NO_COLOR").map { $0.pointee == 0 } ?? true)
      && getenv("TERM").map { strcmp($0, "dumb") != 0 } ?? false
  }

  /// Its width in columns, 80 where that is not known. ioctl_tty(2).
  package static var width: Int { Int(size.ws_col) > 0 ? Int(size.ws_col) : 80 }
  /// Its height in lines, 24 where that is not known.
  package static var height: Int { Int(size.ws_row) > 0 ? Int(size.ws_row) : 24 }

  private static var size: winsize {
    var size = winsize()
    _ = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size)
    return size
  }

  /// Writes text at once. write(2).
  ///
  /// Answers false where nobody is left to read it.
  @discardableResult
  package static func write(_ text: String, to descriptor: Int32 = STDOUT_FILENO) -> Bool {
    write(Array(text.utf8), to: descriptor)
  }

  /// Writes bytes as they are.
  @discardableResult
  package static func write(_ bytes: [UInt8], to descriptor: Int32 = STDOUT_FILENO) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent)
      }
      if count < 0 && errno != EINTR { return false }
      sent += max(count, 0)
    }
    return true
  }

  /// A colour, or weight, of text.
  package enum Style: String {
    case bold = "1"
    case faint = "2"
    case red = "31"
    case yellow = "33"
    case cyan = "36"
  }

  /// The text in a style where there are colours, as it is where there are none.
  package static func paint(_ text: String, _ style: Style) -> String {
    hasColours ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }
}
