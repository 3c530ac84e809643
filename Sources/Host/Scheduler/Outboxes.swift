// The natives of outbox.rb: logs of messages, and what a message is signed with.

import CCrypto
import MessageLog
import Ruby
import RubyLibrary
import Waiting

/// The logs of a script's outboxes, by their numbers.
final class Outboxes {
  private let vm: VM
  private var logs: [MessageLog] = []
  private let lifecycle: Lifecycle

  init(_ vm: VM, _ lifecycle: Lifecycle) {
    self.vm = vm
    self.lifecycle = lifecycle
  }

  func defineNatives() throws(RubyException) {
    try vm.define("FUSE", "__outbox") { [unowned self] call throws(RubyException) in
      _ = try vm.cString(call[0], "outbox")
      guard !lifecycle.isChecked, let path = call[0].text else { return .nil }
      logs.append(MessageLog(path: path))
      return try vm.integer(logs.count - 1)
    }
    try vm.define("FUSE", "__outbox_status") { [unowned self] call throws(RubyException) in
      let status = try log(call[0]).status
      return try vm.array([
        try vm.integer(status.waiting), try vm.integer(Int(clamping: status.delivered)),
        try vm.integer(status.dead),
      ])
    }
    try vm.define("FUSE", "__outbox_changes") { [unowned self] call throws(RubyException) in
      let descriptor = try log(call[0]).changes
      return descriptor < 0 ? .nil : try vm.integer(Int(descriptor))
    }
    try vm.define("FUSE", "__outbox_notes") { [unowned self] call throws(RubyException) in
      let notes = try vm.array([])
      for note in try log(call[0]).takeNotes() { try vm.push(try vm.string(note), onto: notes) }
      return notes
    }
    try vm.define("FUSE", "__message_id") { [unowned self] _ throws(RubyException) in
      try vm.string(MessageID.random().text)
    }
    try vm.define("FUSE", "__hmac_sha256") { [unowned self] call throws(RubyException) in
      guard let key = call[0].bytes, let data = call[1].bytes,
        let signature = Outboxes.signature(of: data, key: key)
      else { throw vm.exception("ArgumentError", "HMAC: expected a key and what to sign") }
      return try vm.string(signature)
    }
  }

  /// HMAC-SHA256, RFC 2104; nil where libcrypto cannot do it. HMAC(3)
  private static func signature(of data: [UInt8], key: [UInt8]) -> [UInt8]? {
    guard let keyLength = Int32(exactly: key.count) else { return nil }
    var signature = [UInt8](repeating: 0, count: 32)
    var count: UInt32 = 0
    guard HMAC(EVP_sha256(), key, keyLength, data, data.count, &signature, &count) != nil,
      count == signature.count
    else { return nil }
    return signature
  }

  private func log(_ number: Value) throws(RubyException) -> MessageLog {
    guard let number = number.integer, logs.indices.contains(number) else {
      throw vm.exception("ArgumentError", "no such outbox")
    }
    return logs[number]
  }

  // MARK: What is waited for

  /// The wait for (number of the log, name of an operation, its arguments ...).
  func wait(_ arguments: Value) throws(RubyException) -> Wait {
    func argument(_ index: Int) -> Value { arguments.kind == .array ? arguments[index] : .nil }
    let log = try log(argument(0))
    let operation = try operation(argument)
    return .task { mayStartThreads, done in
      log.perform(operation, mayStartThreads: mayStartThreads) { done($0.asWorkResult) }
    }
  }

  private func operation(
    _ argument: (Int) -> Value
  ) throws(RubyException) -> MessageLog.Operation {
    switch argument(1).symbol.map(vm.text) {
    case "open": return .open
    case "put":
      let limit = argument(4).integer ?? .max
      return .put(try bytes(argument(2)), isJSON: argument(3).isTruthy, limit: limit)
    case "next": return .next
    case "delivered": return .delivered(try id(argument(2)))
    case "bury": return .bury(try id(argument(2)), reason: try bytes(argument(3)))
    case "redeliver": return .redeliver(argument(2).isNil ? nil : [try id(argument(2))])
    case "letters": return .letters
    case "refresh": return .refresh
    case "release": return .release
    default: throw vm.exception("ArgumentError", "an outbox has no such operation")
    }
  }

  private func bytes(_ value: Value) throws(RubyException) -> [UInt8] {
    guard let bytes = value.bytes else {
      throw vm.exception("TypeError", "expected a String, got \(vm.inspect(value, limit: 80))")
    }
    return bytes
  }

  private func id(_ value: Value) throws(RubyException) -> MessageID {
    guard let id = value.text.flatMap({ MessageID($0) }) else {
      throw vm.exception("ArgumentError", "no id of a message: \(vm.inspect(value, limit: 80))")
    }
    return id
  }
}

extension MessageLog.Result {
  /// As outbox.rb has it: of a message [id, is it JSON?, bytes]; nothing where there is none; 0 where
  /// another process delivers.
  fileprivate var asWorkResult: WorkResult {
    switch self {
    case .done, .next(.none): .nothing
    case .next(.elsewhere): .number(0)
    case .next(.message(let message)): .list(message.parts)
    case .count(let count): .number(count)
    case .letters(let letters): .list(letters.map { .list($0.message.parts + [.bytes($0.reason)]) })
    case .failed(let failure): .refused(failure.errno, failure.message)
    }
  }
}

extension MessageLog.Message {
  fileprivate var parts: [WorkResult] {
    [.bytes(Array(id.text.utf8)), .number(isJSON ? 1 : 0), .bytes(bytes)]
  }
}
