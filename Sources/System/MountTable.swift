/// The mounts that this process sees. proc_pid_mountinfo(5).
package enum MountTable {
  package struct Mount: Sendable {
    /// The device number, "0:57": no other live mount has it.
    package var device: String
    package var point: String
    package var type: String
    package var source: String
    /// user_id of a FUSE mount: the user who mounted it.
    package var userID: UInt32?
  }

  /// The topmost mount at a path.
  package static func last(at path: String) -> Mount? { all().last { $0.point == path } }

  package static func all() -> [Mount] {
    guard let bytes = try? SourceFile.read("/proc/self/mountinfo") else { return [] }
    return RawText.text(of: bytes).split(separator: "\n").compactMap { line in
      let halves = line.split(separator: " ").map(String.init)
      guard let dash = halves.firstIndex(of: "-"), halves.count > dash + 3, dash > 4 else {
        return nil
      }
      let user = halves[dash + 3].split(separator: ",").first { $0.hasPrefix("user_id=") }
      return Mount(
        device: halves[2], point: unescape(halves[4]), type: halves[dash + 1],
        source: unescape(halves[dash + 2]),
        userID: user.flatMap { UInt32($0.dropFirst("user_id=".count)) })
    }
  }

  /// The kernel writes space, tab, newline and backslash as three octal digits.
  private static func unescape(_ text: String) -> String {
    var bytes: [UInt8] = []
    var rest = RawText.bytes(of: text)[...]
    while let first = rest.first {
      if first == UInt8(ascii: "\\"), rest.count >= 4,
        let code = UInt8(String(decoding: rest.dropFirst().prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(code)
        rest = rest.dropFirst(4)
      } else {
        bytes.append(first)
        rest = rest.dropFirst()
      }
    }
    return RawText.text(of: bytes)
  }
}
