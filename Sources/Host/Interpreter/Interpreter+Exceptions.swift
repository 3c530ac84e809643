// What an exception means to the host.

import FUSE
import Ruby
import System

extension Interpreter {
  /// The errno of a SystemCallError; nil for any other exception.
  func systemError(_ exception: RubyException) -> Errno? {
    guard vm.isKind(exception.value, of: vm[systemCallError]) else { return nil }
    guard let number = (try? vm.send(exception.value, names.errno))?.integer,
      (1...Int(Errno.largest)).contains(number)
    else { return nil }
    return Errno(Int32(number))
  }

  /// The status that a SystemExit carries; nil for any other exception.
  func exitStatus(_ exception: RubyException) -> Int32? {
    guard vm.isKind(exception.value, of: vm[systemExit]) else { return nil }
    let status = (try? vm.send(exception.value, "status"))?.integer ?? 0
    return Int32(truncatingIfNeeded: status & 0xFF)
  }

  /// Whether an exception only says that the mount ends, or that background work has begun again.
  func isToldToEnd(_ exception: RubyException) -> Bool {
    ["FUSE::Unmounted", "FUSE::Reloaded"].contains(vm.className(of: exception.value))
  }

  /// An exception of one of FUSE's own classes, or the one that making it raised.
  func exception(ofFUSE name: String, _ message: String) -> Value {
    do throws(RubyException) {
      let klass = try vm.constant(name, in: vm[fuse])
      return try vm.send(klass, names.new, [try vm.string(message)])
    } catch {
      return error.value
    }
  }

  /// A moment as Ruby sees it: a Rational of seconds, which loses no nanosecond; nil for none.
  func value(of time: Timestamp?) throws(RubyException) -> Value {
    guard let time else { return .nil }
    return try vm.send(
      vm[fuse], names.time,
      [try vm.integer(Int(time.seconds)), try vm.integer(Int(time.nanoseconds))])
  }
}
