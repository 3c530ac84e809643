import Testing

@testable import Ruby

@Suite struct ExceptionTests {
  let vm: VM
  init() throws { vm = try VM() }

  private func raised(_ source: String) -> VM.ExceptionDescription? {
    do {
      _ = try vm.run(source)
      return nil
    } catch { return vm.describe(error) }
  }

  @Test func whatIsRaisedIsThrown() throws {
    let exception = try #require(raised("def a\n  raise ArgumentError, 'why'\nend\na"))
    #expect(exception.className == "ArgumentError")
    #expect(exception.message == "why")
    #expect(exception.backtrace == ["test.rb:2:in a", "test.rb:4"])
    #expect(raised("raise Exception, 'any'")?.className == "Exception")
    #expect(raised("nil.absent")?.className == "NoMethodError")
    #expect(raised("Absent")?.className == "NameError")
  }

  @Test func endlessRecursionIsAnException() throws {
    let first = try #require(raised("def deep = deep\ndeep"))
    #expect(first.className == "SystemStackError")
    // mruby has one object for all of these: it must not tell of the first one again.
    let second = try #require(raised("\n\n\ndef other = other\nother"))
    #expect(second.className == "SystemStackError")
    #expect(second.backtrace.first?.hasPrefix("test.rb:4") == true, "\(second.backtrace.prefix(3))")
  }

  @Test func whatIsTooLargeIsAnException() throws {
    #expect(raised("'x' * (1 << 62)") != nil)
    try #expect(vm.run("1 + 1").integer == 2)
  }

  @Test func nativesThrow() throws {
    try vm.define("Test", "fail") { [unowned vm] call throws(RubyException) in
      throw vm.exception("KeyError", "not \(call[0].text ?? "?")")
    }
    try vm.define("Test", "sum") { [unowned vm] call throws(RubyException) in
      try vm.integer((0..<call.count).reduce(0) { $0 + (call[$1].integer ?? 0) })
    }
    try vm.define("Test", "again") { [unowned vm] call throws(RubyException) in
      try vm.send(call.block, "call", [try vm.integer(20)])
    }
    try #expect(vm.run("Test.sum(1, 2, 39)").integer == 42)
    let rescued = try vm.run("begin; Test.fail('here'); rescue KeyError => e; e.message; end")
    #expect(rescued.text == "not here")
    #expect(raised("Test.fail('there')")?.message == "not there")
    try #expect(vm.run("Test.again { |n| n + 1 }").integer == 21)
    #expect(raised("Test.again { raise IndexError, 'inner' }")?.className == "IndexError")
    let nested = "begin; Test.again { |n| Test.fail(n.to_s) }; rescue KeyError; 'kept'; end"
    try #expect(vm.run(nested).text == "kept")
  }

  @Test func sourceThatIsNoneIsToldWithItsPlace() throws {
    let error = try #require(vm.syntaxError(in: Array("a = 1\n  b = = 2\n".utf8), file: "x.rb"))
    #expect(error.line == 2)
    #expect(error.column > 0)
    #expect(error.message.contains("syntax error"))
    #expect("\(error)".hasPrefix("x.rb:2:"))
    #expect(!error.isIncomplete)
    #expect(vm.syntaxError(in: Array("def a\n".utf8), file: "x.rb")?.isIncomplete == true)
    #expect(vm.syntaxError(in: Array("1 + 1".utf8), file: "x.rb") == nil)
    #expect(vm.syntaxError(in: [1, 2, 255], file: "x.rb") != nil)
    #expect(vm.syntaxError(in: [], file: "x.rb") == nil)
  }
}
