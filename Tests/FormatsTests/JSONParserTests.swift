import Testing

@testable import Formats

/// Reading JSON into a tape, and what simdjson does not tell.
@Suite struct JSONParserTests {
  private func parse(_ text: String, maximumDepth: Int = 0) throws(JSONFault) -> [UInt8] {
    let parser = try JSONParser()
    let bytes = Array(text.utf8)
    parser.makeRoom(for: bytes.count)
    // In pieces, as a large text comes.
    bytes.withUnsafeBytes { all in
      for start in stride(from: 0, to: all.count, by: 3) {
        parser.take(
          UnsafeRawBufferPointer(rebasing: all[start..<min(start + 3, all.count)]), at: start)
      }
    }
    try parser.parse(maximumDepth: maximumDepth)
    return parser.tape?.words.map { UInt8($0 >> 56) } ?? []
  }

  @Test func aTextBecomesATape() throws {
    let tape = try parse(#"{"a":[true,null]}"#)
    #expect(String(decoding: tape, as: UTF8.self) == #"r{"[tn]}r"#)
  }

  @Test func oneParserReadsManyTexts() throws {
    let parser = try JSONParser()
    for text in ["[1]", "[", "\"longer than the first of them\"", "2"] {
      let bytes = Array(text.utf8)
      parser.makeRoom(for: bytes.count)
      bytes.withUnsafeBytes { parser.take($0, at: 0) }
      #expect((try? parser.parse()) == nil ? text == "[" : true)
    }
  }

  @Test func depthIsBounded() throws {
    let deep = String(repeating: "[", count: 100_000)
    #expect(throws: JSONFault.tooDeep) { try parse(deep, maximumDepth: 100) }
    #expect(
      throws: JSONFault.refused("unexpected end of the text at line 1 column 100001")
    ) { try parse(deep) }
    #expect(
      try parse(deep + "1" + String(repeating: "]", count: 100_000)).count > 200_000)
  }

  @Test(arguments: [
    ("[18446744073709551616]", true), ("[-9223372036854775809]", true),
    ("[1\(String(repeating: "0", count: 400))]", false), ("[9223372036854775808]", true),
    (#"{"18446744073709551616": 18446744073709551616}"#, true),
  ])
  func integersOfMoreThan64BitsAreRead(_ text: String, _ isFine: Bool) throws {
    if isFine {
      #expect(try parse(text).isEmpty == false)
    } else {
      #expect(throws: JSONFault.refused("a number that is too large at line 1 column 2")) {
        try parse(text)
      }
    }
  }
}
