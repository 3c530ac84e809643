import Testing

/// JSON as a script sees it.
@Suite struct JSONTests {
  let ruby: PreludeVM

  init() throws { ruby = try PreludeVM() }

  @Test func readsEveryKindOfValue() throws {
    #expect(
      try ruby(#"JSON.parse('[1, -2, 2.5, 1e3, "a", null, true, false, {"b": []}]')"#)
        == #"[1, -2, 2.5, 1000.0, "a", nil, true, false, {"b"=>[]}]"#)
    #expect(
      try ruby(#"[JSON.parse('1'), JSON.parse(' "x" '), JSON.parse('null')]"#) == #"[1, "x", nil]"#)
    #expect(try ruby(#"JSON.parse('{"b": 1, "a": 2}').keys"#) == #"["b", "a"]"#)
    #expect(try ruby(#"JSON.parse('{"a": 1, "b": 2, "a": 3}')"#) == #"{"a"=>3, "b"=>2}"#)
    #expect(try ruby(#"JSON.parse('{"a": {"b": 1}}', symbolize_names: true)"#) == "{:a=>{:b=>1}}")
    #expect(try ruby(#"JSON.parse('"a\u0000b\u00e9"').bytes"#) == "[97, 0, 98, 195, 169]")
  }

  @Test func readsIntegersExactlyUpTo64BitsAndAsFloatsBeyond() throws {
    #expect(
      try ruby("JSON.parse('[9223372036854775807, -9223372036854775808]')")
        == "[9223372036854775807, -9223372036854775808]")
    #expect(try ruby("JSON.parse('[9223372036854775808]')[0] == 2.0 ** 63") == "true")
    #expect(
      try ruby(#"JSON.parse('{"12345678901234567890": -12345678901234567890}').keys"#)
        == #"["12345678901234567890"]"#)
  }

  @Test(arguments: [
    "{", "", "[1] x", "[1,]", #"{"a"}"#, "nul", "[NaN]", "'a'", "01", #""\ud800""#, "[1e999]",
  ])
  func refusesWhatIsNotJSON(_ text: String) throws {
    #expect(try ruby("JSON.parse(%q(\(text)))").hasPrefix("JSON::ParserError: "))
  }

  @Test func refusesWhatIsNotText() throws {
    #expect(try ruby(#"JSON.parse("\"\xff\"")"#).hasPrefix("JSON::ParserError: "))
    #expect(try ruby("JSON.parse(nil)").hasPrefix("TypeError: "))
    #expect(try ruby("JSON::ParserError.ancestors.include?(StandardError)") == "true")
  }

  @Test func boundsTheDepth() throws {
    #expect(try ruby("JSON.parse('[' * 100 + ']' * 100).flatten") == "[]")
    #expect(
      try ruby("JSON.parse('[' * 101 + ']' * 101)")
        == "JSON::NestingError: nesting of 101 is too deep")
    #expect(try ruby("JSON.parse('[' * 101 + ']' * 101, max_nesting: 101).size") == "1")
    #expect(try ruby("JSON.parse('[' * 100000)").hasPrefix("JSON::NestingError: "))
    #expect(try ruby("a = []; 99.times { a = [a] }; JSON.generate(a).size") == "200")
    #expect(
      try ruby("a = []; a << a; JSON.generate(a)")
        == "JSON::NestingError: nesting of 101 is too deep")
  }

  @Test func writesWhatRubyWrites() throws {
    #expect(
      try ruby(#"puts JSON.generate({"z" => 1, :a => [nil, true, 1.5, "x\n\"é\x01"], 3 => {}})"#)
        .isEmpty
        == false)
    #expect(
      try ruby(#"JSON.generate({"z" => 1, :a => [nil, true, 1.5], 3 => {}})"#)
        == #""{\"z\":1,\"a\":[null,true,1.5],\"3\":{}}""#)
    #expect(try ruby(#"JSON.parse("x\n\"\x01é".to_json) == "x\n\"\x01é""#) == "true")
    #expect(
      try ruby("[{a: 1}.to_json, 'x'.to_json, nil.to_json, :s.to_json, 7.to_json]")
        == #"["{\"a\":1}", "\"x\"", "null", "\"s\"", "7"]"#)
    #expect(
      try ruby("[JSON.stringify([1]), JSON::stringify('a' => 1)]") == #"["[1]", "{\"a\":1}"]"#)
    #expect(try ruby("Struct.new(:a).new(1).to_json.class") == "String")
  }

  @Test func writesFloatsThatReadBackTheSame() throws {
    #expect(
      try ruby("[0.1, 1e100, 100.0, 1e16, -0.0, 0.1 + 0.2, 2.5e-5].to_json")
        == #""[0.1,1e+100,100.0,1e+16,-0.0,0.3,2.5e-05]""#)
    #expect(
      try ruby("l = [1 / 3.0, 2.0 ** 60, 1e-300, 123456.789]; JSON.parse(l.to_json) == l") == "true"
    )
    #expect(try ruby("JSON.generate(0.0 / 0.0)") == "JSON::GeneratorError: NaN not allowed in JSON")
    #expect(try ruby("JSON.generate([1 / 0.0])").hasPrefix("JSON::GeneratorError: "))
  }

  @Test func writesPrettily() throws {
    #expect(
      try ruby("JSON.pretty_generate({'z' => 1, 'a' => [1, {'b' => []}, {}]})")
        == #""{\n  \"z\": 1,\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    },\n    {}\n  ]\n}""#)
  }

  @Test func honoursAScriptsOwnToJSON() throws {
    #expect(
      try ruby(
        """
        class WithState; def to_json(*a) { x: 1 }.to_json(*a) end end
        class Without; def to_json; '"w"' end end
        class Bad; def to_json(*) 5 end end
        class Lazy; def to_json(*) sleep 0.01; "1" end end
        JSON.generate([WithState.new, Without.new, Lazy.new])
        """) == #""[{\"x\":1},\"w\",1]""#)
    #expect(ruby.parkings == 1)
    #expect(
      try ruby("JSON.pretty_generate([WithState.new])") == #""[\n  {\n    \"x\": 1\n  }\n]""#)
    #expect(try ruby("JSON.generate([Bad.new])") == "JSON::GeneratorError: Bad#to_json answered 5")
  }

  @Test func refusesToWriteWhatIsNotText() throws {
    #expect(
      try ruby(#"JSON.generate(["\xff"])"#)
        == "JSON::GeneratorError: source sequence is illegal/malformed utf-8")
  }
}
