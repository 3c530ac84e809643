/// What kind of thing a hook is to return.
package enum ResultKind: Sendable {
  case act, attributes, bytes, names, handle, count, statistics
  case attributeValue, attributeNames, lock, offset, ioctl, events

  /// Says what a good result is, for the report of a bad one.
  package var expectation: String {
    switch self {
    case .act: "anything but a negative number that is no errno"
    case .attributes:
      "something with st_mode (and st_size, st_nlink, ...), or nil for no such file"
    case .bytes: "a String, or [String, size]"
    case .names: "an Array of names or of [name, stat] pairs, or a Hash of them"
    case .handle: "0 for success, nil for no such file, or any other object as a handle"
    case .count:
      "how many bytes were taken, at most as many as there were, or anything else for all"
    case .statistics: "something with f_blocks, f_bfree, f_files, ..."
    case .attributeValue: "a String of at most 65536 bytes, or nil for no such attribute"
    case .attributeNames: "an Array of names"
    case .lock:
      "0 or nil, or for F_GETLK the lock that stands in the way, as [type, start, length, pid]"
    case .offset: "an Integer from 0 on"
    case .ioctl: "an Integer, a String, or [Integer, String]"
    case .events: "an Integer of POLL bits, or nil for none"
    }
  }

  /// A good result, as a script would write it.
  package var example: String {
    switch self {
    case .act: "-Errno::EACCES::Errno (or: raise Errno::EACCES)"
    case .attributes: "FUSE::Stat.new(FUSE::S_IFREG | 0644, 1, 12)"
    case .bytes: "\"hello\\n\""
    case .names: "[\"hello\"]"
    case .handle: "File.open(@path)"
    case .count: "data.size"
    case .statistics: "{ f_blocks: 1000, f_bfree: 500 }"
    case .attributeValue: "\"text/plain\""
    case .attributeNames: "[\"user.comment\"]"
    case .lock: "[FUSE::F_WRLCK, 0, 0, 1234]"
    case .offset: "4096"
    case .ioctl: "[0, \"done\"]"
    case .events: "FUSE::POLLIN"
    }
  }
}
