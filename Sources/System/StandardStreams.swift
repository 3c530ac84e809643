import Glibc

/// The descriptors 0, 1 and 2.
package enum StandardStreams {
  /// Puts /dev/null in the place of those that are closed; to be called before anything else is opened,
  /// which would have its number, and be taken for it.
  package static func fill() {
    for number in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(number, F_GETFD) < 0 {
      // The lowest number that is free: this one.
      _ = open("/dev/null", number == STDIN_FILENO ? O_RDONLY : O_WRONLY)
    }
  }
}
