// `environ` is C's and not Sendable; only the VM's thread changes the environment.
@preconcurrency import Glibc
import Ruby
import System

/// The natives of errno.rb and env.rb: this system's errors, and this process's environment.
enum EnvironmentModule {
  /// Defines them in `vm`.
  ///
  /// Throws where there is no memory for that.
  static func install(in vm: VM) throws(RubyException) {
    try vm.define("FUSE", "__errnos") { [unowned vm] _ throws(RubyException) in
      let list = try vm.array([])
      for errno in Errno.all {
        guard let name = errno.name else { continue }
        try vm.scope { () throws(RubyException) in
          let entry = [
            try vm.string(name), try vm.integer(Int(errno.rawValue)), try vm.string(errno.message),
          ]
          try vm.push(try vm.array(entry), onto: list)
        }
      }
      return list
    }
    try vm.define("FUSE", "__getenv") { [unowned vm] call throws(RubyException) in
      let name = try vm.cString(call[0], "ENV")
      guard let value = getenv(name) else { return .nil }
      return try vm.string(UnsafeRawBufferPointer(start: value, count: strlen(value)))
    }
    try vm.define("FUSE", "__setenv") { [unowned vm] call throws(RubyException) in
      let name = try vm.cString(call[0], "ENV")
      let result =
        call[1].isNil ? unsetenv(name) : setenv(name, try vm.cString(call[1], "ENV"), 1)
      guard result == 0 else { throw vm.systemError("setenv") }
      return .nil
    }
    try vm.define("FUSE", "__environ") { [unowned vm] _ throws(RubyException) in
      let list = try vm.array([])
      // It is NULL after clearenv(3).
      var entry = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?(environ)
      while let text = entry?.pointee {
        try vm.scope { () throws(RubyException) in
          let bytes = UnsafeRawBufferPointer(start: text, count: strlen(text))
          try vm.push(try vm.string(bytes), onto: list)
        }
        entry = entry?.advanced(by: 1)
      }
      return list
    }
  }
}
