import Testing

@testable import Ruby

extension VM {
  /// The value of a source.
  func run(_ source: String) throws(RubyException) -> Value {
    try evaluate(Array(source.utf8), file: "test.rb")
  }
}

@Suite struct ValueTests {
  let vm: VM
  init() throws { vm = try VM() }

  @Test func kindsAreToldApart() throws {
    let kinds: [(String, Value.Kind)] = [
      ("nil", .nil), ("false", .false), ("true", .true), ("12", .integer), ("1.5", .float),
      (":a", .symbol), ("'a'", .string), ("[]", .array), ("{}", .hash),
      ("RuntimeError.new", .exception),
      ("Object", .class), ("proc {}", .proc), ("Object.new", .other),
    ]
    for (source, kind) in kinds { try #expect(vm.run(source).kind == kind, "\(source)") }
  }

  @Test func integersHave64Bits() throws {
    for number in [0, -1, Int.max, Int.min, 1 << 62, -(1 << 62) - 1] {
      try #expect(vm.integer(number).integer == number)
    }
    try #expect(vm.run("(1 << 40) + 1").integer == (1 << 40) + 1)
    try #expect(vm.float(1.25).double == 1.25)
    try #expect(vm.run("3").double == 3)
    try #expect(vm.run("'3'").integer == nil)
  }

  @Test func stringsAreBytes() throws {
    let bytes: [UInt8] = [0, 255, 254, 10, 0]
    try #expect(vm.string(bytes).bytes == bytes)
    try #expect(vm.string("zwölf").text == "zwölf")
    try #expect(vm.run(#""a\0b""#).bytes == [97, 0, 98])
    try #expect(vm.send(vm.string(bytes), "size").integer == 5)
    try #expect(vm.string([UInt8]()).bytes == [])
    try #expect(vm.run("[]").bytes == nil)
  }

  @Test func arraysAndHashesAreRead() throws {
    let array = try vm.array([try vm.integer(1), .nil, try vm.string("x")])
    try vm.push(.true, onto: array)
    #expect(array.count == 4)
    #expect(array[0].integer == 1)
    #expect(array[3] == .true)
    #expect(array[9].isNil)
    #expect(vm.inspect(array) == #"[1, nil, "x", true]"#)
    let hash = try vm.hash()
    try vm.set(vm.name("a").value, to: try vm.integer(7), in: hash)
    try #expect(vm.get(vm.name("a").value, from: hash).integer == 7)
    try #expect(vm.get(vm.name("b").value, from: hash).isNil)
    let keys = try vm.keys(of: vm.run("{ z: 1, a: 2 }"))
    #expect(keys.map { $0.symbol.map(vm.text) } == ["z", "a"])
    try #expect(vm.keys(of: .nil).isEmpty)
  }

  @Test func namesAreOneForOneText() throws {
    #expect(vm.name("on_read") == vm.name("on_read"))
    #expect(vm.text(vm.name("päth=")) == "päth=")
  }

  @Test func inspectionLooksAtNoMoreThanItShows() throws {
    try #expect(vm.inspect(vm.run("'x' * 100"), limit: 3) == #""xxx"... (100 bytes)"#)
    try #expect(vm.inspect(vm.run("(1..9).to_a"), limit: 9) == "[1, 2, 3, 4, ... (9 elements)]")
    try #expect(vm.inspect(vm.run("{ 1 => 'yes' * 9 }"), limit: 3) == #"{1=>"yes"... (27 bytes)}"#)
    try #expect(vm.inspect(vm.run("Class.new { def inspect = raise }.new")).hasPrefix("#<"))
  }

  @Test func aritiesAreCounted() throws {
    let object = try vm.run(
      """
      class Arities
        def none; end
        def one(a); end
        def optional(a, b = 1); end
        def rest(a, *b); end
        def blocked(a, &block); end
        define_method(:defined) { |a, b| }
        attr_writer :path
        alias again optional
        alias_method :again_and_again, :again
      end
      Arities.new
      """)
    #expect(vm.accepts(object, vm.name("none")) == 0)
    #expect(vm.accepts(object, vm.name("one")) == 1)
    #expect(vm.accepts(object, vm.name("optional")) == 2)
    #expect(vm.accepts(object, vm.name("rest")) == .max)
    #expect(vm.accepts(object, vm.name("blocked")) == 1)
    #expect(vm.accepts(object, vm.name("defined")) == 2)
    #expect(vm.accepts(object, vm.name("path=")) != nil)
    #expect(vm.accepts(object, vm.name("again")) == 2)
    #expect(vm.accepts(object, vm.name("again_and_again")) == 2)
    #expect(vm.accepts(object, vm.name("absent")) == nil)
    try #expect(vm.instances(of: vm.constant("Arities"), accept: vm.name("one")) == 1)
    #expect(vm.instances(of: .nil, accept: vm.name("one")) == nil)
  }
}
