import Glibc

/// The content that is being written to a file of a class with on_write_all.
struct PendingContent {
  var content: [UInt8]
  /// Something was written since it was last handed over: the next flush hands it over. A file that
  /// was only truncated is handed over when it is closed for good, because the shell closes a copy of
  /// the descriptor between `>` and the first byte.
  var isWritten = false
  /// The thread that wrote last. A flush by another process is none: it comes from every child that a
  /// writer starts, in the middle of what it writes.
  var writer: pid_t = 0
  /// Something has changed at all since it was last handed over.
  var isChanged = false

  mutating func write(_ data: UnsafeRawBufferPointer, at offset: Int, by writer: pid_t) {
    self.writer = writer
    let end = offset + data.count
    if content.count < end {
      content.append(contentsOf: repeatElement(0, count: end - content.count))
    }
    content.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress, let source = data.baseAddress else { return }
      (base + offset).copyMemory(from: source, byteCount: data.count)
    }
    isWritten = true
    isChanged = true
  }

  mutating func truncate(to size: Int) {
    if size < content.count {
      content.removeLast(content.count - size)
    } else {
      content.append(contentsOf: repeatElement(0, count: size - content.count))
    }
    isChanged = true
  }
}
