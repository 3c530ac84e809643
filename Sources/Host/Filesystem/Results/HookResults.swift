// What a hook result means: one rule, in one place.
//
//   a negative Integer                       that errno
//   raise Errno::EACCES (any SystemCallError) that errno
//   any other exception                      EIO, reported with message and backtrace
//   where a thing was asked for:  nil is ENOENT; the wrong type or length is EIO, reported with what
//                                 was expected
//   where something was to be done:  whatever the last line leaves is success; an HTTP::Response of 400
//                                 or more is the errno that fits it
//
// Invariant: nothing that a script returns is trusted. A length, a mode, a name or a count is looked
// at before it is believed, and no conversion here can trap.

import FUSE
import Glibc
import Reports
import Ruby
import System

/// Reads the results of hooks.
final class HookResults {
  let interpreter: Interpreter
  private let reporter: Reporter
  private let lifecycle: Lifecycle
  let vm: VM
  let statMembers: MemberNames
  let statfsMembers: MemberNames

  init(_ interpreter: Interpreter, _ reporter: Reporter, _ lifecycle: Lifecycle) {
    self.interpreter = interpreter
    self.reporter = reporter
    self.lifecycle = lifecycle
    vm = interpreter.vm
    statMembers = MemberNames(StatMember.allCases.map { [vm] in vm.name($0.name) })
    statfsMembers = MemberNames(HookResults.statfsNames.map { [vm] in vm.name($0) })
  }

  /// The value of a result, where it is not an error in one of the ways that all hooks share.
  func value(of result: HookResult) throws(Errno) -> Value {
    switch result.content {
    case .missing:
      if case .fails(let number) = result.hook.row.missing { throw Errno(number) }
      return .nil
    case .raised(let exception):
      throw errno(of: exception, in: result.method, node: result.node)
    case .value(let value):
      if let number = value.integer, number < 0 {
        guard number >= -Int(Errno.largest) else { throw wrong(result, value) }
        throw Errno(Int32(-number))
      }
      return value
    }
  }

  /// The errno of a call that did not come to a value.
  func errno(of result: HookResult, in hook: String) -> Errno {
    guard case .raised(let exception) = result.content else { return Errno(EIO) }
    return errno(of: exception, in: hook, node: result.node)
  }

  /// The errno that an exception stands for; one that stands for none is reported, and is EIO.
  func errno(of exception: RubyException, in hook: String, node: Node?) -> Errno {
    if let errno = interpreter.systemError(exception) { return errno }
    if let status = interpreter.exitStatus(exception) {
      // `exit` in a hook means what it says: the mount ends.
      lifecycle.stop(status: status)
      return Errno(EIO)
    }
    // A hook that waited when the mount ended is not to blame. (After an EINTR many programs would ask
    // again.)
    if interpreter.isToldToEnd(exception) { return Errno(EIO) }
    reporter.report(vm.describe(exception), in: hook, path: node?.pathText) {
      interpreter.hint(exception)
    }
    return Errno(EIO)
  }

  /// Reports a value of the wrong kind, and returns the errno for it.
  func wrong(
    _ result: HookResult, _ value: Value, _ expected: String? = nil, example: String? = nil
  ) -> Errno {
    let kind = result.hook.row.expected
    reporter.report(
      wrongAnswer: vm.inspect(value, limit: 60), of: vm.className(of: value),
      expected: "\(expected ?? kind.expectation); for example \(example ?? kind.example)",
      in: result.hook.name,
      path: result.node?.pathText
    ) { interpreter.definition(of: result) }
    return Errno(EIO)
  }

  // MARK: The kinds of results

  /// An act: whatever its last line leaves is success, but for an HTTP::Response that says otherwise.
  func accept(_ result: HookResult) throws(Errno) {
    let value = try value(of: result)
    guard value.kind == .other, vm.isKind(value, of: vm[interpreter.httpResponse]) else { return }
    let number: Int?
    do throws(RubyException) {
      number = try vm.send(value, interpreter.names.errno).integer
    } catch {
      throw errno(of: error, in: result.hook.name, node: result.node)
    }
    if let number, (1...Int(Errno.largest)).contains(number) { throw Errno(Int32(number)) }
  }

  /// Bytes, of which at most `limit` may be: the script's own String's, good until Ruby runs again.
  func bytes(
    of result: HookResult, limit: Int = .max
  ) throws(Errno) -> UnsafeRawBufferPointer {
    let value = try value(of: result)
    if value.isNil { throw Errno(ENOENT) }
    var bytes = value.borrowedBytes
    if bytes == nil, value.kind == .array, value.count == 2 {
      bytes = value[0].borrowedBytes
      if !value[1].isNil {
        guard let size = value[1].integer else { throw wrong(result, value) }
        bytes = bytes.flatMap { (0...$0.count).contains(size) ? .init(rebasing: $0[..<size]) : nil }
      }
    }
    guard let bytes, bytes.count <= limit else {
      throw wrong(
        result, value,
        limit < .max ? "\(result.hook.row.expected.expectation), of at most \(limit) bytes" : nil)
    }
    return bytes
  }

  /// A count of bytes from 0 to `total`; what is no Integer stands for all of them.
  func count(of result: HookResult, total: Int) throws(Errno) -> Int {
    let value = try value(of: result)
    guard let count = value.integer else {
      try accept(result)
      return total
    }
    guard count <= total else { throw wrong(result, value) }
    return count
  }

  /// An Integer from 0 on.
  func offset(of result: HookResult) throws(Errno) -> Int64 {
    let value = try value(of: result)
    guard let offset = value.integer, offset >= 0 else { throw wrong(result, value) }
    return Int64(offset)
  }
}
