import Testing

@testable import Ruby

@Suite struct TurnTests {
  let vm: VM
  let fiber: VM.Root
  let object: VM.Root

  /// A fiber that calls `go` on one receiver after the other, and marks what that raises.
  init() throws {
    let vm = try VM()
    self.vm = vm
    try vm.setConstant("PARKED", to: vm.parked)
    try vm.defineTurns(on: "Test")
    fiber = try vm.retain(
      try vm.run(
        """
        Fiber.new do |receiver, argument|
          while true
            begin
              result = receiver.go(argument)
            rescue Exception => error
              result = Test.__raised(error)
            end
            Test.__rest(result)
          end
        end
        """))
    object = try vm.retain(try vm.run("$object = Object.new"))
  }

  private func define(_ body: String) throws {
    _ = try vm.run("def $object.go(argument)\n\(body)\nend")
  }

  private func go(_ argument: Argument = .integer(0)) -> TurnOutcome {
    vm.call(vm[fiber], vm[object], [argument], count: 1)
  }

  private func returned(_ outcome: TurnOutcome) throws -> Value {
    guard case .returned(let value) = outcome else { throw NotReturned() }
    return value
  }
  private struct NotReturned: Error {}

  @Test func aTurnReturnsAgainAndAgain() throws {
    try define("argument + 1")
    for number in 0..<1000 {
      let value = try vm.scope { try returned(go(.integer(number))) }
      #expect(value.integer == number + 1)
    }
  }

  @Test func bytesArriveWhole() throws {
    try define("argument.bytes.reverse")
    let bytes: [UInt8] = [0, 1, 255, 0]
    let outcome = bytes.withUnsafeBytes { go(.bytes($0)) }
    try #expect(vm.inspect(returned(outcome)) == "[0, 255, 1, 0]")
  }

  @Test func whatIsRaisedComesMarked() throws {
    try define("raise IndexError, 'far'")
    guard case .raised(let exception) = go() else { throw NotReturned() }
    #expect(vm.describe(exception).message == "far")
    // An exception that is returned is a value like any other.
    try define("IndexError.new('near')")
    try #expect(returned(go()).kind == .exception)
  }

  @Test(arguments: [
    "Fiber.yield(PARKED)", "[1].each { |_| return Fiber.yield(PARKED) }",
    "begin; raise 'x'; rescue; Fiber.yield(PARKED); end", "eval('Fiber.yield(PARKED)')",
    "[3].map { Fiber.yield(PARKED) }[0]",
  ])
  func aTurnParksAndGoesOn(_ body: String) throws {
    try define(body)
    guard case .parked = go() else { throw NotReturned() }
    vm.collect()
    let outcome = vm.proceed(vm[fiber], with: try vm.string("outcome"))
    try #expect(returned(outcome).text == "outcome")
    try define("'next'")
    try #expect(returned(go()).text == "next")
  }

  @Test func whoCannotParkIsKnown() throws {
    var answers: [[Bool]] = []
    try vm.define("Test", "look") { [unowned vm, fiber] _ in
      answers.append([vm.canPark(vm[fiber]), vm.isCurrent(vm[fiber])])
      return .nil
    }
    try define("Test.look")
    _ = go()
    try define("Fiber.new { Test.look }.resume")
    _ = go()
    // A method that C calls cannot yield: here, to_s in an interpolation.
    try define(##""#{Class.new { def to_s = (Test.look; "x") }.new}""##)
    _ = go()
    _ = try vm.run("Test.look")
    #expect(answers == [[true, true], [true, false], [false, true], [false, false]])
  }

  @Test func manyTurnsLeaveNothingBehind() throws {
    try define("'x' * 10_000")
    func turns() { for _ in 0..<2000 { vm.scope { _ = go() } } }
    turns()
    vm.collect()
    let before = vm.memory
    turns()
    vm.collect()
    #expect(vm.memory.live - before.live < 100_000)
    #expect(vm.memory.objects - before.objects < 100)
  }
}
