// Watching the files of a script. inotify(7)
//
// Invariant: it is the directories that are watched, not the files. An editor may write a file anew,
// put another in its place by renaming, or delete it and make it again: its name stays what it is.

import Glibc
import System

/// Tells when one of some files has new content.
final class SourceWatch {
  /// Readable when something happened in a directory.
  let descriptor: Int32
  /// The directories that are watched, by inotify's numbers for them.
  private var directories: [Int32: String] = [:]
  private var files: Set<String> = []

  /// Fails with the errno of inotify_init1(2).
  init() throws(SystemError) {
    descriptor = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
    guard descriptor >= 0 else { throw SystemError(number: errno) }
  }

  deinit { close(descriptor) }

  /// Watches these files and no others; answers whether all of their directories are there.
  ///
  /// Where a name is a symbolic link, what it leads to is watched, too.
  func watch(_ names: [String]) -> Bool {
    files = []
    for name in names {
      let path = Path.absolute(name)
      files.insert(path)
      if let target = Path.resolving(path) { files.insert(target) }
    }
    var isComplete = true
    let wanted = Set(files.map(SourceWatch.directory))
    for (number, directory) in directories where !wanted.contains(directory) {
      inotify_rm_watch(descriptor, number)
      directories[number] = nil
    }
    for directory in wanted {
      // Adding one again is how a directory is noticed that was put in the place of another.
      let mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
      let number = inotify_add_watch(descriptor, directory, UInt32(mask))
      if number < 0 { isComplete = false } else { directories[number] = directory }
    }
    return isComplete
  }

  /// Whether one of the files was written or put in its place, or a directory went, since the last
  /// time.
  func takeChanges() -> Bool {
    var changed = false
    withUnsafeTemporaryAllocation(byteCount: 1 << 14, alignment: 8) { buffer in
      guard let base = buffer.baseAddress else { return }
      while case let count = read(descriptor, base, buffer.count), count > 0 {
        var offset = 0
        while offset < count {
          let event = (base + offset).loadUnaligned(as: inotify_event.self)
          let name = base + offset + MemoryLayout<inotify_event>.size
          changed = handle(event, name) || changed
          offset += MemoryLayout<inotify_event>.size + Int(event.len)
        }
      }
    }
    return changed
  }

  private func handle(_ event: inotify_event, _ name: UnsafeMutableRawPointer) -> Bool {
    if event.mask & UInt32(IN_IGNORED) != 0 {
      directories[event.wd] = nil
      return true
    }
    guard event.mask & UInt32(IN_DELETE_SELF | IN_MOVE_SELF | IN_Q_OVERFLOW) == 0 else {
      return true
    }
    guard let directory = directories[event.wd], event.len > 0 else { return false }
    let file = String(cString: name.assumingMemoryBound(to: CChar.self))
    return files.contains(directory == "/" ? "/\(file)" : "\(directory)/\(file)")
  }

  private static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }
}
