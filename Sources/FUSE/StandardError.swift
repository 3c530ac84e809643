// libfuse tells why a mount failed on the standard error stream, part of it through perror(3) and
// part of it from another program, fusermount3. So the one way to have its words is to take hold of
// descriptor 2 for as long as the call lasts. That is the process's own: one taker at a time.

import CFuse
import Glibc
import Synchronization

enum StandardError {
  private static let taker = Mutex<Void>(())

  /// Runs the body, and returns its value with what was written to standard error meanwhile.
  ///
  /// Where the stream cannot be taken hold of, the text is empty and the words appear as they are.
  static func capturing<Value>(_ body: () -> Value) -> (value: Value, text: String) {
    taker.withLock { _ in
      let file = cfuse_memory_file()
      guard file >= 0 else { return (body(), "") }
      defer { close(file) }
      let original = fcntl(2, F_DUPFD_CLOEXEC, 3)
      guard original >= 0 else { return (body(), "") }
      defer { close(original) }
      guard dup2(file, 2) == 2 else { return (body(), "") }
      let value = body()
      let error = errno
      dup2(original, 2)
      errno = error
      return (value, contents(of: file))
    }
  }

  private static func contents(of file: Int32) -> String {
    let error = errno
    defer { errno = error }
    var information = stat()
    guard fstat(file, &information) == 0, information.st_size > 0 else { return "" }
    return String(unsafeUninitializedCapacity: Int(information.st_size)) { buffer in
      max(0, pread(file, buffer.baseAddress, buffer.count, 0))
    }
  }
}
