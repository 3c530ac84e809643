import Testing

@testable import Reports

@Suite struct SpellingTests {
  @Test func oneLetterOffIsAlike() {
    #expect(Spelling.nearest(to: "lenght", among: ["length", "size"]) == "length")
    let hooks = ["on_read", "on_write"]
    #expect(Spelling.nearest(to: "on_raed", among: hooks, prefix: 3) == "on_read")
    #expect(Spelling.nearest(to: "ab", among: ["abc"]) == nil)
    #expect(Spelling.nearest(to: "window", among: ["length", "size"]) == nil)
  }

  @Test func thousandRepetitionsAreOneLine() {
    var repetitions = Repetitions()
    let isNews = (0...1000).map { _ in repetitions.isFirst("key", "an error") }
    #expect(isNews.filter { $0 }.count == 1)
    let lines = repetitions.take()
    #expect(lines == ["an error: 1000 times more"])
    #expect(repetitions.due != nil)
  }
}
