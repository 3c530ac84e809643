import Glibc

/// A name in a directory, under which a node is found.
struct Dentry: Equatable {
  // Not counted, as a look-up would be by this alone: a node with children stays in the tree, and an
  // operation pins the directories that it is about.
  unowned(unsafe) let parent: Node
  let name: EntryName
  static func == (a: Dentry, b: Dentry) -> Bool { a.parent === b.parent && a.name == b.name }
}

extension Dentry {
  /// The same with a name that lasts.
  var kept: Dentry { Dentry(parent: parent, name: name.kept) }

  /// The length of the path in bytes; nil where a directory above it was unlinked.
  private var pathLength: Int? {
    var length = name.count + 1
    var directory = parent
    while !directory.isRoot {
      guard let dentry = directory.dentries.first else { return nil }
      length += dentry.name.count + 1
      directory = dentry.parent
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
      func prepend(_ name: EntryName) {
        name.withBytes {
          start -= $0.count
          UnsafeMutableRawBufferPointer(rebasing: path[start...]).copyMemory(from: $0)
        }
        start -= 1
        path[start] = UInt8(ascii: "/")
      }
      prepend(name)
      var directory = parent
      while let dentry = directory.dentries.first {
        prepend(dentry.name)
        directory = dentry.parent
      }
      return body(UnsafeRawBufferPointer(path))
    }
  }
}
