// Turns: fibers that call a method again and again, and may wait in the middle of it.
//
// Invariants: no exception leaves a fiber; the arena is the caller's affair (`VM.scope` around every
// turn, never across a wait).

import CMRuby

/// What a turn's fiber came back with.
package enum TurnOutcome {
  /// The method's answer.
  case returned(Value)
  /// The exception that the method raised.
  case raised(RubyException)
  /// It waits; `VM.proceed` goes on with it.
  case parked
  /// The fiber itself is gone, with the exception that ended it: make a new one.
  case ended(RubyException)
}

/// An argument of a hook, made into a Ruby object only inside the call.
package struct Argument {
  let raw: cmr_argument

  package static func value(_ value: Value) -> Argument {
    var raw = cmr_argument()
    raw.kind = CMR_ARGUMENT_VALUE
    raw.value = value.raw
    return Argument(raw: raw)
  }

  package static func integer(_ value: some BinaryInteger) -> Argument {
    var raw = cmr_argument()
    raw.kind = CMR_ARGUMENT_INTEGER
    raw.integer = Int64(truncatingIfNeeded: value)
    return Argument(raw: raw)
  }

  /// A String with a copy of the bytes, which need to live only until the call is made.
  package static func bytes(_ bytes: UnsafeRawBufferPointer) -> Argument {
    var raw = cmr_argument()
    raw.kind = CMR_ARGUMENT_BYTES
    raw.bytes = cmr_bytes(bytes)
    return Argument(raw: raw)
  }
}

/// An argument that outlives the call it was made for.
package struct KeptArgument {
  package let argument: Argument
  private let root: VM.Root?

  fileprivate init(_ argument: Argument, _ root: VM.Root?) {
    self.argument = argument
    self.root = root
  }

  /// Lets go of it.
  package func release(from vm: VM) {
    if let root { vm.release(root) }
  }
}

extension Argument {
  /// The same, made into a Ruby object that stays until it is released.
  ///
  /// Without memory for that it is nil, in Ruby's sense.
  package func kept(by vm: VM) -> KeptArgument {
    let value: Value
    switch raw.kind {
    case CMR_ARGUMENT_INTEGER: return KeptArgument(self, nil)
    case CMR_ARGUMENT_BYTES:
      let bytes = UnsafeRawBufferPointer(start: raw.bytes.start, count: raw.bytes.count)
      value = (try? vm.string(bytes)) ?? .nil
    default: value = Value(raw.value)
    }
    return KeptArgument(.value(value), try? vm.retain(value))
  }
}

extension VM {
  /// Resumes an idle fiber with a receiver and the first `count` of the arguments, which are at most
  /// 12, for the method that it calls.
  package func call(
    _ fiber: Value, _ receiver: Value, _ arguments: [Argument], count: Int
  ) -> TurnOutcome {
    arguments.withUnsafeBufferPointer { arguments in
      // Argument is a wrapper of one C struct, so the memory is an array of those.
      let start = UnsafeRawPointer(arguments.baseAddress)?.assumingMemoryBound(
        to: cmr_argument.self)
      return outcome(
        cmr_turn_call(
          raw, fiber.raw, receiver.raw, Int64(min(count, arguments.count)), start))
    }
  }

  /// Resumes a parked fiber with what it waited for; an exception object is raised there.
  package func proceed(_ fiber: Value, with value: Value) -> TurnOutcome {
    outcome(cmr_turn_continue(raw, fiber.raw, value.raw))
  }

  private func outcome(_ turn: cmr_turn) -> TurnOutcome {
    let value = Value(turn.value)
    switch turn.outcome {
    case CMR_RETURNED: return .returned(value)
    case CMR_RAISED: return .raised(RubyException(value: value))
    case CMR_PARKED: return .parked
    default: return .ended(RubyException(value: value))
    }
  }

  /// For a native: the value that the running fiber is about to yield is an exception.
  package func markRaised() { cmr_turn_raised(raw) }
  /// The object that a fiber yields to wait.
  package var parked: Value { Value(cmr_parked(raw)) }
  /// Whether the code that runs now could give away the turn of `fiber`.
  package func canPark(_ fiber: Value) -> Bool { cmr_can_park(raw, fiber.raw) }

  /// Whether the fiber itself is running, and no other one inside it.
  package func isCurrent(_ fiber: Value) -> Bool { cmr_is_current(raw, fiber.raw) }

  // MARK: Members

  /// Reads members of a stat-like by name, from a Hash or from any object's methods.
  ///
  /// `body` is told of each member that is there, by its place in `names`. Answers what a member's
  /// method raised.
  package func members(
    of object: Value, names: MemberNames, _ body: (Int, Value) -> Void
  ) -> RubyException? {
    let found = cmr_read_members(raw, object.raw, names.start, UInt32(names.count), names.values)
    if found.raised { return RubyException(value: Value(found.exception)) }
    for index in 0..<names.count where found.present & (1 << index) != 0 {
      body(index, Value(names.values[index]))
    }
    return nil
  }

  /// Forgets which classes have which members, for when code was evaluated anew.
  package func forgetMembers() { cmr_forget_members(raw) }
}

/// A fixed list of at most 32 member names, at one place in memory for as long as it lives, with room
/// for the values that are read: reading a stat allocates nothing.
package final class MemberNames {
  let start: UnsafeMutablePointer<cmr_symbol>
  let values: UnsafeMutablePointer<cmr_value>
  package let count: Int

  package init(_ names: [Name]) {
    precondition(names.count <= 32, "at most 32 members")
    count = names.count
    values = .allocate(capacity: names.count)
    values.initialize(repeating: cmr_nil(), count: names.count)
    start = .allocate(capacity: names.count)
    for (index, name) in names.enumerated() { (start + index).initialize(to: name.id) }
  }

  deinit {
    start.deallocate()
    values.deallocate()
  }
}
