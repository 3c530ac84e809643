import Glibc

/// The answers of a filesystem that leaves a method out: those of libfuse where a field is NULL.
///
/// The kernel remembers ENOSYS for many requests until the unmount, and stops asking.
extension Operations {
  package func started(_ connection: Connection) {}
  package func destroyed() {}
  package func interrupted(_ token: UInt64) {}
  package func lookup(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    request.fail(Errno(ENOSYS))
  }
  package func forget(_ node: NodeID, lookups: UInt64) {}
  package func getattr(_ request: consuming Request, node: NodeID, handle: UInt64?) {
    request.fail(Errno(ENOSYS))
  }
  package func setattr(
    _ request: consuming Request, node: NodeID, changes: AttributeChanges, handle: UInt64?
  ) { request.fail(Errno(ENOSYS)) }
  package func readlink(_ request: consuming Request, node: NodeID) { request.fail(Errno(ENOSYS)) }
  package func mknod(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    device: UInt64
  ) { request.fail(Errno(ENOSYS)) }
  package func mkdir(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32
  ) { request.fail(Errno(ENOSYS)) }
  package func unlink(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    request.fail(Errno(ENOSYS))
  }
  package func rmdir(_ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>) {
    request.fail(Errno(ENOSYS))
  }
  package func symlink(
    _ request: consuming Request, target: UnsafePointer<CChar>, parent: NodeID,
    name: UnsafePointer<CChar>
  ) { request.fail(Errno(ENOSYS)) }
  package func rename(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, newParent: NodeID,
    newName: UnsafePointer<CChar>, flags: UInt32
  ) { request.fail(Errno(ENOSYS)) }
  package func link(
    _ request: consuming Request, node: NodeID, newParent: NodeID, newName: UnsafePointer<CChar>
  ) { request.fail(Errno(ENOSYS)) }
  package func open(_ request: consuming Request, node: NodeID, file: OpenFile) {
    request.opened(OpenReply())
  }
  package func read(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  package func write(
    _ request: consuming Request, node: NodeID, data: UnsafeRawBufferPointer, offset: Int64,
    file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  package func flush(_ request: consuming Request, node: NodeID, file: OpenFile) {
    request.fail(Errno(ENOSYS))
  }
  package func release(_ request: consuming Request, node: NodeID, file: OpenFile) {
    request.succeed()
  }
  package func fsync(_ request: consuming Request, node: NodeID, dataOnly: Bool, file: OpenFile) {
    request.fail(Errno(ENOSYS))
  }
  package func opendir(_ request: consuming Request, node: NodeID, file: OpenFile) {
    request.opened(OpenReply())
  }
  package func readdir(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  package func readdirplus(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  package func releasedir(_ request: consuming Request, node: NodeID, file: OpenFile) {
    request.succeed()
  }
  package func fsyncdir(_ request: consuming Request, node: NodeID, dataOnly: Bool, file: OpenFile)
  { request.fail(Errno(ENOSYS)) }
  package func statfs(_ request: consuming Request, node: NodeID) {
    // As libfuse answers: no blocks, of 512 bytes.
    var statistics = FilesystemStatistics()
    statistics.blockSize = 512
    statistics.fragmentSize = 512
    request.statistics(statistics)
  }
  package func setxattr(
    _ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>,
    value: UnsafeRawBufferPointer, flags: Int32
  ) { request.fail(Errno(ENOSYS)) }
  package func getxattr(
    _ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>, size: Int
  ) { request.fail(Errno(ENOSYS)) }
  package func listxattr(_ request: consuming Request, node: NodeID, size: Int) {
    request.fail(Errno(ENOSYS))
  }
  package func removexattr(_ request: consuming Request, node: NodeID, name: UnsafePointer<CChar>) {
    request.fail(Errno(ENOSYS))
  }
  package func access(_ request: consuming Request, node: NodeID, mask: Int32) {
    request.fail(Errno(ENOSYS))
  }
  package func create(
    _ request: consuming Request, parent: NodeID, name: UnsafePointer<CChar>, mode: UInt32,
    file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  package func getlk(_ request: consuming Request, node: NodeID, file: OpenFile, lock: FileLock) {
    request.fail(Errno(ENOSYS))
  }
  package func setlk(
    _ request: consuming Request, node: NodeID, file: OpenFile, lock: FileLock, wait: Bool
  ) { request.fail(Errno(ENOSYS)) }
  package func flock(_ request: consuming Request, node: NodeID, file: OpenFile, operation: Int32) {
    request.fail(Errno(ENOSYS))
  }
  package func bmap(_ request: consuming Request, node: NodeID, blockSize: Int, index: UInt64) {
    request.fail(Errno(ENOSYS))
  }
  package func ioctl(
    _ request: consuming Request, node: NodeID, command: UInt32, argument: UInt, file: OpenFile,
    flags: UInt32, input: UnsafeRawBufferPointer, outputSize: Int
  ) { request.fail(Errno(ENOSYS)) }
  package func poll(
    _ request: consuming Request, node: NodeID, file: OpenFile, events: UInt32,
    handle: consuming PollHandle?
  ) { request.fail(Errno(ENOSYS)) }
  package func fallocate(
    _ request: consuming Request, node: NodeID, mode: Int32, offset: Int64, length: Int64,
    file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  package func copyFileRange(
    _ request: consuming Request, node: NodeID, offset: Int64, file: OpenFile, toNode: NodeID,
    toOffset: Int64, toFile: OpenFile, length: Int, flags: Int32
  ) { request.fail(Errno(ENOSYS)) }
  package func lseek(
    _ request: consuming Request, node: NodeID, offset: Int64, whence: Int32, file: OpenFile
  ) { request.fail(Errno(ENOSYS)) }
  package func tmpfile(_ request: consuming Request, parent: NodeID, mode: UInt32, file: OpenFile) {
    request.fail(Errno(ENOSYS))
  }
}
