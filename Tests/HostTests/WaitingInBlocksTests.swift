import Testing

@testable import Host

/// Blocks and methods that mruby calls from C can wait as any others can.
@Suite struct WaitingInBlocksTests {
  let ruby: PreludeVM
  init() throws { ruby = try PreludeVM() }

  @Test(arguments: [
    (
      "h = Hash.new { |hash, key| sleep 0.01; hash[key] = key * 2 }; [h[4], h[4], h]",
      "[8, 8, {4=>8}]"
    ),
    ("h = Hash.new { |hash, key| sleep 0.01; next key }; h[1] + h[2]", "3"),
    ("Struct.new(:x) { def initialize(x) = (sleep 0.01; super) }.new(5).x", "5"),
    (
      "class Wide < Struct.new(:x); def initialize(*) = (sleep 0.01; super); end; Wide.new(6).x",
      "6"
    ),
    ("Class.new { sleep 0.01; def seven = 7 }.new.seven", "7"),
    ("Class.new(Array) { sleep 0.01 }.new.class.superclass", "Array"),
    ("m = Module.new { sleep 0.01; def eight = 8 }; Object.new.extend(m).eight", "8"),
    ("n = 0; ObjectSpace.each_object(Class) { |_| sleep 0.001 if (n += 1) == 1 }; n > 10", "true"),
  ])
  func waitsGiveTheTurnAway(_ source: String, _ answer: String) throws {
    let before = ruby.parkings
    try #expect(ruby(source) == answer)
    #expect(ruby.parkings > before)
  }

  @Test(arguments: [
    ("Hash.new(3)[1]", "3"), ("{ 1 => nil }[1]", "nil"), ("{}[1]", "nil"),
    ("Hash.new { |h, k| k }.fetch(1, 2)", "2"),
    ("class Deep < Hash; def default(k = nil) = [k]; end; Deep.new[5]", "[5]"),
    ("def find = (Hash.new { |h, k| return k }[9]; 1); find", "9"),
    ("Hash.new { |h, k| self }[1].inspect", #""main""#),
    ("Point = Struct.new(:x, :y); Point.new(1, 2).to_a", "[1, 2]"),
    ("Struct.new(:x) { def twice = x * 2 }.new(4).twice", "8"),
    ("Class.new.new.class.class", "Class"), ("Class.new(5) rescue 'raised'", #""raised""#),
    ("Random.new(5).rand(1000) == Random.new(5).rand(1000)", "true"),
    ("(srand(5); rand(1000)) == (srand(5); rand(1000))", "true"),
    ("Random.new.rand == Random.new.rand", "false"),
  ])
  func whatTheyComeToIsAsInRuby(_ source: String, _ answer: String) throws {
    for _ in 0..<2 {
      try #expect(ruby("Object.remove_const(:Point) rescue 0; \(source)") == answer)
    }
  }

  @Test func eachProcessHasRandomNumbersOfItsOwn() throws {
    let other = try PreludeVM()
    let source = "[Random.bytes(16), rand(1 << 30), Random.new.bytes(8)]"
    try #expect(ruby(source) != other(source))
  }

  @Test func nativesHoldWhateverTheyAreGiven() throws {
    let values = [
      "nil", "-1", "0", "1 << 62", "-(1 << 62)", "1.5", "Float::NAN", "'x'", ":x", "[]", "[nil]",
      "{}",
      "Object.new", "Class", "[[[]]]", "[-1, nil, 'x']",
    ]
    let names = [
      "__adopt", "__find", "__invalidate", "__notify_poll", "__http_close", "__wake", "__context",
      "__pool", "__print", "__misspelt", "__http_next", "__read_source",
    ]
    for name in names {
      for first in values {
        for second in ["nil", "-1", "'x'", "[]"] {
          _ = try ruby("FUSE.\(name)(\(first), \(second)) rescue 0")
        }
      }
    }
    for kind in ["http", "http_next", "http_stream", "event", "nonsense"] {
      for value in values where value != "nil" || kind != "event" {
        _ = try ruby("FUSE.__park(:\(kind), \(value)) rescue 0")
        _ = try ruby("FUSE.__park(:\(kind), [\(value), 0, \(value), \(value), \(value)]) rescue 0")
      }
    }
    for value in values { _ = try ruby("FUSE.__park(\(value), [\(value)]) rescue 0") }
    try #expect(ruby("'alive'") == #""alive""#)
  }
}
