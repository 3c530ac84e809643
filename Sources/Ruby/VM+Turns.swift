// Fibers that call a method again and again, and may wait in the middle of it.
//
// Invariants: no exception leaves a fiber; the arena is the caller's affair (`VM.scope` around every
// stretch that runs, never across a wait).

import CMRuby

/// How a stretch of a fiber ended.
public enum TurnOutcome {
  /// What the method returned.
  case returned(Value)
  /// The exception that the method raised.
  case raised(RubyException)
  /// It waits; `VM.proceed` goes on with it.
  case parked
  /// The fiber itself is gone, with the exception that ended it: make a new one.
  case ended(RubyException)

  /// Whether it waits.
  public var isParked: Bool {
    if case .parked = self { true } else { false }
  }

  /// Whether the method returned nil.
  public var isNil: Bool {
    if case .returned(let value) = self { value.isNil } else { false }
  }
}

/// An argument of a hook, made into a Ruby object only inside the call.
public struct Argument {
  let raw: cmr_argument

  public static func value(_ value: Value) -> Argument {
    var raw = cmr_argument()
    raw.kind = CMR_ARGUMENT_VALUE
    raw.value = value.raw
    return Argument(raw: raw)
  }

  public static func integer(_ value: some BinaryInteger) -> Argument {
    var raw = cmr_argument()
    raw.kind = CMR_ARGUMENT_INTEGER
    raw.integer = Int64(truncatingIfNeeded: value)
    return Argument(raw: raw)
  }

  /// A String with a copy of the bytes, which need to live only until the call is made.
  public static func bytes(_ bytes: UnsafeRawBufferPointer) -> Argument {
    var raw = cmr_argument()
    raw.kind = CMR_ARGUMENT_BYTES
    raw.bytes = cmr_bytes(bytes)
    return Argument(raw: raw)
  }
}

/// The arguments of one call, which are no objects until it is made: nothing is allocated for them.
public struct Arguments: ExpressibleByArrayLiteral {
  /// How many there may be; FUSE.run's own may be fewer by one, for the path comes before them.
  public static var most: Int { Int(CMR_MOST_ARGUMENTS) }

  public private(set) var count = 0
  var items = cmr_arguments()

  /// Makes an empty list.
  public init() {}

  /// Makes a list of what is written in brackets: at most `most`.
  @inline(__always)
  public init(arrayLiteral elements: Argument...) {
    for element in elements { append(element) }
  }

  /// Adds one at the end; does nothing where there is no room.
  @inline(__always)
  public mutating func append(_ argument: Argument) {
    guard count < Arguments.most else { return }
    withUnsafeMutableBytes(of: &items) {
      $0.storeBytes(
        of: argument.raw, toByteOffset: count * MemoryLayout<cmr_argument>.stride,
        as: cmr_argument.self)
    }
    count += 1
  }

  fileprivate subscript(index: Int) -> Argument {
    withUnsafeBytes(of: items) {
      Argument(
        raw: $0.load(
          fromByteOffset: index * MemoryLayout<cmr_argument>.stride, as: cmr_argument.self))
    }
  }

  fileprivate borrowing func withPointer<R>(_ body: (UnsafePointer<cmr_arguments>) -> R) -> R {
    withUnsafePointer(to: items, body)
  }

  /// The same as Ruby objects, which stay until they are released.
  ///
  /// One for which there is no memory is nil, in Ruby's sense.
  public borrowing func kept(by vm: VM) -> KeptArguments {
    var kept = KeptArguments()
    for index in 0..<count { kept.append(self[index], vm) }
    return kept
  }
}

/// Arguments that outlive the call they were made for.
public struct KeptArguments {
  public private(set) var arguments: Arguments = []
  private var roots: [VM.Root] = []

  fileprivate mutating func append(_ argument: Argument, _ vm: VM) {
    let value: Value
    switch argument.raw.kind {
    case CMR_ARGUMENT_INTEGER: return arguments.append(argument)
    case CMR_ARGUMENT_BYTES:
      let bytes = argument.raw.bytes
      let buffer = UnsafeRawBufferPointer(start: bytes.start, count: bytes.count)
      value = (try? vm.string(buffer)) ?? .nil
    default: value = Value(argument.raw.value)
    }
    if let root = try? vm.retain(value) { roots.append(root) }
    arguments.append(.value(value))
  }

  /// Lets go of them.
  public func release(from vm: VM) {
    for root in roots { vm.release(root) }
  }
}

extension VM {
  /// Resumes a fiber at rest with a receiver and the first `count` of the arguments, for the method that
  /// it calls.
  public func call(
    _ fiber: Value, _ receiver: Value, _ arguments: borrowing Arguments, count: Int
  ) -> TurnOutcome {
    let count = UInt32(min(count, arguments.count))
    return arguments.withPointer {
      outcome(cmr_turn_call(raw, fiber.raw, receiver.raw, count, $0))
    }
  }

  /// Resumes a parked fiber with what it waited for; an exception object is raised there.
  public func proceed(_ fiber: Value, with value: Value) -> TurnOutcome {
    outcome(cmr_turn_continue(raw, fiber.raw, value.raw))
  }

  private func outcome(_ turn: cmr_turn) -> TurnOutcome {
    let value = Value(turn.value)
    made = Value(turn.made)
    switch turn.outcome {
    case CMR_RETURNED: return .returned(value)
    case CMR_RAISED: return .raised(RubyException(value: value))
    case CMR_PARKED: return .parked
    default: return .ended(RubyException(value: value))
    }
  }

  /// Makes a Proc that makes idle fibers, each of which calls one method again and again: what is
  /// written as `call` in Ruby, where `receiver` and `a1` to `aN` stand for what it is handed.
  ///
  /// There is a kind of fiber for each method, because a call that stands in the source is the cheapest
  /// one: no array of arguments, no name to look up. Nothing is ever raised out of it, and nothing that
  /// a script may redefine is called.
  public func makerOfFibers(calling call: String, count: Int) throws(RubyException) -> Value {
    let parameters = ["receiver"] + (0..<count).map { "a\($0 + 1)" }
    let source = """
      ->(turns) {
        -> {
          fiber = turns.fiber do |\(parameters.joined(separator: ", "))|
            result = nil
            while true
              turns.rest(result)
              begin
                result = \(call)
              rescue Exception => error
                result = turns.raised(error)
              end
            end
          end
          turns.start
          fiber
        }
      }
      """
    let maker = try evaluate(Array(source.utf8), file: "fusuma:turn")
    return try self.call(maker, [Value(cmr_turns(raw))])
  }

  /// A new fiber, at rest.
  public func makeFiber(by maker: Value) throws(RubyException) -> Value {
    try call(maker, [])
  }

  /// Whether the class is made instances of by Ruby's own `new`, and these have the method.
  public func makesPlainly(_ klass: Value, with method: Name) -> Bool {
    cmr_makes_plainly(raw, klass.raw, method.id)
  }
  /// The object that a fiber yields to wait.
  public var parked: Value { Value(cmr_parked(raw)) }
  /// Whether the code that runs now could yield from `fiber`.
  public func canPark(_ fiber: Value) -> Bool { cmr_can_park(raw, fiber.raw) }

  // MARK: Members

  /// Reads members of a stat-like by name, from a Hash or from any object's methods.
  ///
  /// Throws what a member's method raised.
  public func members(
    of object: Value, names: MemberNames
  ) throws(RubyException) -> Members {
    let found = cmr_read_members(raw, object.raw, names.start, UInt32(names.count), names.values)
    if found.raised { throw RubyException(value: Value(found.exception)) }
    return Members(present: found.present, values: names.values)
  }

  /// Forgets which classes have which members, for when code was evaluated anew.
  public func forgetMembers() { cmr_forget_members(raw) }
}

/// The members that an object has, by their places in the list of names; good until the next are read.
public struct Members {
  let present: UInt32
  let values: UnsafeMutablePointer<cmr_value>

  /// The member of that place; nil where it is missing or nil.
  @inline(__always)
  public subscript(index: Int) -> Value? {
    present & (1 << UInt32(index)) != 0 ? Value(values[index]) : nil
  }

  /// Whether there is any behind that place.
  public func goOn(after index: Int) -> Bool { present >> (UInt32(index) + 1) != 0 }
}

/// A fixed list of at most 32 member names, at one place in memory for as long as it lives, with room
/// for the values that are read: reading a stat allocates nothing.
public final class MemberNames {
  let start: UnsafeMutablePointer<cmr_symbol>
  let values: UnsafeMutablePointer<cmr_value>
  public let count: Int

  public init(_ names: [Name]) {
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
