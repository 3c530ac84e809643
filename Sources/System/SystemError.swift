// What a call of the system failed with, and what ends a command.

import Glibc

/// A call of the C library that failed.
package struct SystemError: Error, CustomStringConvertible {
  package let number: Int32
  /// Takes what the call left in errno.
  package init(number: Int32) { self.number = number }
  package var description: String { String(cString: strerror(number)) }
}

/// An error that ends the command: one clear line.
package struct HostError: Error, CustomStringConvertible, Sendable {
  package let description: String
  /// What the process is to end with.
  package let status: Int32
  package init(_ description: String, status: Int32 = 1) {
    self.description = description
    self.status = status
  }
}
