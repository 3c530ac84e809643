import Testing

@testable import Host

/// How far the kernel is to read ahead.
@Suite struct ReadAheadSizeTests {
  @Test func theReadAheadIsTheSmallerOfBoth() {
    #expect(ReadAhead.size(limit: nil) == 1 << 20)
    #expect(ReadAhead.size(limit: .max) == 1 << 20)
    #expect(ReadAhead.size(limit: 256 << 10) == 256 << 10)
    for limit: UInt32 in [0, 4096, 128 << 10] { #expect(ReadAhead.size(limit: limit) == nil) }
  }
}
