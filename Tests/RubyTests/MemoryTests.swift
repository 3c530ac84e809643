import Glibc
import Testing

@testable import Ruby

@Suite struct MemoryTests {
  let vm: VM
  init() throws { vm = try VM() }

  @Test func whatIsRootedStaysAndWhatIsReleasedGoes() throws {
    let roots = try (0..<100).map { number in
      try vm.scope { try vm.retain(try vm.string("value \(number)")) }
    }
    vm.collect()
    for (number, root) in roots.enumerated() { #expect(vm[root].text == "value \(number)") }
    let before = vm.memory.objects
    for root in roots { vm.release(root) }
    vm.collect()
    #expect(before - vm.memory.objects >= 100)
    let again = try vm.retain(try vm.string("again"))
    #expect(again.index < 100)
    try vm.replace(again, with: try vm.string("replaced"))
    vm.collect()
    #expect(vm[again].text == "replaced")
  }

  @Test func manyLargeStringsAreCollectedInTime() throws {
    let content = [UInt8](repeating: 1, count: 1 << 16)
    for _ in 0..<4000 {
      try vm.scope { _ = try vm.string(content) }
      vm.collectIfDue()
      #expect(vm.memory.live < 64 << 20)
    }
    #expect(vm.memory.total > 4000 << 16)
  }

  /// Freed blocks are used again by size, up to some 80 KiB.
  @Test func blocksOfAllSizesComeAndGo() throws {
    let sizes = Array(stride(from: 100, to: 90_000, by: 509)) + Array(81_350...81_970)
    for _ in 0..<3 {
      for size in sizes.shuffled() {
        try vm.scope {
          let letters: [UInt8] = [1, 2, 3]
          let strings = try letters.map { try vm.string([UInt8](repeating: $0, count: size)) }
          for (letter, string) in zip(letters, strings) {
            let found = string.withBytes { bytes in
              bytes.count == size && bytes.first == letter && bytes.last == letter
            }
            #expect(found == true, "\(size)")
          }
        }
        vm.collectIfDue()
      }
      vm.collect()
    }
  }

  /// In time of the processor, which others on the machine do not add to.
  @Test func nothingWaitsLongForTheCollectorWithManyObjects() throws {
    let klass = try vm.run(
      """
      class Instance
        def initialize(i) = (@path = "/a/longer/path/to/name-#{i}"; @data = { a: [1, 2, 3], b: "x" * 20 })
        def go = (@data[:c] = [1, 2, { x: "y" }]; "hello".upcase)
      end
      Instance
      """)
    var roots: [VM.Root] = []
    var longest: UInt64 = 0
    func timed(_ body: () throws -> Void) throws {
      let start = processorTime()
      try vm.scope {
        try body()
        vm.collectIfDue()
      }
      longest = max(longest, processorTime() - start)
    }
    for number in 0..<10_000 {
      try timed { roots.append(try vm.retain(try vm.send(klass, "new", [try vm.integer(number)]))) }
    }
    for number in 0..<200_000 {
      try timed { try vm.send(vm[roots[number % roots.count]], "go") }
    }
    #expect(longest < 5_000_000, "\(longest) ns")
    #expect(vm.memory.live < 64 << 20)
  }

  private func processorTime() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  @Test func aLimitIsAnExceptionNotAnEnd() throws {
    vm.limitMemory(bytes: vm.memory.live + (2 << 20))
    #expect(throws: RubyException.self) { _ = try vm.run("a = []; loop { a << 'x' * 100_000 }") }
    vm.limitMemory(bytes: 0)
    try #expect(vm.run("'still here'").text == "still here")
  }
}
