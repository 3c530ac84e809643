import Glibc

/// Why something could not be written down, or read: an errno, and what it was about.
package struct LogFailure: Error, Sendable {
  /// See errno(3).
  package let errno: Int32
  /// The file, and what is wrong with it where the errno alone does not say.
  package let message: String

  init(_ message: String, _ errno: Int32 = Glibc.errno) {
    self.errno = errno
    self.message = message
  }
}

/// Repeats a call of the system that a signal has interrupted.
func uninterrupted<Number: SignedInteger>(_ call: () -> Number) -> Number {
  while true {
    let result = call()
    if result >= 0 || errno != EINTR { return result }
  }
}
