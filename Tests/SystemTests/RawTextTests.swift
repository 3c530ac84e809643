import Testing

@testable import System

@Suite struct RawTextTests {
  @Test(arguments: [
    [], Array("plain/é/日本/\u{1F600}".utf8), [0x63, 0x61, 0x66, 0xE9], [0xFF, 0xFE, 0x80],
    [0xE2, 0x82], [0xF4, 0x8F, 0xBE, 0x80, 0x61], Array("\u{10FFFF}".utf8), [0xC0, 0x80],
    [0xED, 0xA0, 0x80],
    (1...255).map { UInt8($0) },
  ])
  func anyBytesCanBeHadBack(bytes: [UInt8]) {
    #expect(RawText.bytes(of: RawText.text(of: bytes)) == bytes)
  }

  @Test func whatIsUTF8StaysAsItIs() {
    #expect(RawText.text(of: Array("é/日".utf8)) == "é/日")
    #expect(Printable.line(RawText.text(of: [0x63, 0xE9])) == "c\\xe9")
  }
}
