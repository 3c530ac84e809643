import Testing

@testable import System

@Suite struct PrintableTests {
  @Test(arguments: [
    ("plain ~", "plain ~"), ("ét\u{FFFD}日", "ét\u{FFFD}日"),
    ("\u{1B}]0;x\u{07}", "\\x1b]0;x\\x07"), ("a\nfusuma: b\r\t", "a\\x0afusuma: b\\x0d\\x09"),
    ("\u{9B}2J\u{85}", "\\u009b2J\\u0085"), ("\u{202E}txt\u{2028}", "\\u202etxt\\u2028"),
    ("\u{7F}", "\\x7f"), ("e\u{301}\u{1B}", "e\u{301}\\x1b"),
  ])
  func aLineHoldsNothingThatATerminalObeys(text: String, shown: String) {
    #expect(Printable.line(text) == shown)
  }

  @Test func linesKeepTheirEnds() {
    #expect(Printable.lines("a\n\tb\u{1B}[m\r\n") == "a\n\tb\\x1b[m\\x0d\n")
  }

  @Test func bytesThatAreNoUTF8AreReplaced() {
    #expect(Printable.line([0x61, 0x9B, 0xFF, 0x0A]) == "a\u{FFFD}\u{FFFD}\\x0a")
  }
}
