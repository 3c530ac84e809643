import ControlProtocol
import FUSE
import Glibc
import System

/// Text as it is put together: bytes in memory of its own, one piece behind the other.
///
/// Under load that is done a hundred thousand times a second, so room is asked for once, by `reserve`, and
/// the pieces do not look again whether there is any. Its owner frees it; while a line is made, a copy
/// in a local variable is faster than a member of a class.
struct TraceText {
  private(set) var start: UnsafeMutablePointer<UInt8>
  private var end: UnsafeMutablePointer<UInt8>
  private var limit: UnsafeMutablePointer<UInt8>

  /// The most that a detail takes that is no text.
  static let longestDetail = 128

  init(capacity: Int) {
    start = .allocate(capacity: capacity)
    end = start
    limit = start + capacity
  }

  func free() { start.deallocate() }

  var count: Int { end - start }
  var capacity: Int { limit - start }
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

  mutating func removeAll() { end = start }

  /// Takes over what a copy of this was given.
  mutating func grow(to copy: TraceText) { end = copy.end }

  /// Whether so many bytes more go in.
  func hasRoom(for more: Int) -> Bool { more <= limit - end }

  /// Makes room for so many bytes more.
  mutating func reserve(_ more: Int) {
    guard !hasRoom(for: more) else { return }
    var larger = TraceText(capacity: max(2 * capacity, count + more))
    larger.append(bytes)
    free()
    self = larger
  }

  // MARK: Pieces, for which there is room

  @inline(__always)
  mutating func append(_ byte: Unicode.Scalar) { append(UInt8(truncatingIfNeeded: byte.value)) }

  @inline(__always)
  mutating func append(_ byte: UInt8) {
    assert(hasRoom(for: 1))
    end.pointee = byte
    end += 1
  }

  @inline(__always)
  mutating func append(_ more: UnsafeRawBufferPointer) {
    assert(hasRoom(for: more.count))
    guard let base = more.baseAddress else { return }
    UnsafeMutableRawPointer(end).copyMemory(from: base, byteCount: more.count)
    end += more.count
  }

  mutating func append(_ more: [UInt8]) { more.withUnsafeBytes { append($0) } }

  /// Appends a text that stands in the source.
  @inline(__always)
  mutating func append(literal: StaticString) {
    append(UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
  }

  /// Appends a short text; it takes the room of the longest.
  @inline(__always)
  mutating func append(_ text: ShortText) {
    assert(hasRoom(for: ShortText.longest))
    UnsafeMutableRawPointer(end).storeBytes(of: text.bytes, as: SIMD16<UInt8>.self)
    end += text.count
  }

  /// Appends a number in decimal.
  @inline(__always)
  mutating func append(number: UInt64) {
    if number < 10 {
      append(UInt8(truncatingIfNeeded: 0x30 + number))
    } else {
      append(large: number)
    }
  }

  private mutating func append(large number: UInt64) {
    var digits = 2
    var rest = number / 100
    while rest > 0 {
      digits += 1
      rest /= 10
    }
    append(number: number, digits: digits)
  }

  @inline(__always)
  mutating func append(number: Int) {
    if number < 0 { append("-") }
    append(number: UInt64(number.magnitude))
  }

  /// Appends the last digits of a number, in decimal or to another base.
  @inline(__always)
  mutating func append(number: UInt64, digits: Int, base: UInt64 = 10) {
    assert(hasRoom(for: digits))
    let first = end
    end += digits
    var rest = number
    var place = end
    while place > first {
      place -= 1
      place.pointee = UInt8(truncatingIfNeeded: 0x30 + rest % base)
      rest /= base
    }
  }

  /// Appends a number as C writes it in octal.
  mutating func append(octal number: UInt64) {
    append("0")
    let digits = (64 - number.leadingZeroBitCount + 2) / 3
    append(number: number, digits: max(digits, 1), base: 8)
  }

  // MARK: Bytes from elsewhere

  /// How many bytes a byte of a path becomes at most: of what is no UTF-8 three, of others that
  /// are escaped six.
  static let longestEscape = 6

  /// Appends bytes as `Printable.line` shows them.
  mutating func append(printable more: UnsafeRawBufferPointer) {
    if Printable.isPlain(more) { append(more) } else { append(Array(Printable.line(more).utf8)) }
  }

  /// Appends bytes as a JSON string; what is not UTF-8 is replaced.
  mutating func append(quoted more: UnsafeRawBufferPointer) {
    let isPlain = more.allSatisfy {
      $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
    }
    guard isPlain else {
      var text: [UInt8] = []
      JSON.write(String(decoding: more, as: UTF8.self).utf8, to: &text)
      return append(text)
    }
    append("\"")
    append(more)
    append("\"")
  }
}

/// A text of at most 16 bytes, which is appended in one go.
struct ShortText {
  fileprivate let bytes: SIMD16<UInt8>
  let count: Int

  static let longest = 16

  /// Takes a text, and fills it up with spaces to so many columns.
  init(_ text: String, columns: Int = 0) {
    var bytes = SIMD16<UInt8>(repeating: UInt8(ascii: " "))
    let short = text.utf8.prefix(ShortText.longest)
    for (index, byte) in short.enumerated() { bytes[index] = byte }
    self.bytes = bytes
    count = min(max(short.count, columns), ShortText.longest)
  }
}

extension TraceText {
  /// Appends what there is to say of an operation's arguments.
  mutating func append(_ detail: TraceRecord.Detail) {
    switch detail {
    case .none: break
    case .number(let number): append(number: number)
    case .octal(let number): append(octal: UInt64(number))
    case .range(let size, let offset):
      append(number: size)
      append("@")
      append(number: Int(offset))
    case .text(let bytes): append(bytes)
    case .flags(let flags): append(flags: flags)
    case .changes(let changes): append(changes)
    }
  }

  /// "O_WRONLY|O_APPEND"; flags that say little, such as O_CLOEXEC, are left out.
  private mutating func append(flags: Int32) {
    switch flags & O_ACCMODE {
    case O_RDONLY: append(literal: "O_RDONLY")
    case O_WRONLY: append(literal: "O_WRONLY")
    case O_RDWR: append(literal: "O_RDWR")
    default: append(number: Int(flags))
    }
    if flags & O_APPEND != 0 { append(literal: "|O_APPEND") }
    if flags & O_CREAT != 0 { append(literal: "|O_CREAT") }
    if flags & O_EXCL != 0 { append(literal: "|O_EXCL") }
    if flags & O_TRUNC != 0 { append(literal: "|O_TRUNC") }
    if flags & O_NONBLOCK != 0 { append(literal: "|O_NONBLOCK") }
    // It is two bits, of which one alone is O_DSYNC.
    if flags & O_SYNC == O_SYNC { append(literal: "|O_SYNC") }
  }

  /// "size=3,mode=0644".
  private mutating func append(_ changes: AttributeChanges) {
    let start = count
    func separate(_ text: inout TraceText) { if text.count > start { text.append(",") } }
    if let size = changes.size {
      append(literal: "size=")
      append(number: Int(size))
    }
    if let mode = changes.mode {
      separate(&self)
      append(literal: "mode=")
      append(octal: UInt64(mode & 0o7777))
    }
    if let uid = changes.uid {
      separate(&self)
      append(literal: "uid=")
      append(number: UInt64(uid))
    }
    if let gid = changes.gid {
      separate(&self)
      append(literal: "gid=")
      append(number: UInt64(gid))
    }
    if changes.accessTime != nil {
      separate(&self)
      append(literal: "atime")
    }
    if changes.modificationTime != nil {
      separate(&self)
      append(literal: "mtime")
    }
  }
}
