import Glibc
package import Ruby
import System

/// The natives of kernel.rb: reading and checking the files that a script requires.
package enum SourceModule {
  /// Defines them in `vm`.
  ///
  /// Throws where there is no memory for that.
  package static func install(in vm: VM) throws(RubyException) {
    try vm.define("FUSE", "__read_source") { [unowned vm] call throws(RubyException) in
      let path = try vm.cString(call[0], "require")
      let name = call[0].text ?? "require"
      guard let source = content(of: path) else { throw vm.systemError(name) }
      if let error = vm.syntaxError(in: source, file: name) {
        throw vm.exception("SyntaxError", error.description)
      }
      return try vm.string(source)
    }
  }

  /// Everything that is in a file; nil, with the reason in errno, where it cannot be read.
  private static func content(of path: [CChar]) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    // close(2) must not replace the reason.
    defer {
      let reason = errno
      close(descriptor)
      errno = reason
    }
    var content: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count == 0 { return SourceFile.withoutMark(content) }
      if count > 0 {
        content += piece.prefix(count)
      } else if errno != EINTR {
        return nil
      }
    }
  }
}
