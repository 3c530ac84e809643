import Testing

@testable import Ruby

@Suite struct TurnTests {
  let vm: VM
  let maker: VM.Root
  let fiber: VM.Root
  let object: VM.Root

  /// A fiber that calls `go` on one receiver after the other, and marks what that raises.
  init() throws {
    let vm = try VM()
    self.vm = vm
    try vm.setConstant("PARKED", to: vm.parked)
    maker = try vm.retain(try vm.makerOfFibers(calling: "receiver.go(a1)", count: 1))
    fiber = try vm.retain(try vm.makeFiber(by: vm[maker]))
    object = try vm.retain(try vm.run("$object = Object.new"))
  }

  private func define(_ body: String) throws {
    _ = try vm.run("def $object.go(argument)\n\(body)\nend")
  }

  private func go(_ argument: Argument = .integer(0)) -> TurnOutcome {
    vm.call(vm[fiber], vm[object], [argument], count: 1)
  }

  private func returned(_ outcome: TurnOutcome) throws -> Value {
    switch outcome {
    case .returned(let value): return value
    case .raised(let exception), .ended(let exception):
      throw NotReturned(exception: vm.describe(exception))
    case .parked: throw NotReturned()
    }
  }
  private struct NotReturned: Error {
    var exception: VM.ExceptionDescription?
  }

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
    "Fiber.__yield(PARKED)", "[1].each { |_| return Fiber.__yield(PARKED) }",
    "begin; raise 'x'; rescue; Fiber.__yield(PARKED); end", "eval('Fiber.__yield(PARKED)')",
    "[3].map { Fiber.__yield(PARKED) }[0]",
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
    var answers: [Bool] = []
    try vm.define("Test", "look") { [unowned vm, fiber] _ in
      answers.append(vm.canPark(vm[fiber]))
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
    #expect(answers == [true, true, false, false])
  }

  /// What a method does to the fiber that it runs in, and what it answers.
  @Test(arguments: [
    // A method without a class, which ends a fiber that C resumed.
    ("5.instance_exec { self + 1 }", "6"), (":a.instance_exec { self }", ":a"),
    ("1.5.instance_eval { self * 2 }", "3.0"),
    ("Fiber.new { $five = proc { 5 } }.resume; $five.call + $five.call", "10"),
    ("Fiber.new { $six = Hash.new { 6 } }.resume; $six[:a] + $six[:b]", "12"),
    ("Fiber.new { def $object.late = 7 }.resume; $object.late", "7"),
    // Ways out of a block that a C function called.
    ("[1].each { |_| break 8 }", "8"),
    ("Hash.new { |_, _| raise 'x' }[1] rescue 10", "10"),
    ("Struct.new(:a) { break 11 }.class", "Integer"),
    ("Class.new { break 12 }", "12"), ("ObjectSpace.each_object { break 13 }", "13"),
    ("[3, 1].sort { |a, b| break 14 }", "14"), ("[1].each { |n| return 15 }", "15"),
    // Fibers.
    ("begin; Fiber.yield(1); rescue FiberError; end; Fiber.new { 16 }.resume", "16"),
    ("(Fiber.current.resume rescue 17)", "17"),
    ("f = Fiber.new { f.resume }; (f.resume rescue 18)", "18"),
    ("Fiber.new { raise 'x' }.resume rescue 19", "19"),
    ("f = Fiber.new { Fiber.yield 1; 20 }; f.resume; f.resume", "20"),
    ("e = [1, 2].each; e.next; e.next + 19", "21"),
  ])
  func aTurnSurvives(_ body: String, _ answer: String) throws {
    for _ in 0..<3 {
      try define(body)
      try vm.scope { try #expect(vm.inspect(returned(go())) == answer) }
      try define("'next'")
      try vm.scope { try #expect(returned(go()).text == "next") }
    }
    vm.collect()
  }

  /// Where mruby makes another exception of it than Ruby does, or raises it elsewhere, it is one all the same.
  @Test(arguments: [
    "Hash.new { |_, _| break 8 }[1] rescue 'raised'", "Hash.new { |_, _| return 9 }[1]",
    "Struct.new(:a) { return 10 }", "ObjectSpace.each_object { return 11 }",
  ])
  func aTurnSurvivesWhatMrubyCannotLeave(_ body: String) throws {
    for _ in 0..<3 {
      try define(body)
      vm.scope { _ = go() }
      try define("'next'")
      try vm.scope { try #expect(returned(go()).text == "next") }
    }
  }

  @Test func aTurnInsideATurnDisturbsNothing() throws {
    let other = try vm.retain(try vm.makeFiber(by: vm[maker]))
    _ = try vm.run(
      """
      $inner = Object.new
      def $inner.go(argument) = argument == 0 ? raise("inner") : argument
      """)
    try vm.define("Test", "inside") { [unowned vm] call throws(RubyException) in
      let inner = try vm.run("$inner")
      switch vm.call(vm[other], inner, [.value(call[0])], count: 1) {
      case .returned(let value): return value
      default: return .nil
      }
    }
    try define("[Test.inside(0), Test.inside(7), Fiber.new { Test.inside(8) }.resume]")
    for _ in 0..<3 { try #expect(vm.inspect(returned(go())) == "[nil, 7, 8]") }
  }

  @Test func aFiberOfTheHostsIsNobodyElses() throws {
    try define(
      """
      refused = 0
      fibers = []
      ObjectSpace.each_object(Fiber) { |fiber| fibers << fiber }
      fibers.each { |fiber| begin; fiber.resume; rescue FiberError; refused += 1; end }
      [fibers.size, refused].inspect
      """)
    try #expect(returned(go()).text == "[1, 1]")
    // Nor does it come to rest but at the end of its method.
    for name in ["rest(1)", "go(1)", "start", "raised(1)"] {
      try define(
        """
        turns = []
        ObjectSpace.each_object(Object) { |object| turns << object if object.respond_to?(:raised) }
        turns.each { |each| begin; each.\(name); rescue FiberError; end }
        turns.size
        """)
      try vm.scope { try #expect(returned(go()).integer == 1) }
    }
    try define("'next'")
    try #expect(returned(go()).text == "next")
  }

  @Test func aFiberThatWasGivenAwayHasEnded() throws {
    try define("Fiber.__yield(5)")
    guard case .ended(let exception) = go() else { throw NotReturned() }
    #expect(vm.describe(exception).className == "FiberError")
    // And it stays ended, whatever is done with it.
    guard case .ended = go() else { throw NotReturned() }
    guard case .ended = vm.proceed(.nil, with: .nil) else { throw NotReturned() }
  }

  @Test(arguments: ["clear", "freeze"])
  func whatTheHostHoldsIsOutOfReach(_ method: String) throws {
    let kept = try vm.retain(try vm.string("kept"))
    let arrays = "all = []; ObjectSpace.each_object(Array) { |array| all << array }"
    try define("\(arrays); all.each { |array| array.\(method) unless array.equal?(all) }; 1")
    try #expect(returned(go()).integer == 1)
    vm.collect()
    #expect(vm[kept].text == "kept")
    let another = try vm.retain(try vm.string("another"))
    vm.collect()
    #expect(vm[another].text == "another")
    try define("'next'")
    try #expect(returned(go()).text == "next")
  }

  @Test(arguments: [
    "class Fiber; def self.new(*) = nil; def initialize(*) = nil; end",
    "class Class; def new(*) = nil; end", "module Kernel; def raise(*) = nil; end",
    "module Kernel; def proc(*) = nil; def lambda(*) = nil; def eval(*) = nil; end",
    "class Array; def each = nil; def map = nil; def join(*) = 'x'; end",
    "class Proc; def call(*) = nil; end",
  ])
  func fibersAreMadeWhateverIsRedefined(_ source: String) throws {
    try define("argument + 1")
    _ = try vm.run(source)
    let maker = try vm.makerOfFibers(calling: "receiver.go(a1)", count: 1)
    let fiber = try vm.retain(try vm.makeFiber(by: maker))
    let outcome = vm.call(vm[fiber], vm[object], [.integer(1)], count: 1)
    try #expect(returned(outcome).integer == 2)
  }

  @Test func fibersWithinEachOtherOverflowAsAnyCallDoes() throws {
    try define(
      """
      klass = Class.new { def to_s = Fiber.new { "#{self.class.new}" }.resume }
      begin; klass.new.to_s; rescue SystemStackError; 'overflow'; end
      """)
    for _ in 0..<3 { try #expect(returned(go()).text == "overflow") }
  }

  @Test func theTopLevelsBlocksOutliveADeepCall() throws {
    _ = try vm.run("outer = 'kept'; $read = proc { outer }")
    // A turn resumed from C, then calls outside of any fiber, so deep that their stack has to grow.
    try define("1")
    _ = go()
    _ = try vm.run("def $object.deep(n) = n == 0 ? $read.call : deep(n - 1)")
    for depth in [10, 40, 100, 300] {
      let value = try vm.send(vm[object], "deep", [try vm.integer(depth)])
      #expect(value.text == "kept")
      vm.collect()
    }
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
