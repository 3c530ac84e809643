import Glibc
import Testing

@testable import System

@Suite struct LineWriterTests {
  /// What has come at a descriptor that does not block.
  private func readAll(_ descriptor: Int32) -> String {
    Linux.set(O_NONBLOCK, true, of: descriptor)
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = read(descriptor, &piece, piece.count), count > 0 {
      bytes += piece.prefix(count)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Writes more lines than the other end holds; returns what was read at the end.
  private func flood(_ input: Int32, _ output: Int32) -> String {
    let writer = LineWriter(input)
    let line = String(repeating: "x", count: 99) + "\n"
    for _ in 0..<100_000 { writer.write(line) }
    let first = readAll(output)
    writer.write("last\n")
    return first + readAll(output)
  }

  private func check(_ text: String) {
    let lines = text.split(separator: "\n")
    #expect(lines.last == "last")
    let told = lines.compactMap { line -> Int? in
      line.hasPrefix("fusuma: ") ? Int(line.split(separator: " ")[1]) : nil
    }
    let whole = lines.filter { $0.allSatisfy { $0 == "x" } && $0.count == 99 }
    #expect(!told.isEmpty)
    #expect(whole.count + told.reduce(0, +) == 100_000)
    #expect(lines.count == whole.count + told.count + 1)
  }

  @Test func aPipeThatIsNotReadLosesWholeLinesAndCountsThem() throws {
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    defer { for descriptor in ends { close(descriptor) } }
    check(flood(ends[1], ends[0]))
    #expect(fcntl(ends[1], F_GETFL) & O_NONBLOCK == 0)
  }

  @Test func soDoesASocket() throws {
    var ends: [Int32] = [-1, -1]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    defer { for descriptor in ends { close(descriptor) } }
    check(flood(ends[1], ends[0]))
  }

  @Test func aTerminalThatWasStoppedHoldsNobodyUp() throws {
    var master: Int32 = -1
    var slave: Int32 = -1
    try #require(openpty(&master, &slave, nil, nil, nil) == 0)
    defer { for descriptor in [master, slave] { close(descriptor) } }
    let writer = LineWriter(slave)
    for number in 0..<10_000 { writer.write("line \(number)\n") }
    let text = readAll(master)
    #expect(text.hasPrefix("line 0\r\nline 1\r\n"))
    writer.write("last\n")
    #expect(readAll(master).contains("lines were lost\r\nlast\r\n"))
  }

  @Test func whatIsPutInThePlaceOfTheDescriptorIsNoticed() throws {
    var one: [Int32] = [-1, -1]
    var other: [Int32] = [-1, -1]
    try #require(pipe(&one) == 0 && pipe(&other) == 0)
    defer { for descriptor in (one + other) { close(descriptor) } }
    let writer = LineWriter(one[1])
    writer.write("one\n")
    dup2(other[1], one[1])
    writer.write("other\n")
    #expect(readAll(other[0]) == "other\n")
    #expect(readAll(one[0]) == "one\n")
  }

  @Test func aPipeWithoutAReaderIsAnError() throws {
    signal(SIGPIPE, SIG_IGN)
    var ends: [Int32] = [-1, -1]
    try #require(pipe(&ends) == 0)
    close(ends[0])
    defer { close(ends[1]) }
    #expect(LineWriter(ends[1]).write("line\n") == EPIPE)
  }
}
