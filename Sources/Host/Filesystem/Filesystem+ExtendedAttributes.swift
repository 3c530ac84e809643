// Extended attributes.

import FUSE
import Glibc
import Ruby
import System

extension Filesystem {
  /// The longest value that Linux allows, in bytes (XATTR_SIZE_MAX); so long may a list be, too.
  private static let longestAttribute = 65536

  func setxattr(
    _ request: consuming Request, node id: NodeID, name: UnsafePointer<CChar>,
    value: UnsafeRawBufferPointer, flags: Int32
  ) {
    let task = begin(.setxattr, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .text(EntryName(borrowing: name).bytes))
    act(task, .setxattr, on: node, [bytes(name), .bytes(value), .integer(flags)])
  }

  func getxattr(
    _ request: consuming Request, node id: NodeID, name: UnsafePointer<CChar>, size: Int
  ) {
    let task = begin(.getxattr, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .text(EntryName(borrowing: name).bytes))
    call(task, .getxattr, on: node, [bytes(name)]) { [self] result throws(Errno) in
      let value = try results.value(of: result)
      if value.isNil { throw Errno(ENODATA) }
      guard let bytes = value.bytes, bytes.count <= Filesystem.longestAttribute else {
        throw results.wrong(result, value)
      }
      try tell(bytes, size, task)
    }
  }

  func listxattr(_ request: consuming Request, node id: NodeID, size: Int) {
    let task = begin(.listxattr, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    call(task, .listxattr, on: node) { [self] result throws(Errno) in
      let value = try results.value(of: result)
      var list: [UInt8] = []
      if !value.isNil {
        guard let names = value.elements else { throw results.wrong(result, value) }
        for name in names {
          guard let bytes = name.bytes, !bytes.isEmpty, !bytes.contains(0) else {
            throw results.wrong(result, value)
          }
          list += bytes + [0]
        }
        guard list.count <= Filesystem.longestAttribute else { throw results.wrong(result, value) }
      }
      try tell(list, size, task)
    }
  }

  /// Replies with a value, or with its size where the caller asked for that.
  private func tell(_ bytes: [UInt8], _ size: Int, _ task: ScriptTask) throws(Errno) {
    if size == 0 {
      reply(task) { $0.attributeSize(bytes.count) }
    } else if bytes.count > size {
      throw Errno(ERANGE)
    } else {
      bytes.withUnsafeBytes { bytes in
        reply(task, result: .success(bytes.count)) { $0.bytes(bytes) }
      }
    }
  }

  func removexattr(
    _ request: consuming Request, node id: NodeID, name: UnsafePointer<CChar>
  ) {
    let task = begin(.removexattr, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .text(EntryName(borrowing: name).bytes))
    act(task, .removexattr, on: node, [bytes(name)])
  }

  private func bytes(_ name: UnsafePointer<CChar>) -> Argument {
    .bytes(UnsafeRawBufferPointer(start: name, count: strlen(name)))
  }
}
