import CFuse
public import System

/// The kernel's wish to be told when a file may have become ready.
///
/// It is given back to the library when it goes. `@unchecked Sendable`: one pointer, never changed,
/// and a notification may be sent from anywhere.
public final class PollHandle: @unchecked Sendable {
  private let raw: OpaquePointer
  // The library's handle points at its session.
  private let session: Session

  init(_ raw: OpaquePointer, session: Session) {
    self.raw = raw
    self.session = session
  }

  static func taking(_ raw: OpaquePointer?, for session: Session) -> PollHandle? {
    guard let raw else { return nil }
    return PollHandle(raw, session: session)
  }

  deinit { fuse_pollhandle_destroy(raw) }

  /// Lets every caller that waits for the open file poll it again; once is enough. Others that have opened
  /// the same file have handles of their own.
  ///
  /// Throws what the kernel returned. See fuse_lowlevel_notify_poll(3).
  public func notify() throws(Errno) {
    let status = fuse_lowlevel_notify_poll(raw)
    if status < 0 { throw Errno(-status) }
  }
}
