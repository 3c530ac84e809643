// Results that stand for a structure of C.

import FUSE
import Glibc
import Ruby
import System

extension HookResults {
  /// What on_statfs returned: an object or Hash with the members of struct statvfs. Left out, they are
  /// 0, the block size 4096 and the longest name 255 bytes.
  func statistics(of result: HookResult) throws(Errno) -> FilesystemStatistics {
    let value = try value(of: result)
    var statistics = FilesystemStatistics()
    if value.isNil { return statistics }
    guard value.kind == .hash || value.kind == .other else { throw wrong(result, value) }
    let members: Members
    do throws(RubyException) { members = try vm.members(of: value, names: statfsMembers) } catch {
      throw errno(of: error, in: result.hook.name, node: result.node)
    }
    func read(_ index: Int, _ store: (UInt64) -> Void) throws(Errno) {
      guard let member = members[index] else { return }
      guard let number = member.integer.flatMap({ UInt64(exactly: $0) }) else {
        throw wrong(result, member, "every f_ member to be an Integer from 0 on")
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
  static let statfsNames = [
    "f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_namemax",
  ]

  /// A lock as [type, start, length, pid].
  func lock(_ value: Value, _ result: HookResult) throws(Errno) -> FileLock {
    let numbers = (value.elements ?? []).map { $0.integer }
    guard let type = numbers.first ?? nil, let type = Int32(exactly: type) else {
      throw wrong(result, value)
    }
    func number(_ index: Int) -> Int { index < numbers.count ? numbers[index] ?? 0 : 0 }
    let kind: FileLock.Kind
    switch type {
    case F_RDLCK: kind = .read
    case F_WRLCK: kind = .write
    case F_UNLCK: kind = .none
    default: throw wrong(result, value)
    }
    guard number(1) >= 0, number(2) >= 0 else { throw wrong(result, value) }
    return FileLock(
      kind, start: Int64(number(1)), length: Int64(number(2)), pid: Int32(clamping: number(3)))
  }
}
