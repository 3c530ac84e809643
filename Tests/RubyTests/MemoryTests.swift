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

  @Test func aLimitIsAnExceptionNotAnEnd() throws {
    vm.limitMemory(bytes: vm.memory.live + (2 << 20))
    #expect(throws: RubyException.self) { _ = try vm.run("a = []; loop { a << 'x' * 100_000 }") }
    vm.limitMemory(bytes: 0)
    try #expect(vm.run("'still here'").text == "still here")
  }
}
