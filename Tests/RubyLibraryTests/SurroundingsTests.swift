import Ruby
import System
import Testing

@testable import RubyLibrary

@Suite struct SurroundingsTests {
  @Test func aScriptFindsThemInANewVM() throws {
    let vm = try VM()
    try vm.scope { () throws(HostError) in try Surroundings.define(in: vm) }
    #expect(vm.scope { (try? vm.constant("Curl")) != nil })
  }

  @Test(arguments: [
    ("raise ArgumentError, 'no'", "fusuma:one.rb:2: no (ArgumentError)"),
    ("def broken(", "fusuma:one.rb:"),
  ])
  func whatDoesNotLoadSaysWhere(source: String, message: String) throws {
    let vm = try VM()
    vm.scope {
      let error = #expect(throws: HostError.self) {
        try Surroundings.define(in: vm, [(name: "one.rb", source: Array("\n\(source)\n".utf8))])
      }
      #expect(error?.description.hasPrefix("the prelude did not load: \(message)") == true)
    }
  }
}
