// What a report can say of the script that only the VM knows.

import Reports
import Ruby

extension Interpreter {
  /// What was probably meant, where an exception is about a name that does not exist.
  func hint(_ exception: RubyException) -> String? {
    vm.scope {
      let found = try? vm.send(vm[fuse], "__misspelt", [exception.value])
      if let meant = found?.text { return "did you mean '\(meant)'?" }
      guard let found, found.count == 2, let name = found[0].symbol.map(vm.text) else { return nil }
      let names = (found[1].elements ?? []).compactMap { $0.symbol.map(vm.text) }
      let nearest = Spelling.nearest(to: name, among: names.filter { !$0.hasPrefix("__") })
      return nearest.map { "did you mean '\($0)'?" }
    }
  }

  /// Where the hook is defined that gave a result; nil where that is not known.
  func definition(of result: HookResult) -> Place? {
    guard let instance = result.node?.instance else { return nil }
    return vm.scope {
      let name = vm.name(result.hook.name).value
      guard let method = try? vm.send(vm[instance], "method", [name]),
        let location = try? vm.send(method, "source_location"), location.count == 2,
        let file = location[0].text, let line = location[1].integer
      else { return nil }
      return Place(file: file, line: line)
    }
  }
}
