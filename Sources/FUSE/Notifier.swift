import CFuse
import Glibc
public import System

/// Tells the kernel that what it has cached is no longer so; from any thread.
///
/// The kernel takes the locks of the files in question. So a call must not come from a thread that
/// has a request of the same path, or of its directory, to reply to: it would wait for itself. No
/// call may be under way when the session is unmounted. What the kernel does not know needs no
/// dropping, and is no error.
///
/// `@unchecked Sendable`: libfuse makes each of these one writev(2), and reads no state but its
/// descriptor and the version of the protocol, which stay as they are while the mount lives.
public struct Notifier: @unchecked Sendable {
  let session: Session

  /// Drops a file's attributes, and its data from `offset` on, `length` bytes of it or, with 0, all.
  ///
  /// A negative offset drops the attributes only. See fuse_lowlevel_notify_inval_inode(3).
  public func invalidate(_ node: NodeID, offset: Int64 = 0, length: Int64 = 0) throws(Errno) {
    try check(
      fuse_lowlevel_notify_inval_inode(
        session.raw, node, numericCast(offset), numericCast(length)))
  }

  /// Drops a name, or that it does not exist.
  ///
  /// Throws ENAMETOOLONG or EINVAL for what cannot be a name. See fuse_lowlevel_notify_inval_entry(3).
  public func invalidateEntry(parent: NodeID, name: UnsafeRawBufferPointer) throws(Errno) {
    let status = try FileName.withTerminated(name) {
      fuse_lowlevel_notify_inval_entry(session.raw, parent, $0, name.count)
    }
    try check(status)
  }

  /// Says that a name is gone, for the processes that watch the directory with inotify(7).
  ///
  /// See fuse_lowlevel_notify_delete(3).
  public func delete(parent: NodeID, child: NodeID, name: UnsafeRawBufferPointer) throws(Errno) {
    let status = try FileName.withTerminated(name) {
      fuse_lowlevel_notify_delete(session.raw, parent, child, $0, name.count)
    }
    try check(status)
  }

  /// Lets `Session.receive` say that the session has ended.
  ///
  /// A thread that waits on the descriptor is not woken.
  public func exit() { fuse_session_exit(session.raw) }

  private func check(_ status: Int32) throws(Errno) {
    if status < 0 && status != -ENOENT { throw Errno(-status) }
  }
}
