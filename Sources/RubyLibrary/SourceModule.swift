import Ruby
import System

/// The natives of kernel.rb: reading and checking the files that a script requires.
enum SourceModule {
  /// Defines them in `vm`.
  ///
  /// Throws where there is no memory for that.
  static func install(in vm: VM) throws(RubyException) {
    try vm.define("FUSE", "__read_source") { [unowned vm] call throws(RubyException) in
      let path = try vm.cString(call[0], "require")
      let name = call[0].text ?? "require"
      let source: [UInt8]
      do throws(SystemError) { source = try SourceFile.read(path) } catch {
        throw vm.systemError(name, error.number)
      }
      if let error = vm.syntaxError(in: source, file: name) {
        throw vm.exception("SyntaxError", error.description)
      }
      return try vm.string(source)
    }
  }
}
