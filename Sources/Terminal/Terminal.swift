import Glibc
package import System

/// What is known of the terminal that a program talks to.
package enum Terminal {
  /// Whether standard input and output are both terminals: somebody sits there.
  package static var isInteractive: Bool { isatty(STDIN_FILENO) == 1 && isOutput }
  /// Whether standard output is a terminal.
  package static var isOutput: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Whether to print in colours on standard output.
  package static var hasColours: Bool { ink.isColoured }

  /// What marks text on standard output.
  package static var ink: Ink { Ink(for: STDOUT_FILENO) }

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
  /// Returns false where the reader is gone.
  @discardableResult
  package static func write(_ text: String, to descriptor: Int32 = STDOUT_FILENO) -> Bool {
    write(Array(text.utf8), to: descriptor)
  }

  /// Writes bytes as they are.
  @discardableResult
  package static func write(_ bytes: [UInt8], to descriptor: Int32 = STDOUT_FILENO) -> Bool {
    writeAll(bytes, to: descriptor) == 0
  }

  /// The text in a style where standard output shows one.
  package static func paint(_ text: String, _ style: Ink.Style) -> String { ink.paint(text, style) }
}
