// Watching the files of a script. inotify(7)
//
// Invariant: it is the directories that are watched, not the files. An editor may write a file anew,
// put another in its place by renaming, or delete it and make it again: its name stays what it is. So does
// the name of a symbolic link on the way to it, which may be made to lead elsewhere.

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

  /// Watches these files and no others; returns whether all of their directories are there.
  ///
  /// Where a symbolic link is on the way to a file, the link is watched, too. What is no regular file is
  /// not: a pipe can be read only once.
  func watch(_ names: [String]) -> Bool {
    files = []
    for name in names { files.formUnion(SourceWatch.trail(of: Path.absolute(name))) }
    var isComplete = true
    let wanted = Set(files.map(SourceWatch.directory))
    for (number, directory) in directories where !wanted.contains(directory) {
      inotify_rm_watch(descriptor, number)
      directories[number] = nil
    }
    for directory in wanted {
      // Adding one again is how a directory is noticed that was put in the place of another.
      let mask =
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
      let number = inotify_add_watch(descriptor, RawText.cString(directory), UInt32(mask))
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
    let file = Path.join(
      directory, RawText.text(of: name.assumingMemoryBound(to: CChar.self)))
    guard files.contains(file) else { return false }
    return event.mask & UInt32(IN_CREATE) == 0 || SourceWatch.isWhole(file)
  }

  /// Whether a name that was just made leads to a content: a new file is still to be written, ln(1) makes a
  /// name for one that was.
  private static func isWhole(_ path: String) -> Bool {
    var information = stat()
    guard lstat(RawText.cString(path), &information) == 0 else { return false }
    return information.st_mode & S_IFMT == S_IFLNK || information.st_nlink > 1
  }

  /// The names on which it depends what a path leads to: those of the symbolic links on the way, and of the
  /// file itself, each in a directory that is no link.
  private static func trail(of path: String) -> [String] {
    var information = stat()
    if stat(RawText.cString(path), &information) == 0, information.st_mode & S_IFMT != S_IFREG {
      return []
    }
    var names: [String] = []
    var directory = "/"
    var left = Array(path.split(separator: "/").map(String.init).reversed())
    var links = 0
    while let name = left.popLast() {
      if name == "." { continue }
      if name == ".." {
        directory = SourceWatch.directory(of: directory)
        continue
      }
      let next = Path.join(directory, name)
      guard lstat(RawText.cString(next), &information) == 0 else {
        // Not there by now, or what is above it is not.
        return names + [next, path]
      }
      guard information.st_mode & S_IFMT == S_IFLNK else {
        if left.isEmpty { names.append(next) }
        directory = next
        continue
      }
      names.append(next)
      links += 1
      guard links <= mostLinks, let target = SourceWatch.target(of: next) else { break }
      if target.hasPrefix("/") { directory = "/" }
      left += target.split(separator: "/").map(String.init).reversed()
    }
    return names
  }

  /// As many links as the kernel follows. path_resolution(7)
  private static let mostLinks = 40

  private static func target(of link: String) -> String? {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(RawText.cString(link), &bytes, bytes.count)
    guard count > 0 else { return nil }
    return RawText.text(of: bytes.prefix(count).map { UInt8(bitPattern: $0) })
  }

  private static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }
}
