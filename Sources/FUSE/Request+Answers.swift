import CFuse
import Glibc

/// The kernel's answer to create: two in one.
private struct CreatedMessage {
  var entry: fuse_entry_out
  var open: fuse_open_out
}

/// The answers. Which of them fit a request is said by the method of `Operations` that gets it.
extension Request {
  /// Answers with a structure of the kernel's own protocol, linux/fuse.h. Where there is one function
  /// for it, that would take the same in another form.
  private consuming func send<Message>(_ message: Message) -> Bool {
    answer { raw in
      withUnsafeBytes(of: message) { fuse_reply_buf(raw, $0.characters, $0.count) }
    }
  }

  /// Answers that the act was done.
  @discardableResult
  public consuming func succeed() -> Bool { answer { fuse_reply_err($0, 0) } }

  /// Answers with an error. See fuse_reply_err(3).
  @discardableResult
  public consuming func fail(_ error: Errno) -> Bool {
    answer { fuse_reply_err($0, error.rawValue) }
  }

  /// Answers with the file that was found or made; a look-up that the kernel will forget later.
  ///
  /// Where it returns false the look-up does not count. See fuse_reply_entry(3).
  @discardableResult
  public consuming func entry(_ entry: Entry) -> Bool {
    send(entry.message)
  }

  /// Answers that the name does not exist, and that this holds for so many seconds.
  ///
  /// With 0 seconds it is ENOENT, plainly.
  @discardableResult
  public consuming func negative(timeout: Double) -> Bool {
    guard timeout > 0 else { return fail(Errno(ENOENT)) }
    var value = fuse_entry_param()
    value.entry_timeout = timeout
    return answer { fuse_reply_entry($0, &value) }
  }

  /// Answers with a file that was made and opened in one. See fuse_reply_create(3).
  @discardableResult
  public consuming func created(_ entry: Entry, _ open: OpenReply) -> Bool {
    send(CreatedMessage(entry: entry.message, open: open.message))
  }

  /// Answers with attributes that hold for so many seconds. See fuse_reply_attr(3).
  @discardableResult
  public consuming func attributes(_ attributes: Attributes, timeout: Double) -> Bool {
    var message = fuse_attr_out()
    (message.attr_valid, message.attr_valid_nsec) = Entry.split(timeout)
    message.attr = attributes.message
    return send(message)
  }

  /// Answers with bytes, which the kernel takes from where they lie: those of an array's span, say.
  ///
  /// It spares the caller a closure, out of which a request cannot be consumed. See
  /// fuse_reply_buf(3).
  @discardableResult
  public consuming func bytes(_ bytes: RawSpan) -> Bool {
    answer { raw in
      bytes.withUnsafeBytes { fuse_reply_buf(raw, $0.characters, $0.count) }
    }
  }

  /// Answers with the target of a symbolic link: bytes that end where the buffer does.
  @discardableResult
  public consuming func target(_ bytes: UnsafeRawBufferPointer) -> Bool { self.bytes(bytes) }

  /// Answers that the file or directory is open. See fuse_reply_open(3).
  ///
  /// Where it returns false the file is not open, and its release never comes.
  @discardableResult
  public consuming func opened(_ open: OpenReply) -> Bool {
    send(open.message)
  }

  /// Answers how many bytes were written. See fuse_reply_write(3).
  @discardableResult
  public consuming func written(_ count: Int) -> Bool {
    answer { fuse_reply_write($0, count) }
  }

  /// Answers with bytes, which the kernel takes from where they lie. See fuse_reply_buf(3).
  @discardableResult
  public consuming func bytes(_ bytes: UnsafeRawBufferPointer) -> Bool {
    answer {
      fuse_reply_buf($0, bytes.characters, bytes.count)
    }
  }

  /// Answers with the statistics of the filesystem. See fuse_reply_statfs(3).
  @discardableResult
  public consuming func statistics(_ statistics: FilesystemStatistics) -> Bool {
    var value = statistics.cValue
    return answer { fuse_reply_statfs($0, &value) }
  }

  /// Answers how many bytes the extended attribute, or the list of them, has.
  ///
  /// See fuse_reply_xattr(3).
  @discardableResult
  public consuming func attributeSize(_ count: Int) -> Bool {
    answer { fuse_reply_xattr($0, count) }
  }

  /// Answers which lock stands in the way; one of kind `none` if none does.
  ///
  /// See fuse_reply_lock(3).
  @discardableResult
  public consuming func lock(_ lock: FileLock) -> Bool {
    var value = lock.cValue
    return answer { fuse_reply_lock($0, &value) }
  }

  /// Answers which block of the device holds the block asked for. See fuse_reply_bmap(3).
  @discardableResult
  public consuming func block(_ index: UInt64) -> Bool {
    answer { fuse_reply_bmap($0, index) }
  }

  /// Answers what ioctl(2) returns, and with which bytes. See fuse_reply_ioctl(3).
  @discardableResult
  public consuming func ioctl(result: Int32, bytes: UnsafeRawBufferPointer) -> Bool {
    answer { fuse_reply_ioctl($0, result, bytes.baseAddress, bytes.count) }
  }

  /// Answers what ioctl(2) returns, and with the bytes of an array's span, say.
  @discardableResult
  public consuming func ioctl(result: Int32, bytes: RawSpan) -> Bool {
    answer { raw in
      bytes.withUnsafeBytes { fuse_reply_ioctl(raw, result, $0.baseAddress, $0.count) }
    }
  }

  /// Asks the kernel to come again with these pieces of the caller's memory.
  ///
  /// Linux grants it to character devices only, and answers EIO for the caller of any other file.
  /// See fuse_reply_ioctl_retry(3).
  @discardableResult
  public consuming func ioctlRetry(
    input: [(address: UInt, count: Int)], output: [(address: UInt, count: Int)]
  ) -> Bool {
    func pieces(_ list: [(address: UInt, count: Int)]) -> [iovec] {
      list.map {
        iovec(iov_base: UnsafeMutableRawPointer(bitPattern: $0.address), iov_len: $0.count)
      }
    }
    let input = pieces(input)
    let output = pieces(output)
    return answer { fuse_reply_ioctl_retry($0, input, input.count, output, output.count) }
  }

  /// Answers which of the events have come (POLLIN, POLLOUT, ...). See fuse_reply_poll(3).
  @discardableResult
  public consuming func polled(_ events: UInt32) -> Bool {
    answer { fuse_reply_poll($0, events) }
  }

  /// Answers with the new offset, in bytes. See fuse_reply_lseek(3).
  @discardableResult
  public consuming func offset(_ offset: Int64) -> Bool {
    answer { fuse_reply_lseek($0, numericCast(offset)) }
  }
}

extension UnsafeRawBufferPointer {
  var characters: UnsafePointer<CChar>? { baseAddress?.assumingMemoryBound(to: CChar.self) }
}
