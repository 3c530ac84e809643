/// What a filesystem does: one method for each request that the kernel may send.
///
/// The methods bear the names of struct fuse_lowlevel_ops, whose manual says when they are called;
/// each says here which replies of `Request` fit, besides `fail`. A method that is not written
/// replies as libfuse does without it, mostly ENOSYS.
///
/// Names and data lie in the buffer of the request that is being processed and are valid during the
/// call only; a name ends with NUL and is any bytes but NUL and slash.
///
/// All calls come from `Session.process()`, on its caller's thread.
public protocol Operations: AnyObject {
  /// The connection stands; what the kernel offered and what was agreed is in `connection`.
  func started(_ connection: Connection)
  /// The session ends; no call follows.
  func destroyed()
  /// The caller of a request is interrupted, whose `onInterrupt` was given this token.
  func interrupted(_ token: UInt64)

  /// Finds a name in a directory: `entry`, `negative`.
  func lookup(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>)
  /// The kernel forgets so many look-ups of a node; there is no reply.
  func forget(_ node: NodeID, lookups: UInt64)
  /// Tells a file's attributes: `attributes`.
  func getattr(_ request: consuming Request, node: NodeID, handle: UInt64?)
  /// Changes a file's attributes: `attributes`.
  func setattr(
    _ request: consuming Request, node: NodeID, changes: AttributeChanges, handle: UInt64?)
  /// Tells where a symbolic link leads: `target`.
  func readlink(_ request: consuming Request, node: NodeID)
  /// Makes a file that is not opened, or a device, FIFO or socket: `entry`.
  func mknod(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    device: UInt64)
  /// Makes a directory: `entry`.
  func mkdir(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32)
  /// Takes away a name: `succeed`.
  func unlink(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>)
  /// Takes away an empty directory: `succeed`.
  func rmdir(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>)
  /// Makes a symbolic link: `entry`.
  func symlink(
    _ request: consuming Request, target: UnsafePointer<CChar>, parent: NodeID,
    name: UnsafePointer<CChar>)
  /// Moves a name, with the flags of renameat2(2): `succeed`.
  func rename(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, newParent: NodeID,
    newName: UnsafePointer<CChar>, flags: UInt32)
  /// Gives a file a further name: `entry`.
  func link(
    _ request: consuming Request, node: NodeID, newParent: NodeID, newName: UnsafePointer<CChar>)
  /// Opens a file: `opened`. Without it every file opens, with handle 0.
  func open(_ request: consuming Request, node: NodeID, file: OpenFile)
  /// Reads from a file, up to `size` bytes: `bytes`.
  func read(_ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile)
  /// Writes to a file: `written`.
  func write(
    _ request: consuming Request, node: NodeID, data: UnsafeRawBufferPointer, offset: Int64,
    file: OpenFile)
  /// A descriptor of an open file is closed; an error is what close(2) returns: `succeed`.
  func flush(_ request: consuming Request, node: NodeID, file: OpenFile)
  /// An open file is gone; an error goes unheard: `succeed`. Without it, just that.
  func release(_ request: consuming Request, node: NodeID, file: OpenFile)
  /// Puts what was written, or at least its data, into safety: `succeed`.
  func fsync(_ request: consuming Request, node: NodeID, dataOnly: Bool, file: OpenFile)
  /// Opens a directory: `opened`. Without it every directory opens, with handle 0.
  func opendir(_ request: consuming Request, node: NodeID, file: OpenFile)
  /// Lists names from an offset on: a `DirectoryBuffer`, empty at the end.
  func readdir(_ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile)
  /// Lists names with their entries; each is a look-up, save for "." and "..".
  ///
  /// Only called with `ConnectionSettings.readdirplus`.
  func readdirplus(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile)
  /// An open directory is gone: `succeed`. Without it, just that.
  func releasedir(_ request: consuming Request, node: NodeID, file: OpenFile)
  /// Puts a directory into safety: `succeed`.
  func fsyncdir(_ request: consuming Request, node: NodeID, dataOnly: Bool, file: OpenFile)
  /// Tells the filesystem's statistics: `statistics`. Without it they are all 0.
  func statfs(_ request: consuming Request, node: NodeID)
  /// Sets an extended attribute, with the flags of setxattr(2): `succeed`.
  func setxattr(
    _ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>,
    value: UnsafeRawBufferPointer, flags: Int32)
  /// Tells an extended attribute: `attributeSize` where `size` is 0, else `bytes`, or ERANGE.
  func getxattr(_ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>, size: Int)
  /// Lists extended attributes, each with its NUL: as `getxattr`.
  func listxattr(_ request: consuming Request, node: NodeID, size: Int)
  /// Takes away an extended attribute: `succeed`.
  func removexattr(_ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>)
  /// Tells whether the caller may do what `mask` says (access(2)): `succeed`.
  ///
  /// Never called on a mount with default_permissions.
  func access(_ request: consuming Request, node: NodeID, mask: Int32)
  /// Makes a file and opens it: `created`. With ENOSYS the kernel calls mknod and open.
  func create(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    file: OpenFile)
  /// Tells which lock would stand in the way: `lock`.
  func getlk(_ request: consuming Request, node: NodeID, file: OpenFile, lock: FileLock)
  /// Takes a lock or gives it up; waits for it where `wait` says so: `succeed`.
  func setlk(_ request: consuming Request, node: NodeID, file: OpenFile, lock: FileLock, wait: Bool)
  /// Locks or unlocks a whole file, as flock(2) with LOCK_SH, LOCK_EX, LOCK_UN, LOCK_NB: `succeed`.
  func flock(_ request: consuming Request, node: NodeID, file: OpenFile, operation: Int32)
  /// Tells where a block lies; only on mounts with blkdev: `block`.
  func bmap(_ request: consuming Request, node: NodeID, blockSize: Int, index: UInt64)
  /// Carries out ioctl(2); `argument` is the caller's, `outputSize` the room in bytes: `ioctl`.
  func ioctl(
    _ request: consuming Request, node: NodeID, command: UInt32, argument: UInt, file: OpenFile,
    flags: UInt32, input: UnsafeRawBufferPointer, outputSize: Int)
  /// Tells which events have come; where there is a handle, it is to be notified: `polled`.
  func poll(
    _ request: consuming Request, node: NodeID, file: OpenFile, events: UInt32,
    handle: PollHandle?)
  /// Takes or gives back room in a file, as fallocate(2): `succeed`.
  func fallocate(
    _ request: consuming Request, node: NodeID, mode: Int32, offset: Int64, length: Int64,
    file: OpenFile)
  /// Copies from one file to another, as copy_file_range(2): `written`.
  func copyFileRange(
    _ request: consuming Request, node: NodeID, offset: Int64, file: OpenFile, toNode: NodeID,
    toOffset: Int64, toFile: OpenFile, length: Int, flags: Int32)
  /// Finds data or a hole (SEEK_DATA, SEEK_HOLE): `offset`.
  func lseek(
    _ request: consuming Request, node: NodeID, offset: Int64, whence: Int32, file: OpenFile)
  /// Makes a file without a name and opens it: `created`. Needs libfuse 3.17.
  func tmpfile(_ request: consuming Request, parent: NodeID, mode: UInt32, file: OpenFile)
}
