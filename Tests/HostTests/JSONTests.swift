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

  @Test func readsWhatUnicodeHas() throws {
    #expect(try ruby(#"JSON.parse('"\ud83d\ude00\u00e9"').bytes.size"#) == "6")
    #expect(try ruby(#"JSON.parse('"\\ud83d\\ude00"') == "\xf0\x9f\x98\x80""#) == "true")
    #expect(try ruby(#"JSON.parse("\"\xf0\x9f\x98\x80\"").bytesize"#) == "4")
    #expect(
      try ruby(#"JSON.parse('{"a\\u0000b": "\\u0000"}').map { |k, v| [k.bytes, v.bytes] }"#)
        == "[[[97, 0, 98], [0]]]")
  }

  @Test(arguments: [
    ("[1,]", "unexpected ']' at line 1 column 4"),
    (#"{\n  "a": 1,\n  b: 2}"#, "unexpected 'b' at line 3 column 3"),
    ("[1] x", "unexpected 'x' at line 1 column 5"),
    ("", "unexpected end of the text at line 1 column 1"),
    (#"["a"#, "unexpected end of the text at line 1 column 4"),
    ("[01]", "unexpected '1' at line 1 column 3"),
    ("nul", "unexpected end of the text at line 1 column 4"),
    ("[1}", "unexpected '}' at line 1 column 3"), ("[1.]", "unexpected ']' at line 1 column 4"),
    (#"[\"a\tb\"]"#, "a control character in a string at line 1 column 4"),
    (#"[\"\\ud800\"]"#, "half a surrogate pair at line 1 column 3"),
    (#"[\"\\x\"]"#, "unexpected 'x' at line 1 column 4"),
    ("[1e999]", "a number that is too large at line 1 column 2"),
    (#"[\"a\", \"\xc3(\"]"#, "bytes that are not UTF-8 at line 1 column 8"),
  ])
  func saysWhereATextIsWrong(_ text: String, _ message: String) throws {
    let quoted = text.contains("\\\"") ? text : text.replacing("\"", with: "\\\"")
    #expect(try ruby("JSON.parse(\"\(quoted)\")") == "JSON::ParserError: \(message)")
  }

  @Test func readsAndWritesAsDeepAsIsAsked() throws {
    #expect(try ruby("JSON.parse('[' * 100000 + ']' * 100000)").hasPrefix("JSON::NestingError: "))
    #expect(
      try ruby(
        "x = JSON.parse('[' * 100000 + '1' + ']' * 100000, max_nesting: false); JSON.dump(x).size")
        == "200001")
    #expect(
      try ruby("JSON.parse('{\"a\":' * 100000 + '1' + '}' * 100000, max_nesting: 100000).size")
        == "1")
    #expect(
      try ruby("JSON.parse('{\"a\":' * 100000, max_nesting: 0)").hasPrefix("JSON::ParserError: "))
    #expect(
      try ruby("a = []; a << a; JSON.dump(a)")
        == "JSON::NestingError: nesting of 100001 is too deep")
    #expect(try ruby("JSON.parse('[[]]', max_nesting: 1)").hasPrefix("JSON::NestingError: "))
    #expect(try ruby("JSON.parse('[1]', max_nesting: 2**62)") == "[1]")
    #expect(try ruby("JSON.parse('[1]', max_nesting: -1)") == "[1]")
  }

  @Test func readsWhatIsLargeInTurns() throws {
    #expect(
      try ruby(
        """
        record = { "id" => 1, "name" => "a" * 40, "tags" => [1.5, nil, true], "more" => { "x" => "y" } }
        TEXT = JSON.generate((0...20000).map { record })
        list = JSON.parse(TEXT)
        [list.size, list.all? { |one| one == record }, JSON.parse(TEXT, symbolize_names: true)[-1].keys]
        """) == "[20000, true, [:id, :name, :tags, :more]]")
    #expect(ruby.parkings > 4)
    #expect(
      try ruby(
        """
        begin
          JSON.parse(TEXT[0..-2])
        rescue JSON::ParserError => error
          error.message == "unexpected end of the text at line 1 column #{TEXT.size}"
        end
        """) == "true")
    #expect(
      try ruby(
        """
        ticks = 0
        FUSE.spawn { 1000.times { ticks += 1; sleep 0 } }
        sleep 0.001
        before = ticks
        JSON.generate(JSON.parse(TEXT)) == TEXT && ticks > before + 2
        """) == "true")
    #expect(try ruby("JSON.parse('[' + '1234567,' * 100000 + '1]').size") == "100001")
  }

  @Test func whatIsBeingReadIsNobodyElses() throws {
    #expect(
      try ruby(
        """
        text = '[' + '{"key":[1,{"b":"c"}]},' * 60000 + '[]]'
        FUSE.spawn do
          50.times do
            text.replace("x")
            ObjectSpace.each_object(Array) { |a| a.clear if a.size > 0 && a[0].is_a?(Hash) && a[0].key?("key") }
            GC.start
            sleep 0
          end
        end
        sleep 0
        (JSON.parse('[' + '{"key":[1,{"b":"c"}]},' * 60000 + '[]]') rescue 0).class
        """) == "Array")
    try ruby.finish()
  }

  @Test func aTextThatChangesWhileItIsReadIsReadAsItWas() throws {
    #expect(
      try ruby(
        """
        text = '[' + ('"' + '1' * 67 + '",') * 100000 + '1]'
        FUSE.spawn { 3.times { text.setbyte(1, 120); text << "x"; sleep 0 } }
        list = JSON.parse(text)
        [list.size, list[0].size, text[1]]
        """) == #"[100001, 67, "x"]"#)
  }

  @Test func theNativesHoldForAnything() throws {
    for arguments in ["nil", "-1", "Object.new", "[]", "FUSE::Box", "nil, nil"] {
      for name in ["__json_build", "__json_go_on"] {
        #expect(try ruby("FUSE.\(name)(\(arguments))").hasPrefix("TypeError: "))
      }
      #expect(try ruby("FUSE.__wait(:work, \(arguments))").hasPrefix("TypeError: "))
      #expect(try ruby("FUSE.__json_read(\(arguments))").hasPrefix("JSON::ParserError: "))
    }
    #expect(try ruby("FUSE::Box.new").hasPrefix("NoMethodError: "))
    #expect(try ruby("FUSE::Box.allocate").hasPrefix("NoMethodError: "))
    #expect(try ruby("Class.new(FUSE::Box).new").hasPrefix("NoMethodError: "))
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

  @Test func numbersSurvive() throws {
    #expect(
      try ruby(
        """
        bad = []
        20000.times do
          number = [rand(2**30) * 4, rand(2**31) * 2 + rand(2)].pack("LL").unpack("D")[0]
          next if number.nan? || number.infinite?
          text = JSON.generate([number])
          bad << text unless JSON.parse(text)[0] == number && JSON.generate(JSON.parse(text)) == text
        end
        bad
        """) == "[]")
    for text in [
      "0.1", "3.141592653589793", "123456.789", "1e-300", "5e-324", "1.7976931348623157e+308",
      "2.2250738585072014e-308", "-0.0", "9007199254740993", "0.30000000000000004", "100.0",
      "1e+22", "4.35", "0.000001",
    ] {
      #expect(try ruby("v = JSON.parse('\(text)'); JSON.parse(JSON.generate(v)) == v") == "true")
      #expect(try ruby("JSON.parse('[\(text)]')[0] == \(text)") == "true")
    }
    for text in ["0.1", "3.141592653589793", "123456.789", "1e-300", "4.35", "19.99", "0.7"] {
      #expect(try ruby("JSON.generate(JSON.parse('[\(text)]'))") == "\"[\(text)]\"")
    }
  }

  @Test func writesWhatIsChangedMeanwhile() throws {
    #expect(
      try ruby(
        """
        class Odd; def initialize(&body) @body = body end; def to_json(*) @body.call; '"odd"' end end
        list = [1, nil, 2, 3]
        list[1] = Odd.new { list.clear }
        hash = { "a" => 1, "b" => Odd.new { hash.clear; GC.start }, "c" => [4] }
        [JSON.generate(list), JSON.generate(hash)]
        """) == #"["[1,\"odd\"]", "{\"a\":1,\"b\":\"odd\",\"c\":[4]}"]"#)
  }

  @Test func namesAreSaidAsStrings() throws {
    #expect(
      try ruby(
        "class N; def to_s; 'n\"' end end; JSON.generate({1.5 => 1, nil => 2, N.new => 3, 7 => 4, :s => 5})"
      )
        == #""{\"1.5\":1,\"\":2,\"n\\\"\":3,\"7\":4,\"s\":5}""#)
    #expect(
      try ruby(#"class B; def to_s; "\xff" end end; JSON.generate({B.new => 1})"#)
        .hasPrefix("JSON::GeneratorError: "))
  }

  @Test func classesOfAScriptsOwnAreWrittenAsWhatTheyAre() throws {
    #expect(
      try ruby(
        """
        class Text < String; end
        class Loud < Hash; def to_json(*) '"loud"' end end
        class Quiet < Array; end
        JSON.generate([Text.new("t"), Loud.new, Quiet.new([1, Quiet.new([2])]), :sym])
        """) == #""[\"t\",\"loud\",[1,[2]],\"sym\"]""#)
    #expect(
      try ruby("class Symbol; def to_json(*) '\"other\"' end end; JSON.generate([:sym])")
        == #""[\"other\"]""#)
    #expect(try ruby("JSON.generate(Loud.new)") == #""\"loud\"""#)
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
