import Testing

@Suite struct PreludeTests {
  let ruby: PreludeVM

  init() throws { ruby = try PreludeVM() }

  @Test func smoke() throws {
    #expect(try ruby("1 + 1") == "2")
    #expect(try ruby("sleep 0.01") == "0")
    #expect(try ruby("raise Errno::EACCES, 'x'") == "Errno::EACCES: Permission denied - x")
    #expect(try ruby("JSON.parse('[1,2.5,\"a\",null,true,{\"b\":[]}]')") == "")
  }
}
