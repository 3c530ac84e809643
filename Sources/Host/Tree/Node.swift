// A node: one file, directory or link that the kernel or the script knows of.

import FUSE
import Glibc
import Ruby

/// A name inside a directory, as bytes: 1 to 255 of anything but NUL and slash.
///
/// One that was just received or listed borrows its bytes, so that looking it up allocates nothing;
/// whoever keeps it longer than they last keeps `kept`.
struct FileName: Hashable {
  private enum Storage {
    case owned([UInt8])
    case borrowed(UnsafeRawBufferPointer)
  }
  private let storage: Storage

  init(_ bytes: [UInt8]) { storage = .owned(bytes) }

  /// Borrows bytes.
  init(borrowing bytes: UnsafeRawBufferPointer) { storage = .borrowed(bytes) }

  /// Borrows a name that the kernel sent, which lasts until its request has been processed.
  init(borrowing name: UnsafePointer<CChar>) {
    storage = .borrowed(UnsafeRawBufferPointer(start: name, count: strlen(name)))
  }

  /// The longest name that a directory can hold, in bytes (NAME_MAX).
  static let longest = 255

  var bytes: [UInt8] {
    switch storage {
    case .owned(let bytes): bytes
    case .borrowed(let bytes): [UInt8](bytes)
    }
  }

  /// The same name with bytes of its own.
  var kept: FileName {
    switch storage {
    case .owned: self
    case .borrowed(let bytes): FileName([UInt8](bytes))
    }
  }

  var count: Int {
    switch storage {
    case .owned(let bytes): bytes.count
    case .borrowed(let bytes): bytes.count
    }
  }

  /// Whether a directory can hold it.
  var isValid: Bool { withBytes(DirectoryBuffer.accepts) }

  /// Whether it is "." or "..".
  var isDots: Bool {
    count <= 2 && withBytes { bytes in bytes.allSatisfy { $0 == UInt8(ascii: ".") } }
  }

  /// Lends the bytes.
  func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    switch storage {
    case .owned(let bytes): bytes.withUnsafeBytes(body)
    case .borrowed(let bytes): body(bytes)
    }
  }

  static func == (a: FileName, b: FileName) -> Bool {
    a.withBytes { a in
      b.withBytes { b in
        guard a.count == b.count, let first = a.baseAddress, let second = b.baseAddress else {
          return a.count == b.count
        }
        return memcmp(first, second, a.count) == 0
      }
    }
  }

  func hash(into hasher: inout Hasher) {
    withBytes { hasher.combine(bytes: $0) }
    // No name has a NUL: so names one after the other differ from others of the same letters.
    hasher.combine(0 as UInt8)
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
    // Not counted, as a look-up would be by this alone: a node with children stays in the tree, and
    // an operation holds the directories that it is about.
    unowned(unsafe) let parent: Node
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
  /// What the script last said of it, as the kernel was told, and until when the kernel believes that,
  /// on the monotonic clock.
  var attributes: Attributes?
  var believedUntil: UInt64 = 0
  /// The inode number under which the tree knows it, on mounts with use_ino.
  var shownInode: UInt64?
  /// The script gave no size, so reads go past the kernel's cache, and the size is found by reading.
  var hasUnknownSize = false
  var measuredSize: Int64?
  /// For a directory: how it is used, and a hash of the names that the kernel may have of it.
  var listingHabit = ListingHabit()
  var keptNames: Int?
  /// When it, or a name in it, last changed, as `Host.changes` counts: what was said of it before does
  /// not hold any more.
  var lastChange: UInt64 = 0
  /// When it last changed and was last read, as far as the host knows: for scripts that keep no times.
  var modified: Timestamp?
  var accessed: Timestamp?
  /// For a file: how it is read; and whether who wrote to it last did so in pieces of a page at most.
  var readingHabit = ReadingHabit()
  var isWrittenInPages = false
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
  var path: [UInt8]? { withPath { [UInt8]($0) } }

  /// Lends the path.
  func withPath<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R? {
    if let place = places.first { return place.withPath(body) }
    return isRoot ? withUnsafeBytes(of: UInt8(ascii: "/"), body) : nil
  }

  /// The path for people to read; what is not UTF-8 is replaced.
  var pathText: String {
    path.map { String(decoding: $0, as: UTF8.self) } ?? "(unlinked)"
  }
}

extension Node.Place {
  /// The same with a name that lasts.
  var kept: Node.Place { Node.Place(parent: parent, name: name.kept) }

  /// The length of the path in bytes; nil where a directory above it was unlinked.
  private var pathLength: Int? {
    var length = name.count + 1
    var directory = parent
    while !directory.isRoot {
      guard let place = directory.places.first else { return nil }
      length += place.name.count + 1
      directory = place.parent
    }
    return length
  }

  /// The path of this name; nil where a directory above it was unlinked.
  var path: [UInt8]? { withPath { [UInt8]($0) } }

  /// Lends the path; it is written from its end to its beginning, with no allocation for each part.
  func withPath<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R? {
    guard let length = pathLength else { return nil }
    return withUnsafeTemporaryAllocation(byteCount: length, alignment: 1) { path in
      var start = length
      func prepend(_ name: FileName) {
        name.withBytes {
          start -= $0.count
          UnsafeMutableRawBufferPointer(rebasing: path[start...]).copyMemory(from: $0)
        }
        start -= 1
        path[start] = UInt8(ascii: "/")
      }
      prepend(name)
      var directory = parent
      while let place = directory.places.first {
        prepend(place.name)
        directory = place.parent
      }
      return body(UnsafeRawBufferPointer(path))
    }
  }
}
