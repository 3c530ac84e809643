// Stat-likes: what on_getattr returns, and what is said where it leaves something out.

import FUSE
import Glibc
import Ruby
import System

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

extension HookResults {
  /// The stat-like that `on_getattr` returned; nil where the file does not exist.
  func statLike(of result: HookResult) throws(Errno) -> StatLike? {
    let value = try value(of: result)
    return value.isNil ? nil : try statLike(value, result)
  }

  /// Reads one stat-like, which is (part of) `result`.
  func statLike(_ value: Value, _ result: HookResult) throws(Errno) -> StatLike {
    switch value.kind {
    case .hash, .other: break
    default: throw wrong(result, value, ResultKind.attributes.expectation)
    }
    let members: Members
    do throws(RubyException) { members = try vm.members(of: value, names: statMembers) } catch {
      throw errno(of: error, in: result.hook.name, node: result.node)
    }
    var stat = StatLike()
    do throws(BadMember) { try read(members, into: &stat) } catch {
      throw wrong(
        result, error.value, "\(error.member.name) to be \(error.expected) in what it returns")
    }
    guard stat.mode & S_IFMT != 0 else { throw wrong(result, value, "st_mode with a type") }
    return stat
  }

  private func read(_ members: Members, into stat: inout StatLike) throws(BadMember) {
    @inline(__always)
    func number<N: FixedWidthInteger>(
      _ member: StatMember, _ least: N = .min, orNone: Int? = nil
    ) throws(BadMember) -> N? {
      guard let value = members[member.rawValue] else { return nil }
      let integer = value.integer
      if let integer, let number = N(exactly: integer), number >= least { return number }
      if let orNone, integer == orNone { return nil }
      throw BadMember(
        member: member, value: value,
        expected: "an Integer from \(max(least, 0)) \(N.max == Int64.max ? "on" : "to \(N.max)")")
    }
    stat.mode = try number(.mode) ?? 0
    stat.nlink = try number(.nlink)
    stat.size = try number(.size, 0)
    // Most say no more than that.
    guard members.goOn(after: StatMember.size.rawValue) else { return }
    // -1 is "none" in many a script: the same as leaving it out.
    stat.uid = try number(.uid, orNone: -1)
    stat.gid = try number(.gid, orNone: -1)
    stat.ino = try number(.ino)
    stat.rdev = try number(.rdev)
    stat.blocks = try number(.blocks, 0)
    stat.blksize = try number(.blksize)
    stat.atime = try time(.atime, members)
    stat.mtime = try time(.mtime, members)
    stat.ctime = try time(.ctime, members)
  }

  private func time(
    _ member: StatMember, _ members: Members
  ) throws(BadMember) -> Timestamp? {
    guard let value = members[member.rawValue] else { return nil }
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
}

extension Comparable where Self: Strideable, Stride: SignedInteger {
  fileprivate func clamped(to range: Range<Self>) -> Self {
    min(max(self, range.lowerBound), range.upperBound.advanced(by: -1))
  }
}
