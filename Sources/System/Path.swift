// Names of files, as whole paths from the root on.

import CLinux
import Glibc

/// Makes paths absolute. They may be any bytes; see `RawText`.
package enum Path {
  /// The path from the root on, with its symbolic links as they are. getcwd(3).
  package static func absolute(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    guard let current = getcwd(nil, 0) else { return path }
    defer { free(current) }
    return join(RawText.text(of: current), path)
  }

  /// The absolute path with no symbolic link in it; nil, with the reason in errno, where there is no
  /// such file. realpath(3).
  package static func resolving(_ path: String) -> String? {
    guard let resolved = realpath(RawText.cString(path), nil) else { return nil }
    defer { free(resolved) }
    return RawText.text(of: resolved)
  }

  /// The absolute path with no symbolic link above its last name, which is not looked at: it may belong to
  /// a file system that does not reply. nil where what is above cannot be resolved.
  package static func resolvingParent(of given: String) -> String? {
    var path = given
    while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
    let slash = path.lastIndex(of: "/")
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    // A name like these is no entry of its directory.
    if name.isEmpty || name == "." || name == ".." { return resolving(path) }
    return resolving(slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? ".")
      .map { join($0, name) }
  }

  /// A name in a directory.
  package static func join(_ directory: String, _ name: String) -> String {
    directory.hasSuffix("/") ? directory + name : "\(directory)/\(name)"
  }
}
