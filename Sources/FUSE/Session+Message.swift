// What libfuse 3.14 does not pass on of a request stands in the session's own buffer while the
// request is processed: the header of the kernel's protocol, then what belongs to the operation.
// Each of these may only be asked inside the callback of its operation; libfuse has checked no
// lengths, but the kernel sends whole structures, and the buffer is larger than any of them.

import CFuse

extension Session {
  @inline(__always)
  private func argument<Value>(as type: Value.Type) -> Value? {
    guard let memory = buffer.pointee.mem, buffer.pointee.flags.rawValue == 0 else { return nil }
    return (memory + MemoryLayout<fuse_in_header>.size).loadUnaligned(as: type)
  }

  /// The bits FUSE_* of the kernel that asks for a connection.
  var receivedInitFlags: UInt64 {
    guard let argument = argument(as: fuse_init_in.self) else { return 0 }
    let flags = UInt64(argument.flags)
    guard flags & UInt64(FUSE_INIT_EXT) != 0 else { return flags }
    return flags | UInt64(argument.flags2) << 32
  }

  @inline(__always)
  var writeClearsSetID: Bool {
    guard settings.handleKillPrivileges else { return false }
    let flags = argument(as: fuse_write_in.self)?.write_flags ?? 0
    return flags & UInt32(FUSE_WRITE_KILL_SUIDGID) != 0
  }

  var openClearsSetID: Bool {
    guard settings.handleKillPrivileges else { return false }
    let flags = argument(as: fuse_open_in.self)?.open_flags ?? 0
    return flags & UInt32(FUSE_OPEN_KILL_SUIDGID) != 0
  }

  var createClearsSetID: Bool {
    guard settings.handleKillPrivileges else { return false }
    let flags = argument(as: fuse_create_in.self)?.open_flags ?? 0
    return flags & UInt32(FUSE_OPEN_KILL_SUIDGID) != 0
  }
}
