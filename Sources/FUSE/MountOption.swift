/// One option after `-o`: as it was written, and as it reads without its escapes.
struct MountOption {
  /// As it was written, for libfuse to read once more.
  let raw: String
  /// What stands before the equals sign.
  let name: String
  /// What stands behind it; nil where there is none.
  let value: String?

  init(raw: String) {
    self.raw = raw
    let text = MountOption.unescaped(raw)
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    name = parts.first.map(String.init) ?? text
    value = parts.count > 1 ? String(parts[1]) : nil
  }

  init(escaping text: String) {
    var raw = ""
    for character in text.unicodeScalars {
      if character == "," || character == "\\" { raw.unicodeScalars.append("\\") }
      raw.unicodeScalars.append(character)
    }
    self.init(raw: raw)
  }

  /// Splits a list at its commas, save for those behind a backslash; what is empty is left out.
  static func split(_ list: String) -> [MountOption] {
    var pieces: [[UInt8]] = [[]]
    var bytes = list.utf8.makeIterator()
    while let byte = bytes.next() {
      if byte == UInt8(ascii: ",") {
        pieces.append([])
        continue
      }
      pieces[pieces.count - 1].append(byte)
      if byte == UInt8(ascii: "\\"), let next = bytes.next() {
        pieces[pieces.count - 1].append(next)
      }
    }
    return pieces.filter { !$0.isEmpty }.map {
      MountOption(raw: String(decoding: $0, as: UTF8.self))
    }
  }

  /// Takes away the escapes as fuse_opt_parse(3) does: `\` before a byte, or three octal digits.
  private static func unescaped(_ raw: String) -> String {
    var rest = Array(raw.utf8)[...]
    var bytes: [UInt8] = []
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\"), let next = rest.first else {
        bytes.append(byte)
        continue
      }
      let digits = rest.prefix(3).map { Int($0) - Int(UInt8(ascii: "0")) }
      if digits.count == 3, 0...3 ~= digits[0], 0...7 ~= digits[1], 0...7 ~= digits[2] {
        bytes.append(UInt8(digits[0] * 64 + digits[1] * 8 + digits[2]))
        rest = rest.dropFirst(3)
      } else {
        bytes.append(next)
        rest = rest.dropFirst()
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension MountOption {
  func error(_ reason: String) -> MountOptionError {
    MountOptionError(option: value.map { "\(name)=\($0)" } ?? name, reason: reason)
  }

  /// True, where there is no value.
  @discardableResult
  func flag() throws(MountOptionError) -> Bool {
    guard value == nil else { throw error("no value is expected") }
    return true
  }

  func seconds() throws(MountOptionError) -> Double {
    guard let number = value.flatMap(Double.init), number.isFinite, number >= 0 else {
      throw error("a number of seconds, 0 or more, is expected")
    }
    return number
  }

  func number() throws(MountOptionError) -> UInt32 {
    guard let number = value.flatMap({ UInt32($0) }) else {
      throw error("a whole number from 0 to \(UInt32.max) is expected")
    }
    return number
  }

  func identity() throws(MountOptionError) -> UInt32 {
    // The largest number stands for "no change" in chown(2), and is no user at all.
    guard let number = value.flatMap({ UInt32($0) }), number < UInt32.max else {
      throw error("the number of a user or group is expected")
    }
    return number
  }

  func permissions() throws(MountOptionError) -> UInt32 {
    guard let bits = value.flatMap({ UInt32($0, radix: 8) }), bits <= 0o777 else {
      throw error("permission bits in octal, 0 to 777, are expected")
    }
    return bits
  }
}
