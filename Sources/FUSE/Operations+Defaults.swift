import Glibc
import System

/// The replies of a filesystem that leaves a method out: those of libfuse where a field is NULL.
///
/// The kernel remembers ENOSYS for many requests until the unmount, and stops asking.
extension Operations {
  public func started(_ connection: Connection) {}
  public func destroyed() {}
  public func interrupted(_ token: UInt64) {}
  public func lookup(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    request.fail(Errno(ENOSYS))
  }
  public func forget(_ node: NodeID, lookups: UInt64) {}
  public func getattr(_ request: consuming Request, node: NodeID, handle: UInt64?) {
    request.fail(Errno(ENOSYS))
  }
  public func setattr(
    _ request: consuming Request, node: NodeID, changes: AttributeChanges, handle: UInt64?
  ) { request.fail(Errno(ENOSYS)) }
  public func readlink(_ request: consuming Request, node: NodeID) { request.fail(Errno(ENOSYS)) }
  public func mknod(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    device: UInt64
  ) { request.fail(Errno(ENOSYS)) }
  public func mkdir(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32
  ) { request.fail(Errno(ENOSYS)) }
  public func unlink(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    request.fail(Errno(ENOSYS))
  }
  public func rmdir(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    request.fail(Errno(ENOSYS))
  }
  public func symlink(
    _ request: consuming Request, target: UnsafePointer<CChar>, parent: NodeID,
    name: UnsafePointer<CChar>
  ) { request.fail(Errno(ENOSYS)) }
  public func rename(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, newParent: NodeID,
    newName: UnsafePointer<CChar>, flags: UInt32
  ) { request.fail(Errno(ENOSYS)) }
  public func link(
    _ request: consuming Request, node: NodeID, newParent: NodeID, newName: UnsafePointer<CChar>
  ) { request.fail(Errno(ENOSYS)) }
  public func open(_ request: consuming Request, node: NodeID, file: OpenFile) {
    _ = request.opened(OpenReply())
  }
  public func read(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  public func write(
    _ request: consuming Request, node: NodeID, data: UnsafeRawBufferPointer, offset: Int64,
    file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  public func flush(_ request: consuming Request, node: NodeID, file: OpenFile) {
    request.fail(Errno(ENOSYS))
  }
  public func release(_ request: consuming Request, node: NodeID, file: OpenFile) {
    request.succeed()
  }
  public func fsync(_ request: consuming Request, node: NodeID, dataOnly: Bool, file: OpenFile) {
    request.fail(Errno(ENOSYS))
  }
  public func opendir(_ request: consuming Request, node: NodeID, file: OpenFile) {
    _ = request.opened(OpenReply())
  }
  public func readdir(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  public func readdirplus(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  public func releasedir(_ request: consuming Request, node: NodeID, file: OpenFile) {
    request.succeed()
  }
  public func fsyncdir(_ request: consuming Request, node: NodeID, dataOnly: Bool, file: OpenFile) {
    request.fail(Errno(ENOSYS))
  }
  public func statfs(_ request: consuming Request, node: NodeID) {
    // As libfuse replies: no blocks, of 512 bytes.
    var statistics = FilesystemStatistics()
    statistics.blockSize = 512
    statistics.fragmentSize = 512
    request.statistics(statistics)
  }
  public func setxattr(
    _ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>,
    value: UnsafeRawBufferPointer, flags: Int32
  ) { request.fail(Errno(ENOSYS)) }
  public func getxattr(
    _ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>, size: Int
  ) { request.fail(Errno(ENOSYS)) }
  public func listxattr(_ request: consuming Request, node: NodeID, size: Int) {
    request.fail(Errno(ENOSYS))
  }
  public func removexattr(_ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>) {
    request.fail(Errno(ENOSYS))
  }
  public func access(_ request: consuming Request, node: NodeID, mask: Int32) {
    request.fail(Errno(ENOSYS))
  }
  public func create(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  public func getlk(_ request: consuming Request, node: NodeID, file: OpenFile, lock: FileLock) {
    request.fail(Errno(ENOSYS))
  }
  public func setlk(
    _ request: consuming Request, node: NodeID, file: OpenFile, lock: FileLock, wait: Bool
  ) { request.fail(Errno(ENOSYS)) }
  public func flock(_ request: consuming Request, node: NodeID, file: OpenFile, operation: Int32) {
    request.fail(Errno(ENOSYS))
  }
  public func bmap(_ request: consuming Request, node: NodeID, blockSize: Int, index: UInt64) {
    request.fail(Errno(ENOSYS))
  }
  public func ioctl(
    _ request: consuming Request, node: NodeID, command: UInt32, argument: UInt, file: OpenFile,
    flags: UInt32, input: UnsafeRawBufferPointer, outputSize: Int
  ) { request.fail(Errno(ENOSYS)) }
  public func poll(
    _ request: consuming Request, node: NodeID, file: OpenFile, events: UInt32,
    handle: PollHandle?
  ) { request.fail(Errno(ENOSYS)) }
  public func fallocate(
    _ request: consuming Request, node: NodeID, mode: Int32, offset: Int64, length: Int64,
    file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  public func copyFileRange(
    _ request: consuming Request, node: NodeID, offset: Int64, file: OpenFile, toNode: NodeID,
    toOffset: Int64, toFile: OpenFile, length: Int, flags: Int32
  ) { request.fail(Errno(ENOSYS)) }
  public func lseek(
    _ request: consuming Request, node: NodeID, offset: Int64, whence: Int32, file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  public func tmpfile(_ request: consuming Request, parent: NodeID, mode: UInt32, file: OpenFile) {
    request.fail(Errno(ENOSYS))
  }
}
