import CFuse
import Glibc
public import System

/// The reply to create: two in one.
private struct CreatedMessage {
  var entry: fuse_entry_out
  var open: fuse_open_out
}

/// The replies. Which of them fit a request is said by the method of `Operations` that gets it.
extension Request {
  /// Replies that the act was done.
  public consuming func succeed() { reply { fuse_reply_err($0, 0) } }

  /// Replies with an error; one that the kernel has no number for is ERANGE. See fuse_reply_err(3).
  public consuming func fail(_ error: Errno) {
    let isKnown = 0...Errno.largest ~= error.rawValue
    reply { fuse_reply_err($0, isKnown ? error.rawValue : ERANGE) }
  }

  /// Replies with the file that was found or made; a look-up that the kernel will forget later, unless
  /// this returns false: then the kernel did not take it, as the caller was interrupted.
  ///
  /// See fuse_reply_entry(3).
  public consuming func entry(_ entry: Entry) -> Bool { send(entry.message) }

  /// Replies that the name does not exist, and that this holds for so many seconds.
  ///
  /// With 0 seconds it is ENOENT, plainly.
  public consuming func negative(timeout: Double) {
    guard timeout > 0 else { return fail(Errno(ENOENT)) }
    var message = fuse_entry_out()
    (message.entry_valid, message.entry_valid_nsec) = Entry.split(timeout)
    send(message)
  }

  /// Replies with a file that was made and opened in one: `entry` and `opened`, both or neither.
  ///
  /// See fuse_reply_create(3).
  public consuming func created(_ entry: Entry, _ open: OpenReply) -> Bool {
    send(CreatedMessage(entry: entry.message, open: open.message))
  }

  /// Replies with attributes that hold for so many seconds. See fuse_reply_attr(3).
  public consuming func attributes(_ attributes: Attributes, timeout: Double) {
    var message = fuse_attr_out()
    (message.attr_valid, message.attr_valid_nsec) = Entry.split(timeout)
    message.attr = attributes.message
    send(message)
  }

  /// Replies with bytes, which the kernel takes from where they lie: those of an array's span, say.
  ///
  /// It spares the caller a closure, out of which a request cannot be consumed. See
  /// fuse_reply_buf(3).
  public consuming func bytes(_ bytes: RawSpan) {
    reply { raw in bytes.withUnsafeBytes { fuse_reply_buf(raw, $0.characters, $0.count) } }
  }

  /// Replies with the target of a symbolic link: bytes that end where the buffer does.
  public consuming func target(_ bytes: UnsafeRawBufferPointer) { self.bytes(bytes) }

  /// Replies that the file or directory is open; a release will come for it, unless this returns false:
  /// then the kernel did not take it, as the caller was interrupted.
  ///
  /// See fuse_reply_open(3).
  public consuming func opened(_ open: OpenReply) -> Bool { send(open.message) }

  /// Replies how many bytes were written. See fuse_reply_write(3).
  public consuming func written(_ count: Int) {
    var message = fuse_write_out()
    message.size = UInt32(clamping: count)
    send(message)
  }

  /// Replies with bytes, which the kernel takes from where they lie. See fuse_reply_buf(3).
  public consuming func bytes(_ bytes: UnsafeRawBufferPointer) {
    reply { fuse_reply_buf($0, bytes.characters, bytes.count) }
  }

  /// Replies with the statistics of the filesystem. See fuse_reply_statfs(3).
  public consuming func statistics(_ statistics: FilesystemStatistics) {
    var value = statistics.cValue
    reply { fuse_reply_statfs($0, &value) }
  }

  /// Replies how many bytes the extended attribute, or the list of them, has.
  ///
  /// See fuse_reply_xattr(3).
  public consuming func attributeSize(_ count: Int) {
    reply { fuse_reply_xattr($0, count) }
  }

  /// Replies which lock stands in the way; one of kind `none` if none does.
  ///
  /// See fuse_reply_lock(3).
  public consuming func lock(_ lock: FileLock) {
    var value = lock.cValue
    reply { fuse_reply_lock($0, &value) }
  }

  /// Replies which block of the device holds the block asked for. See fuse_reply_bmap(3).
  public consuming func block(_ index: UInt64) {
    reply { fuse_reply_bmap($0, index) }
  }

  /// Replies what ioctl(2) returns, and with which bytes. See fuse_reply_ioctl(3).
  public consuming func ioctl(result: Int32, bytes: UnsafeRawBufferPointer) {
    reply { fuse_reply_ioctl($0, result, bytes.baseAddress, bytes.count) }
  }

  /// Replies what ioctl(2) returns, and with the bytes of an array's span, say.
  public consuming func ioctl(result: Int32, bytes: RawSpan) {
    reply { raw in
      bytes.withUnsafeBytes { fuse_reply_ioctl(raw, result, $0.baseAddress, $0.count) }
    }
  }

  /// Asks the kernel to come again with these pieces of the caller's memory.
  ///
  /// Linux grants it to character devices only, and fails with EIO for the caller of any other file.
  /// See fuse_reply_ioctl_retry(3).
  public consuming func ioctlRetry(
    input: [(address: UInt, count: Int)], output: [(address: UInt, count: Int)]
  ) {
    func pieces(_ list: [(address: UInt, count: Int)]) -> [iovec] {
      list.map {
        iovec(iov_base: UnsafeMutableRawPointer(bitPattern: $0.address), iov_len: $0.count)
      }
    }
    let input = pieces(input)
    let output = pieces(output)
    reply { fuse_reply_ioctl_retry($0, input, input.count, output, output.count) }
  }

  /// Replies which of the events have come (POLLIN, POLLOUT, ...). See fuse_reply_poll(3).
  public consuming func polled(_ events: UInt32) {
    reply { fuse_reply_poll($0, events) }
  }

  /// Replies with the new offset, in bytes. See fuse_reply_lseek(3).
  public consuming func offset(_ offset: Int64) {
    reply { fuse_reply_lseek($0, numericCast(offset)) }
  }
}

extension UnsafeRawBufferPointer {
  var characters: UnsafePointer<CChar>? { baseAddress?.assumingMemoryBound(to: CChar.self) }
}
