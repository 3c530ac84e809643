// Open files and directories: what is kept between open and release.

import FUSE
import Glibc
import Ruby
import System

/// One open file or directory; the kernel knows it by its number.
final class OpenHandle {
  let node: Node
  let flags: Int32
  /// The object that on_open, on_create or on_opendir answered, to be passed back.
  let object: VM.Root?
  /// How it is read; and, where that is past the kernel's cache by the host's own choice, that it is the
  /// host that has to find the end of the file.
  var reading = ReadingHabit.Signs()
  /// The largest piece that was written through it, in bytes.
  var largestPiece = 0
  /// The content that on_read_all answered when the file was last read from its beginning: one read
  /// of a whole file sees one content, whatever the script answers next.
  var snapshot: VM.Root?
  /// A directory's names as on_readdir answered them when it was last read from its beginning.
  var listing: VM.Root?
  /// How many changes there had been by then, as `Host.changes` counts.
  var listedAt: UInt64 = 0
  /// It was listed when it was opened, and the kernel has not asked since.
  var isListedAhead = false
  /// Whether that listing goes with attributes, and whether its first name goes without.
  var listingHas = (entries: true, testsFirst: false)

  init(node: Node, flags: Int32, object: VM.Root?) {
    self.node = node
    self.flags = flags
    self.object = object
    reading.isDirect = flags & Linux.direct != 0
  }
}

/// The open handles of a mount by their numbers, which begin with 1: 0 is none.
struct OpenHandles {
  private var slots: [OpenHandle?] = [nil]
  private var free: [Int] = []

  var count: Int { slots.count - 1 - free.count }

  subscript(number: UInt64) -> OpenHandle? {
    number < UInt64(slots.count) ? slots[Int(number)] : nil
  }

  mutating func add(_ handle: OpenHandle) -> UInt64 {
    if let index = free.popLast() {
      slots[index] = handle
      return UInt64(index)
    }
    slots.append(handle)
    return UInt64(slots.count - 1)
  }

  mutating func remove(_ number: UInt64) -> OpenHandle? {
    guard let handle = self[number] else { return nil }
    slots[Int(number)] = nil
    free.append(Int(number))
    return handle
  }
}

/// The content that is being written to a file of a class with on_write_all.
struct Draft {
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
