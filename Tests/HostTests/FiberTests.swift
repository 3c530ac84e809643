import Testing

@testable import Host

@Suite struct FiberTests {
  let ruby: PreludeVM
  init() throws { ruby = try PreludeVM() }

  @Test(arguments: [
    ("Fiber.new { 5 }.transfer", "5"), ("Fiber.current.transfer(1, 2)", "[1, 2]"),
    ("Fiber.new { |a, b| [b, a] }.transfer(1, 2)", "[2, 1]"),
    (
      "f = nil; g = Fiber.new { |x| f.transfer(x * 10) }; "
        + "f = Fiber.new { |x| [:back, g.transfer(x + 1)] }; f.transfer(1)", "[:back, 20]"
    ),
    // Back to where the first was transferred from, and on from there.
    (
      "here = Fiber.current; f = Fiber.new { |x| here.transfer(x + 1); :on }; "
        + "[f.transfer(1), f.transfer(2)]", "[2, :on]"
    ),
    ("Fiber.new { Fiber.new { 6 }.transfer + 1 }.resume", "7"),
    // A wait on the way.
    ("Fiber.new { sleep 0.01; 8 }.transfer", "8"),
    (
      "begin; Fiber.new { raise IndexError, 'x' }.transfer; rescue IndexError => e; e.message; end",
      #""x""#
    ),
  ])
  func fibersAreTransferredTo(_ source: String, _ answer: String) throws {
    for _ in 0..<3 {
      try #expect(ruby(source) == answer)
      try #expect(ruby("'next'") == #""next""#)
    }
  }

  @Test func whoSharesAnEnumeratorThatWaitsTakesTurns() throws {
    let source = """
      lines = Enumerator.new { |yielder| n = 0; loop { sleep 0.01; yielder << (n += 1) } }
      got = []
      5.times { FUSE.spawn { got << lines.next } }
      sleep 0.005 until got.size == 5
      got
      """
    try #expect(ruby(source) == "[1, 2, 3, 4, 5]")
  }

  @Test func whoSharesAFiberThatWaitsTakesTurns() throws {
    let source = """
      fiber = Fiber.new { |n| loop { sleep 0.01; n = Fiber.yield(n * 2) } }
      got = []
      3.times { |n| FUSE.spawn { got << fiber.resume(n) } }
      sleep 0.005 until got.size == 3
      got
      """
    try #expect(ruby(source) == "[0, 2, 4]")
  }

  @Test func theLastOfThoseWhoShareIsToldTheEnd() throws {
    let source = """
      lines = Enumerator.new { |yielder| sleep 0.01; yielder << 1; sleep 0.01 }
      got = []
      3.times { FUSE.spawn { got << (begin; lines.next; rescue StopIteration; :end; end) } }
      sleep 0.005 until got.size == 3
      got
      """
    try #expect(ruby(source) == "[1, :end, :end]")
  }
}
