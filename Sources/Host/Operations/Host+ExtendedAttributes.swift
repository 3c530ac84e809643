// Extended attributes, and the statistics of the filesystem.

package import FUSE
import Glibc
import Ruby
import System

extension Host {
  /// The longest value that Linux allows, in bytes (XATTR_SIZE_MAX); so long may a list be, too.
  private static let longestAttribute = 65536

  package func setxattr(
    _ request: consuming Request, node id: NodeID, name: UnsafePointer<CChar>,
    value: UnsafeRawBufferPointer, flags: Int32
  ) {
    let turn = begin(.setxattr, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node, .text(FileName(borrowing: name).bytes))
    act(turn, .setxattr, on: node, [bytes(name), .bytes(value), .integer(flags)])
  }

  package func getxattr(
    _ request: consuming Request, node id: NodeID, name: UnsafePointer<CChar>, size: Int
  ) {
    let turn = begin(.getxattr, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node, .text(FileName(borrowing: name).bytes))
    call(turn, .getxattr, on: node, [bytes(name)]) { [self] answer throws(Errno) in
      let value = try value(of: answer)
      if value.isNil { throw Errno(ENODATA) }
      guard let bytes = value.bytes, bytes.count <= Host.longestAttribute else {
        throw wrong(answer, value)
      }
      try tell(bytes, size, turn)
    }
  }

  package func listxattr(_ request: consuming Request, node id: NodeID, size: Int) {
    let turn = begin(.listxattr, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node)
    call(turn, .listxattr, on: node) { [self] answer throws(Errno) in
      let value = try value(of: answer)
      var list: [UInt8] = []
      if !value.isNil {
        guard let names = value.elements else { throw wrong(answer, value) }
        for name in names {
          guard let bytes = name.bytes, !bytes.isEmpty, !bytes.contains(0) else {
            throw wrong(answer, value)
          }
          list += bytes + [0]
        }
        guard list.count <= Host.longestAttribute else { throw wrong(answer, value) }
      }
      try tell(list, size, turn)
    }
  }

  /// Answers with a value, or with its size where the caller asked for that.
  private func tell(_ bytes: [UInt8], _ size: Int, _ turn: Turn) throws(Errno) {
    if size == 0 {
      answer(turn) { $0.attributeSize(bytes.count) }
    } else if bytes.count > size {
      throw Errno(ERANGE)
    } else {
      bytes.withUnsafeBytes { bytes in
        answer(turn, result: .success(bytes.count)) { $0.bytes(bytes) }
      }
    }
  }

  package func removexattr(
    _ request: consuming Request, node id: NodeID, name: UnsafePointer<CChar>
  ) {
    let turn = begin(.removexattr, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node, .text(FileName(borrowing: name).bytes))
    act(turn, .removexattr, on: node, [bytes(name)])
  }

  private func bytes(_ name: UnsafePointer<CChar>) -> Argument {
    .bytes(UnsafeRawBufferPointer(start: name, count: strlen(name)))
  }

  /// What on_statfs answers: an object or Hash with the members of struct statvfs. Left out, they are
  /// 0, the block size 4096 and the longest name 255 bytes.
  func statistics(of answer: Answer) throws(Errno) -> FilesystemStatistics {
    let value = try value(of: answer)
    var statistics = FilesystemStatistics()
    if value.isNil { return statistics }
    guard value.kind == .hash || value.kind == .other else { throw wrong(answer, value) }
    let members: Members
    do throws(RubyException) { members = try vm.members(of: value, names: statfsMembers) } catch {
      throw errno(of: error, in: answer.hook.name, node: answer.node)
    }
    func read(_ index: Int, _ store: (UInt64) -> Void) throws(Errno) {
      guard let member = members[index] else { return }
      guard let number = member.integer.flatMap({ UInt64(exactly: $0) }) else {
        throw wrong(answer, member, "every f_ member to be an Integer from 0 on")
      }
      store(number)
    }
    try read(0) { statistics.blockSize = UInt($0) }
    try read(1) { statistics.fragmentSize = UInt($0) }
    try read(2) { statistics.blocks = $0 }
    try read(3) {
      statistics.freeBlocks = $0
      statistics.availableBlocks = $0
    }
    try read(4) { statistics.availableBlocks = $0 }
    try read(5) { statistics.files = $0 }
    try read(6) { statistics.freeFiles = $0 }
    try read(7) { statistics.maximumNameLength = UInt(min($0, 255)) }
    return statistics
  }

  /// The members of a statvfs-like, in the order in which `statistics` reads them.
  static let statfsMemberNames = [
    "f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_namemax",
  ]
}
