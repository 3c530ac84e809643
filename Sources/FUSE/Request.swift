// Every request is replied to exactly once. A Request cannot be copied, each reply consumes it, and
// one that goes out of scope without a reply gets EIO: so the compiler keeps the rule. While it
// lives it holds the session (by a count of its own, as the session is found through the request),
// so that a reply that comes late finds the library's session still there.

import CFuse
import Glibc

/// The process that asked for an operation.
public struct Context: Hashable, Sendable {
  /// The user, as file systems see it (fsuid).
  public var uid: UInt32
  /// The group, as file systems see it (fsgid).
  public var gid: UInt32
  /// The thread; 0 where the kernel itself asks, or the caller is in another PID namespace.
  public var pid: Int32
  /// The file mode creation mask; only sent with mknod, mkdir and create, else 0.
  public var umask: UInt32

  /// Makes a context; root's, unless more is said.
  public init(uid: UInt32 = 0, gid: UInt32 = 0, pid: Int32 = 0, umask: UInt32 = 0) {
    self.uid = uid
    self.gid = gid
    self.pid = pid
    self.umask = umask
  }
}

/// A request of the kernel's that waits for its one reply.
///
/// It may be kept, and replied to later and from another thread; a request that is dropped gets
/// EIO.
///
/// `@unchecked Sendable`: it is one pointer, owned once, and fuse_reply_* may be called anywhere.
public struct Request: ~Copyable, @unchecked Sendable {
  private let raw: fuse_req_t

  /// Takes over a request that libfuse just handed out.
  @inline(__always)
  init(_ raw: fuse_req_t) {
    self.raw = raw
    _ = Request.session(of: raw).retain()
  }

  deinit { _ = Request.finish(raw) { fuse_reply_err($0, EIO) } }

  /// The process that asked.
  public var context: Context {
    let context = fuse_req_ctx(raw).pointee
    return Context(
      uid: context.uid, gid: context.gid, pid: context.pid, umask: context.umask)
  }

  /// Whether the caller no longer waits for the reply. See fuse_req_interrupted(3).
  public var isInterrupted: Bool { fuse_req_interrupted(raw) != 0 }

  /// Asks that `Operations.interrupted(token)` be called when the caller is interrupted.
  ///
  /// The call comes from inside `Session.process()`, or before this returns where the caller was
  /// interrupted already. It may reply to the request, but must not call this on it. Nothing comes
  /// once the request is replied to. See fuse_req_interrupt_func(3).
  public borrowing func onInterrupt(_ token: UInt64) {
    fuse_req_interrupt_func(
      raw,
      { raw, data in
        guard let raw else { return }
        Request.session(of: raw)._withUnsafeGuaranteedRef {
          $0.operations.interrupted(UInt64(UInt(bitPattern: data)))
        }
      }, UnsafeMutableRawPointer(bitPattern: UInt(token)))
  }

  /// Gives the one reply by a function of libfuse's, at once, and tells whether the kernel took it:
  /// it does not where the caller was interrupted, or the mount is gone.
  @discardableResult
  @inline(__always)
  consuming func reply(_ send: (fuse_req_t) -> Int32) -> Bool {
    Request.finish(handOver(), send)
  }

  /// The same with a message of the kernel's own protocol, linux/fuse.h. Where libfuse has a function
  /// for it, that would take the same in another form.
  @discardableResult
  @inline(__always)
  consuming func send<Message>(_ message: Message) -> Bool {
    reply { raw in withUnsafeBytes(of: message) { fuse_reply_buf(raw, $0.characters, $0.count) } }
  }

  /// The pointer, which its new owner has to reply to.
  @inline(__always)
  private consuming func handOver() -> fuse_req_t {
    let raw = self.raw
    discard self
    return raw
  }

  @inline(__always)
  private static func finish(_ raw: fuse_req_t, _ reply: (fuse_req_t) -> Int32) -> Bool {
    // The request is freed by its reply, so the session has to be found first.
    let session = session(of: raw)
    let status = reply(raw)
    session.release()
    return status == 0
  }

  @inline(__always)
  static func session(of raw: fuse_req_t) -> Unmanaged<Session> {
    // A request is always made from a session of ours, whose userdata is never null.
    Unmanaged.fromOpaque(fuse_req_userdata(raw).unsafelyUnwrapped)
  }
}
