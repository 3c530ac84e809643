// Invariant: nothing in here waits. What would, says so, and Ruby then waits for the descriptor.

import Glibc
import Ruby
import System

/// The natives of io.rb: system calls on descriptors that return at once.
enum DescriptorModule {
  /// Defines them in `vm`.
  ///
  /// Throws where there is no memory for that.
  static func install(in vm: VM) throws(RubyException) {
    try vm.define("FUSE", "__blocks?") { [unowned vm] call throws(RubyException) in
      let events = try vm.cInt(call[1], "poll")
      return Value(wouldBlock(try vm.cInt(call[0], "poll"), Int16(truncatingIfNeeded: events)))
    }
    try vm.define("FUSE", "__write") { [unowned vm] call throws(RubyException) in
      let descriptor = try vm.cInt(call[0], "write")
      guard let from = call[2].integer, from >= 0 else {
        throw vm.exception("TypeError", "write: bad offset")
      }
      let count = call[1].withBytes { bytes in
        write(UnsafeRawBufferPointer(rebasing: bytes.dropFirst(from)), to: descriptor)
      }
      switch count {
      case .success(let count): return try vm.integer(count)
      case .failure(let failure) where failure.errno == EBADF:
        throw vm.exception("IOError", "not opened for writing")
      case .failure(let failure): throw vm.systemError("write", failure.errno)
      case nil: throw vm.exception("TypeError", "write: expected a String")
      }
    }
    try vm.define("FUSE", "__connect") { [unowned vm] call throws(RubyException) in
      let descriptor = try vm.cInt(call[0], "connect")
      let code = call[1].withBytes { connectAtOnce(descriptor, $0) } ?? EINVAL
      switch code {
      case 0: return .true
      case EINPROGRESS where !isNonBlocking(descriptor): return .false
      case EAGAIN where !isNonBlocking(descriptor): return .nil
      default: throw vm.systemError("connect", code)
      }
    }
    try vm.define("FUSE", "__connected") { [unowned vm] call throws(RubyException) in
      var code: Int32 = 0
      var size = socklen_t(MemoryLayout<Int32>.size)
      let descriptor = try vm.cInt(call[0], "connect")
      guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else {
        throw vm.systemError("connect")
      }
      guard code == 0 else { throw vm.systemError("connect", code) }
      return .nil
    }
    try vm.define("FUSE", "__let_block") { [unowned vm] call throws(RubyException) in
      Linux.set(O_NONBLOCK, false, of: try vm.cInt(call[0], "fcntl"))
      return .nil
    }
  }

  /// A system call that failed, with what it left in errno.
  private struct Failure: Error {
    let errno: Int32
    init(_ errno: Int32 = Glibc.errno) { self.errno = errno }
  }

  /// Whether a call on the descriptor would wait now. A bad one would not: the call says what is wrong.
  private static func wouldBlock(_ descriptor: Int32, _ events: Int16) -> Bool {
    !isReady(descriptor, events) && !isNonBlocking(descriptor)
  }

  private static func isReady(_ descriptor: Int32, _ events: Int16) -> Bool {
    var polled = pollfd(fd: descriptor, events: events, revents: 0)
    while true {
      let count = poll(&polled, 1, 0)
      if count >= 0 || errno != EINTR { return count != 0 }
    }
  }

  private static func isNonBlocking(_ descriptor: Int32) -> Bool {
    let flags = fcntl(descriptor, F_GETFL)
    return flags >= 0 && flags & O_NONBLOCK != 0
  }

  /// What a pipe or terminal that says it is writable takes without waiting: PIPE_BUF of pipe(7).
  private static let pieceSize = 4096

  /// Writes as much as goes without waiting, which may be nothing.
  ///
  /// A socket can be told not to wait. O_NONBLOCK would be seen by every process that has the same pipe or
  /// terminal, so these are written to in pieces of which each is known to fit.
  private static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32
  ) -> Result<Int, Failure> {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return .failure(Failure()) }
    let type = status.st_mode & S_IFMT
    var written = 0
    while written < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(written))
      let count: Int
      switch type {
      case S_IFSOCK:
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        count = send(descriptor, rest.baseAddress, rest.count, flags)
      case S_IFIFO, S_IFCHR:
        guard isReady(descriptor, Int16(POLLOUT)) else {
          // The end to read from is never ready to be written to.
          let isForReading = fcntl(descriptor, F_GETFL) & O_ACCMODE == O_RDONLY
          return isForReading ? .failure(Failure(EBADF)) : .success(written)
        }
        count = Glibc.write(descriptor, rest.baseAddress, min(rest.count, pieceSize))
      default:
        count = Glibc.write(descriptor, rest.baseAddress, rest.count)
      }
      if count < 0 {
        if errno == EINTR { continue }
        // What went out must be told, so an error after it is left to the next call.
        return errno == EAGAIN || written > 0 ? .success(written) : .failure(Failure())
      }
      written += count
    }
    return .success(written)
  }

  /// Begins to connect; returns 0 or an errno, EINPROGRESS being good news. connect(2).
  private static func connectAtOnce(_ descriptor: Int32, _ address: UnsafeRawBufferPointer) -> Int32
  {
    let wasNonBlocking = isNonBlocking(descriptor)
    if !wasNonBlocking { Linux.set(O_NONBLOCK, true, of: descriptor) }
    defer { if !wasNonBlocking { Linux.set(O_NONBLOCK, false, of: descriptor) } }
    // An aligned copy: a Ruby string's bytes may begin anywhere.
    var storage = sockaddr_storage()
    guard address.count <= MemoryLayout<sockaddr_storage>.size else { return EINVAL }
    withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: address) }
    let result = withUnsafePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(address.count))
      }
    }
    return result == 0 ? 0 : errno
  }
}
