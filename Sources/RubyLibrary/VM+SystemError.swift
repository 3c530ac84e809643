package import Ruby
import System

extension VM {
  /// The Errno exception of a failed call, for a native to throw.
  ///
  /// `what` says what failed, and follows the system's own message: `No such file or directory -
  /// open`. The number is that of errno unless another one is given. errno(3).
  package func systemError(_ what: String, _ number: Int32 = Errno.last.rawValue) -> RubyException {
    do throws(RubyException) {
      let arguments = [try integer(Int(number)), try string(what)]
      try send(try constant("SystemCallError"), "_sys_fail", arguments)
    } catch {
      return error
    }
    return exception("RuntimeError", what)
  }

  /// The bytes of a String argument as a C string has them: with a NUL behind, and none inside.
  ///
  /// Throws TypeError or ArgumentError.
  package func cString(_ value: Value, _ what: String) throws(RubyException) -> [CChar] {
    guard let bytes = value.bytes else {
      throw exception("TypeError", "\(what): expected a String, got \(inspect(value, limit: 80))")
    }
    guard !bytes.contains(0) else {
      throw exception("ArgumentError", "\(what): a NUL byte in \(inspect(value, limit: 80))")
    }
    return bytes.map { CChar(bitPattern: $0) } + [0]
  }

  /// An Integer argument that fits a C int, such as a descriptor, a process id or a flag.
  ///
  /// Throws TypeError.
  package func cInt(_ value: Value, _ what: String) throws(RubyException) -> Int32 {
    guard let number = value.integer.flatMap({ Int32(exactly: $0) }) else {
      throw exception("TypeError", "\(what): expected a number, got \(inspect(value, limit: 80))")
    }
    return number
  }
}
