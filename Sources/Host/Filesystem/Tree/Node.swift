// A node: one file, directory or link that the kernel or the script knows of.

import FUSE
import Glibc
import Ruby
import System

/// One file, by whatever names it has: the script's instance hangs on it, and so does everything
/// that is known of it between two operations.
///
/// Invariant: a node stays in its tree while the kernel counts look-ups of it, while a task or an
/// open file pins it, while it has children, or while it has a path and an instance.
final class Node {
  let id: NodeID
  /// Tells this node from earlier ones with the same id.
  let generation: UInt64
  /// The names it has: more than one after on_link, none when it was unlinked. The root has none.
  var dentries: [Dentry] = []
  var children: [EntryName: Node] = [:]

  /// How many look-ups the kernel has yet to forget.
  var lookupCount: UInt64 = 0
  /// How many tasks and open files are at work on it.
  var pinCount = 0
  /// How many of those are open files, and those of them through which may be written, oldest first.
  var openFiles = 0
  var writers: [OpenHandle] = []

  /// The script's object for it.
  var instance: VM.Root?
  /// What the script last said of it, as the kernel was told, and until when the kernel believes that,
  /// on the monotonic clock.
  var attributes: Attributes?
  var attributesExpire: UInt64 = 0
  /// The size that the script last said; nil where it said none.
  var scriptSize: Int64?
  /// The inode number under which the tree knows it, on mounts with use_ino.
  var shownInode: UInt64?
  /// The script gave no size, so reads go past the kernel's cache, and the size is found by reading.
  var hasUnknownSize = false
  var measuredSize: Int64?
  /// When it, or a name in it, last changed, as `Filesystem.changes` counts: what was said of it before does
  /// not hold any more.
  var lastChange: UInt64 = 0
  /// When it last changed and was last read, as far as the host knows: for scripts that keep no times.
  var modified: Timestamp?
  var accessed: Timestamp?
  /// For a file: how it is read; and whether it was last written to in pieces of a page at most.
  var readingHabit = ReadingHabit()
  var isWrittenInPages = false
  /// The size and time of change of what the kernel has cached, for auto_cache.
  var cachedAt: (size: Int64, mtime: Timestamp)?
  /// How many contents are being handed over to on_write_all, and what waits for the end of that.
  var handOvers = 0
  var afterHandOver: [() -> Void] = []
  /// Which open files are waited for, by their numbers (FUSE.notify_poll).
  var pollHandles: [UInt64: PollHandle] = [:]

  init(id: NodeID, generation: UInt64) {
    self.id = id
    self.generation = generation
  }

  var isRoot: Bool { id == rootID }
  /// Whether it still has a path.
  var isLinked: Bool { isRoot || !dentries.isEmpty }

  /// The path from the mount point on, by its first name: "/" for the root. A node that was unlinked
  /// has none, and so is nil.
  var path: [UInt8]? { withPath { [UInt8]($0) } }

  /// Lends the path.
  func withPath<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R? {
    if let dentry = dentries.first { return dentry.withPath(body) }
    return isRoot ? withUnsafeBytes(of: UInt8(ascii: "/"), body) : nil
  }

  /// The path for people to read; what is not UTF-8 is replaced.
  var pathText: String {
    path.map { String(decoding: $0, as: UTF8.self) } ?? "(unlinked)"
  }
}
