// What an answer means: one rule, in one place.
//
//   nil               no such file, where a thing was asked for; success, where an act was
//   a negative Integer                       that errno
//   raise Errno::EACCES (any SystemCallError) that errno
//   any other exception                      EIO, reported with message and backtrace
//   an answer of the wrong type or length    EIO, reported with what was expected
//
// Invariant: nothing that a script returns is trusted. A length, a mode, a name or a count is looked
// at before it is believed, and no conversion here can trap.

import FUSE
import Glibc
import Reports
import Ruby
import System

/// What a hook answers when all is well.
package enum AnswerKind: Sendable {
  case act, attributes, bytes, names, handle, count, statistics
  case attributeValue, attributeNames, lock, offset, ioctl, events

  /// Says what a good answer is, for the report of a bad one.
  package var expectation: String {
    switch self {
    case .act: "0 or nil for success, or a negative errno"
    case .attributes:
      "something with st_mode (and st_size, st_nlink, ...), or nil for no such file"
    case .bytes: "a String, or [String, size]"
    case .names: "an Array of names or of [name, stat] pairs, or a Hash of them"
    case .handle: "0 for success, nil for no such file, or any other object as a handle"
    case .count: "how many bytes were taken, at most as many as there were, or nil for all"
    case .statistics: "something with f_blocks, f_bfree, f_files, ..."
    case .attributeValue: "a String of at most 65536 bytes, or nil for no such attribute"
    case .attributeNames: "an Array of names"
    case .lock:
      "0 or nil, or for F_GETLK the lock that stands in the way, as [type, start, length, pid]"
    case .offset: "an Integer from 0 on"
    case .ioctl: "an Integer, a String, or [Integer, String]"
    case .events: "an Integer of POLL bits, or nil for none"
    }
  }

  /// A good answer, as a script would have it.
  package var example: String {
    switch self {
    case .act: "-Errno::EACCES::Errno (or: raise Errno::EACCES)"
    case .attributes: "FUSE::Stat.new(FUSE::S_IFREG | 0644, 1, 12)"
    case .bytes: "\"hello\\n\""
    case .names: "[\"hello\"]"
    case .handle: "File.open(@path)"
    case .count: "data.size"
    case .statistics: "{ f_blocks: 1000, f_bfree: 500 }"
    case .attributeValue: "\"text/plain\""
    case .attributeNames: "[\"user.comment\"]"
    case .lock: "[FUSE::F_WRLCK, 0, 0, 1234]"
    case .offset: "4096"
    case .ioctl: "[0, \"done\"]"
    case .events: "FUSE::POLLIN"
    }
  }
}

/// What a hook came to, before anybody has looked at it.
struct Answer {
  enum Result {
    case value(Value)
    /// The class has no such method.
    case missing
    case raised(RubyException)
  }

  // Not counted: the turn holds the node, and is held by whoever lets it go on.
  /// Whose hook it was: a continuation that takes the turn from here need not capture it.
  unowned(unsafe) let turn: Turn
  let hook: Hook
  unowned(unsafe) let node: Node?
  let result: Result

  /// The method that made an exception of it.
  var method: String {
    turn.isNewcomer && node?.instance == nil ? Answer.initializer : hook.name
  }
  static let initializer = "initialize"

  /// Whether the class has the hook at all.
  var isMissing: Bool {
    if case .missing = result { true } else { false }
  }
}

extension Host {

  /// The value of an answer, where it is not an error in one of the ways that all hooks share.
  func value(of answer: Answer) throws(Errno) -> Value {
    switch answer.result {
    case .missing:
      if case .fails(let number) = answer.hook.row.missing { throw Errno(number) }
      return .nil
    case .raised(let exception):
      throw errno(of: exception, in: answer.method, node: answer.node)
    case .value(let value):
      if let number = value.integer, number < 0 {
        guard number >= -Int(Errno.largest) else { throw wrong(answer, value) }
        throw Errno(Int32(-number))
      }
      return value
    }
  }

  /// The errno of something that did not come to an answer.
  func errno(of answer: Answer, in hook: String) -> Errno {
    guard case .raised(let exception) = answer.result else { return Errno(EIO) }
    return errno(of: exception, in: hook, node: answer.node)
  }

  /// The errno that an exception stands for; one that stands for none is reported, and is EIO.
  func errno(of exception: RubyException, in hook: String, node: Node?) -> Errno {
    if let errno = systemError(exception) { return errno }
    if let status = exitStatus(exception) {
      // `exit` in a hook means what it says: the mount ends.
      stop(status: status)
      return Errno(EIO)
    }
    // Whoever waited when the mount ended has nothing to be blamed for. (After an EINTR many programs
    // would ask again.)
    if isToldToEnd(exception) { return Errno(EIO) }
    reporter.report(vm.describe(exception), in: hook, path: node?.pathText) { hint(exception) }
    return Errno(EIO)
  }

  /// The errno of a SystemCallError; nil for any other exception.
  func systemError(_ exception: RubyException) -> Errno? {
    guard vm.isKind(exception.value, of: vm[classes.systemCallError]) else { return nil }
    guard let number = (try? vm.send(exception.value, names.errno))?.integer,
      (1...Int(Errno.largest)).contains(number)
    else { return nil }
    return Errno(Int32(number))
  }

  /// The status that a SystemExit carries; nil for any other exception.
  func exitStatus(_ exception: RubyException) -> Int32? {
    guard vm.isKind(exception.value, of: vm[classes.systemExit]) else { return nil }
    let status = (try? vm.send(exception.value, "status"))?.integer ?? 0
    return Int32(truncatingIfNeeded: status & 0xFF)
  }

  /// Reports an answer that is none, and gives the errno for it.
  func wrong(
    _ answer: Answer, _ value: Value, _ expected: String? = nil, example: String? = nil
  ) -> Errno {
    let kind = answer.hook.row.answer
    reporter.report(
      wrongAnswer: vm.inspect(value, limit: 60), of: vm.className(of: value),
      expected: "\(expected ?? kind.expectation); for example \(example ?? kind.example)",
      in: answer.hook.name,
      path: answer.node?.pathText
    ) { definition(of: answer) }
    return Errno(EIO)
  }

  // MARK: The kinds of answers

  /// An act: 0 or nil.
  func accept(_ answer: Answer) throws(Errno) {
    let value = try value(of: answer)
    guard value.isNil || value.integer == 0 else { throw wrong(answer, value) }
  }

  /// Bytes, of which at most `limit` may be: the script's own String's, good until Ruby runs again.
  func bytes(
    of answer: Answer, limit: Int = .max
  ) throws(Errno) -> UnsafeRawBufferPointer {
    let value = try value(of: answer)
    if value.isNil { throw Errno(ENOENT) }
    var bytes = value.borrowedBytes
    if bytes == nil, value.kind == .array, value.count == 2 {
      bytes = value[0].borrowedBytes
      if !value[1].isNil {
        guard let size = value[1].integer else { throw wrong(answer, value) }
        bytes = bytes.flatMap { (0...$0.count).contains(size) ? .init(rebasing: $0[..<size]) : nil }
      }
    }
    guard let bytes, bytes.count <= limit else {
      throw wrong(
        answer, value,
        limit < .max ? "\(answer.hook.row.answer.expectation), of at most \(limit) bytes" : nil)
    }
    return bytes
  }

  /// A count of bytes from 0 to `total`, which nil stands for.
  func count(of answer: Answer, total: Int) throws(Errno) -> Int {
    let value = try value(of: answer)
    if value.isNil { return total }
    guard let count = value.integer, count >= 0, count <= total else { throw wrong(answer, value) }
    return count
  }

  /// An Integer from 0 on.
  func offset(of answer: Answer) throws(Errno) -> Int64 {
    let value = try value(of: answer)
    guard let offset = value.integer, offset >= 0 else { throw wrong(answer, value) }
    return Int64(offset)
  }
}
