import Formats
import Ruby
import Synchronization

/// One JSON text on its way to Ruby objects: copied, parsed, built, a stretch at a time.
///
/// @unchecked: it is the VM's thread that has it, except while `isParsing`, when another thread has the
/// parser; what that comes to is passed on under a lock.
final class JSONReading: SlicedWork, @unchecked Sendable {
  private let parser: JSONParser
  private let symbolizes: Bool
  private let maximumDepth: Int
  /// How much of the text has been copied, and how much there is.
  private var copied = 0
  private let count: Int
  private var isParsing = false
  private let parsed = Mutex<Result<Void, JSONFault>?>(nil)
  private var builder: ValueBuilder?

  init(_ parser: JSONParser, count: Int, symbolizes: Bool, maximumDepth: Int) {
    self.parser = parser
    self.count = count
    self.symbolizes = symbolizes
    self.maximumDepth = maximumDepth
    parser.makeRoom(for: count)
  }

  /// Parses on a thread of its own.
  func nextTask() -> (@Sendable () -> Void)? {
    guard copied == count, !isParsing, parsed.withLock({ $0 == nil }) else { return nil }
    isParsing = true
    return { [self] in parse() }
  }

  func parse() {
    let result = Result { () throws(JSONFault) in try parser.parse(maximumDepth: maximumDepth) }
    parsed.withLock { $0 = result }
  }

  // MARK: On the VM's thread

  /// How much is copied in a stretch: what takes as long as the others do.
  private static let piece = 4 << 20

  /// Copies the next piece of the text, or all if that is more.
  func copy(_ text: Value) {
    text.withBytes { bytes in
      let end = min(copied + Self.piece, count, bytes.count)
      guard copied < end else { return }
      parser.take(UnsafeRawBufferPointer(rebasing: bytes[copied..<end]), at: copied)
      copied = end
    }
  }

  /// What comes next.
  enum Step {
    case paused
    /// What is to be kept, and given to the next call.
    case begun(Value)
    case complete(Value)
  }

  /// Does what can be done in a stretch, and is not done by `wait`.
  func goOn(
    in vm: VM, on kept: Value, nanoseconds: UInt64
  ) throws(RubyException) -> Step {
    if copied < count {
      copy(kept)
      return .paused
    }
    guard let result = parsed.withLock({ $0 }) else { return .paused }
    if case .failure(let fault) = result { throw exception(fault, vm) }
    guard let builder else { return .begun(try begin(in: vm)) }
    switch try builder.goOn(in: vm, on: kept, nanoseconds: nanoseconds) {
    case .paused: return .paused
    case .complete(let value): return .complete(value)
    case .tooDeep: throw exception(.tooDeep, vm)
    }
  }

  private func begin(in vm: VM) throws(RubyException) -> Value {
    guard let tape = parser.tape else { throw exception(.noMemory, vm) }
    let builder = try ValueBuilder(
      words: tape.words, strings: tape.strings, symbolizes: symbolizes,
      maximumDepth: maximumDepth, in: vm)
    self.builder = builder
    return try builder.begin(in: vm)
  }

  private func exception(_ fault: JSONFault, _ vm: VM) -> RubyException {
    switch fault {
    case .tooDeep:
      let depth = maximumDepth > 0 ? maximumDepth : JSONParser.deepest
      return vm.jsonError("NestingError", "nesting of \(depth + 1) is too deep")
    case .noMemory: return vm.exception("NoMemoryError", "Out of memory")
    case .refused(let message): return vm.jsonError("ParserError", message)
    }
  }
}

extension VM {
  /// An exception of one of JSON's own classes.
  func jsonError(_ kind: String, _ message: String) -> RubyException {
    do throws(RubyException) {
      let klass = try constant(kind, in: try constant("JSON"))
      return RubyException(value: try send(klass, "new", [try string(message)]))
    } catch {
      return error
    }
  }
}
