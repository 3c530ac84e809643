// Stat-likes: what on_getattr answers, and what is said where it leaves something out.

import FUSE
import Glibc
import Ruby

/// The members of a stat-like, in the order in which they are read.
enum StatMember: Int, CaseIterable {
  case mode, nlink, size, uid, gid, ino, rdev, blocks, blksize, atime, mtime, ctime
  var name: String { "st_\(self)" }
}

/// What a stat-like said; nil is what it left out.
struct StatLike {
  var mode: UInt32 = 0
  var nlink: UInt32?
  var size: Int64?
  var uid: UInt32?
  var gid: UInt32?
  var ino: UInt64?
  var rdev: UInt64?
  var blocks: Int64?
  var blksize: Int32?
  var atime: Timestamp?
  var mtime: Timestamp?
  var ctime: Timestamp?

  var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
  var isRegular: Bool { mode & S_IFMT == S_IFREG }
}

/// A member that is no such thing.
private struct BadMember: Error {
  let member: StatMember
  let value: Value
  let expected: String
}

extension Host {
  /// The stat-like that `on_getattr` answered; nil where the file does not exist.
  func statLike(of answer: Answer) throws(Errno) -> StatLike? {
    let value = try value(of: answer)
    return value.isNil ? nil : try statLike(value, answer)
  }

  /// Reads one stat-like, which is (part of) `answer`.
  func statLike(_ value: Value, _ answer: Answer) throws(Errno) -> StatLike {
    switch value.kind {
    case .hash, .other: break
    default: throw wrong(answer, value, AnswerKind.attributes.expectation)
    }
    var stat = StatLike()
    var hasMode = false
    var bad: BadMember?
    let raised = vm.members(of: value, names: statMembers) { index, value in
      guard bad == nil, let member = StatMember(rawValue: index), !value.isNil else { return }
      if member == .mode { hasMode = true }
      do throws(BadMember) { try read(member, value, into: &stat) } catch { bad = error }
    }
    if let raised { throw errno(of: raised, in: answer.hook.name, node: answer.node) }
    if let bad {
      throw wrong(
        answer, bad.value, "\(bad.member.name) to be \(bad.expected) in what it answers")
    }
    guard hasMode, stat.mode & S_IFMT != 0 else {
      throw wrong(
        answer, value, "st_mode with a type")
    }
    return stat
  }

  private func read(
    _ member: StatMember, _ value: Value, into stat: inout StatLike
  ) throws(BadMember) {
    func number<N: FixedWidthInteger>(_ type: N.Type) throws(BadMember) -> N {
      guard let integer = value.integer, let number = N(exactly: integer) else {
        throw BadMember(
          member: member, value: value, expected: "an Integer from \(max(N.min, 0)) to \(N.max)")
      }
      return number
    }
    func natural() throws(BadMember) -> Int64 {
      let number = try number(Int64.self)
      guard number >= 0 else {
        throw BadMember(member: member, value: value, expected: "an Integer from 0 on")
      }
      return number
    }
    switch member {
    case .mode: stat.mode = try number(UInt32.self)
    case .nlink: stat.nlink = try number(UInt32.self)
    case .size: stat.size = try natural()
    // -1 is "none" in many a script: the same as leaving it out.
    case .uid: stat.uid = value.integer == -1 ? nil : try number(UInt32.self)
    case .gid: stat.gid = value.integer == -1 ? nil : try number(UInt32.self)
    case .ino: stat.ino = try number(UInt64.self)
    case .rdev: stat.rdev = try number(UInt64.self)
    case .blocks: stat.blocks = try natural()
    case .blksize: stat.blksize = try number(Int32.self)
    case .atime: stat.atime = try time(member, value)
    case .mtime: stat.mtime = try time(member, value)
    case .ctime: stat.ctime = try time(member, value)
    }
  }

  private func time(_ member: StatMember, _ value: Value) throws(BadMember) -> Timestamp {
    guard let time = timestamp(value) else {
      throw BadMember(
        member: member, value: value,
        expected: "a Time, an Integer or Float of seconds, a Rational, or [seconds, nanoseconds]")
    }
    return time
  }

  /// The moment that a value stands for: an Integer, Float or Rational of seconds since 1970, a Time,
  /// or an Array of seconds and nanoseconds; nil for anything else.
  func timestamp(_ value: Value) -> Timestamp? {
    let billion = 1_000_000_000
    switch value.kind {
    case .integer:
      return value.integer.map { Timestamp(seconds: Int64($0)) }
    case .float:
      guard let seconds = value.double, seconds.isFinite, abs(seconds) < 1e15 else { return nil }
      let whole = seconds.rounded(.down)
      let rest = min(Int32((seconds - whole) * Double(billion)), Int32(billion - 1))
      return Timestamp(seconds: Int64(whole), nanoseconds: rest)
    case .array:
      guard value.count == 2, let seconds = value[0].integer, let rest = value[1].integer,
        (0..<billion).contains(rest)
      else { return nil }
      return Timestamp(seconds: Int64(seconds), nanoseconds: Int32(rest))
    case .other:
      func ask(_ method: String) -> Int? {
        vm.accepts(value, vm.name(method)) == nil ? nil : (try? vm.send(value, method))?.integer
      }
      if let numerator = ask("numerator"), let denominator = ask("denominator"), denominator > 0 {
        // Floor division, so that a moment before 1970 has nanoseconds from 0 on, too.
        var (whole, rest) = numerator.quotientAndRemainder(dividingBy: denominator)
        if rest < 0 {
          whole -= 1
          rest += denominator
        }
        let (high, low) = rest.multipliedFullWidth(by: billion)
        guard high < denominator else { return nil }
        let nanoseconds = denominator.dividingFullWidth((high, low)).quotient
        return Timestamp(seconds: Int64(whole), nanoseconds: Int32(nanoseconds))
      }
      guard let microseconds = ask("usec"), let seconds = ask("to_i") else { return nil }
      return Timestamp(
        seconds: Int64(seconds),
        nanoseconds: Int32(clamping: microseconds.clamped(to: 0..<1_000_000) * 1000))
    default: return nil
    }
  }

  /// The attributes that the kernel is told: what the script said, and good defaults for the rest.
  func attributes(from stat: StatLike, of node: Node) -> Attributes {
    var attributes = Attributes()
    attributes.ino = stat.ino.flatMap { $0 == 0 ? nil : $0 } ?? node.id
    attributes.mode = stat.mode & ~options.reportedUmask
    attributes.nlink =
      node.isLinked
      ? stat.nlink ?? (stat.isDirectory ? 2 : UInt32(clamping: max(node.places.count, 1))) : 0
    attributes.uid = options.uid ?? stat.uid ?? mounter.uid
    attributes.gid = options.gid ?? stat.gid ?? mounter.gid
    attributes.rdev = stat.rdev ?? 0
    let size = node.draft.map { Int64($0.content.count) } ?? stat.size
    // Also while a draft has a size: who opens the file next finds it handed over.
    node.hasUnknownSize = stat.isRegular && stat.size == nil
    attributes.size = size ?? node.measuredSize ?? 0
    attributes.blocks = stat.blocks ?? (attributes.size + 511) / 512
    if let blksize = stat.blksize, blksize > 0 { attributes.blksize = blksize }
    let mtime = stat.mtime ?? node.modified ?? started
    attributes.mtime = mtime
    attributes.atime = stat.atime ?? node.accessed ?? mtime
    attributes.ctime = stat.ctime ?? mtime
    node.attributes = attributes
    return attributes
  }
}

extension Comparable where Self: Strideable, Stride: SignedInteger {
  fileprivate func clamped(to range: Range<Self>) -> Self {
    min(max(self, range.lowerBound), range.upperBound.advanced(by: -1))
  }
}
