// A node: one file, directory or link that the kernel or the script knows of.

import FUSE
import Glibc
import Ruby

/// A name inside a directory, as bytes: 1 to 255 of anything but NUL and slash.
struct FileName: Hashable {
  let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Copies a name that the kernel sent.
  init(_ name: UnsafePointer<CChar>) {
    bytes = [UInt8](UnsafeRawBufferPointer(start: name, count: strlen(name)))
  }

  /// The longest name that a directory can hold, in bytes (NAME_MAX).
  static let longest = 255

  /// Lends the bytes. (Array's own forgets what type of error is thrown.)
  func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws(Errno) -> R) throws(Errno) -> R {
    let result: Result<R, Errno> = bytes.withUnsafeBytes { bytes in
      Result { () throws(Errno) in try body(bytes) }
    }
    return try result.get()
  }

  func hash(into hasher: inout Hasher) {
    bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
  }
}

/// One file, by whatever names it has: the script's instance hangs on it, and so does everything
/// that is known of it between two operations.
///
/// Invariant: a node stays in its tree while the kernel counts look-ups of it, while a turn or an
/// open file holds it, while it has children, or while it has a path and an instance.
final class Node {
  /// A name under which the node is found.
  struct Place: Equatable {
    unowned let parent: Node
    let name: FileName
    static func == (a: Place, b: Place) -> Bool { a.parent === b.parent && a.name == b.name }
  }

  let id: NodeID
  /// Tells this node from earlier ones with the same id.
  let generation: UInt64
  /// The names it has: more than one after on_link, none when it was unlinked. The root has none.
  var places: [Place] = []
  var children: [FileName: Node] = [:]

  /// How many look-ups the kernel has yet to forget.
  var lookups: UInt64 = 0
  /// How many turns and open files are at work on it.
  var holds = 0
  /// How many of those are open files, and of these, how many may write.
  var openFiles = 0
  var openWriters = 0

  /// The script's object for it.
  var instance: VM.Root?
  /// What the script last said of it, as the kernel was told.
  var attributes: Attributes?
  /// The inode number under which the tree knows it, on mounts with use_ino.
  var shownInode: UInt64?
  /// The script gave no size, so reads go past the kernel's cache, and the size is found by reading.
  var hasUnknownSize = false
  var measuredSize: Int64?
  /// For a directory: whether those who list it look at its files.
  var listingHabit = ListingHabit()
  /// When it, or a name in it, last changed, as `Host.changes` counts: what was said of it before does
  /// not hold any more.
  var lastChange: UInt64 = 0
  /// When it last changed and was last read, as far as the host knows: for scripts that keep no times.
  var modified: Timestamp?
  var accessed: Timestamp?
  /// The size and time of change of what the kernel has cached, for auto_cache.
  var cachedAt: (size: Int64, mtime: Timestamp)?
  /// The content that is being written, for a class with on_write_all; and what is being handed over.
  var draft: Draft?
  var handingOver: [UInt8]?
  /// Who wants to be told when the file becomes ready (FUSE.notify_poll).
  var pollHandle: PollHandle?

  init(id: NodeID, generation: UInt64) {
    self.id = id
    self.generation = generation
  }

  var isRoot: Bool { id == rootID }
  /// Whether it still has a path.
  var isLinked: Bool { isRoot || !places.isEmpty }

  /// The path from the mount point on, by its first name: "/" for the root. A node that was unlinked
  /// has none, and answers nil.
  var path: [UInt8]? {
    if isRoot { return [UInt8(ascii: "/")] }
    return places.first?.path
  }

  /// The path for people to read; what is not UTF-8 is replaced.
  var pathText: String {
    path.map { String(decoding: $0, as: UTF8.self) } ?? "(unlinked)"
  }
}

extension Node.Place {
  /// The path of this name; nil where a directory above it was unlinked.
  var path: [UInt8]? {
    guard var path = parent.path else { return nil }
    if !parent.isRoot { path.append(UInt8(ascii: "/")) }
    path += name.bytes
    return path
  }
}
