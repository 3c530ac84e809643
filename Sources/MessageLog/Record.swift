// What a log consists of, byte by byte.
//
// A file begins with 12 bytes that say what it is, and a random number, the salt. Records follow, each of
// a header and a payload:
//
//   marker, checksum of the rest of the header, checksum of the payload, length of the payload, kind
//   (five little-endian numbers of 32 bits), id (16 bytes)
//
// Checksums begin with the salt, which is known only to those that may read the file: bytes inside a message
// cannot pass for records, even where the log is damaged just before them.

import Glibc

/// The name of one message, which no other has: in text a random UUID (RFC 9562).
package struct MessageID: Hashable, Sendable {
  let high: UInt64
  let low: UInt64

  /// A new one.
  package static func random() -> MessageID {
    var generator = SystemRandomNumberGenerator()
    let (high, low): (UInt64, UInt64) = (generator.next(), generator.next())
    // What a UUID says of itself: version 4, variant 1.
    return MessageID(
      high: high & ~0xF000 | 0x4000, low: low & ~(3 << 62) | 2 << 62)
  }

  init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Reads what `text` writes; nil where it is something else.
  package init?(_ text: String) {
    let digits = text.filter { $0 != "-" }
    guard digits.utf8.count == 32, text.utf8.count == 36,
      let high = UInt64(digits.prefix(16), radix: 16),
      let low = UInt64(digits.suffix(16), radix: 16)
    else { return nil }
    self.init(high: high, low: low)
  }

  /// "01234567-89ab-4def-8123-456789abcdef".
  package var text: String {
    var text = ""
    for (index, byte) in bytes.enumerated() {
      if [4, 6, 8, 10].contains(index) { text += "-" }
      text += byte < 16 ? "0" : ""
      text += String(byte, radix: 16)
    }
    return text
  }

  var bytes: [UInt8] {
    [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } }
  }
}

/// What a record says.
struct Record {
  enum Kind: UInt32 {
    /// A message; a second one of that id: the message was given back.
    case bytes = 1
    case json = 2
    /// The message of that id needs no more attempts: it was delivered, or has become a dead letter.
    case delivered = 3
    case dead = 4
    /// Of a dead letter: why it is one.
    case reason = 5
    /// How many messages were delivered before what the log still tells of, in eight bytes.
    case count = 6
  }

  var kind: Kind
  var id: MessageID
  var payload: [UInt8] = []

  static let headerSize = 36
  /// Nothing larger is taken, so that no length has to be believed beyond it.
  static let largestPayload = 1 << 30
  static let marker: UInt32 = 0xA50C_0BF5

  var size: Int64 { Int64(Record.headerSize + payload.count) }

  /// Appends the record as it stands in a file with that salt.
  func encode(salt: UInt32, into bytes: inout [UInt8]) {
    var header = ByteWriter()
    header.put(payload.withUnsafeBytes { Checksum.of($0, from: salt) })
    header.put(UInt32(payload.count))
    header.put(kind.rawValue)
    header.bytes += id.bytes
    var start = ByteWriter()
    start.put(Record.marker)
    start.put(header.bytes.withUnsafeBytes { Checksum.of($0, from: salt) })
    bytes += start.bytes
    bytes += header.bytes
    bytes += payload
  }

  /// What a header says, before its payload has been looked at.
  struct Header {
    var kind: Kind
    var id: MessageID
    var length: Int
    var checksum: UInt32

    var total: Int64 { Int64(Record.headerSize + length) }

    /// nil where the bytes are no whole header of a file with that salt.
    init?(_ bytes: UnsafeRawBufferPointer, salt: UInt32) {
      guard bytes.count == Record.headerSize else { return nil }
      func number(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      }
      func word(_ offset: Int) -> UInt64 {
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      }
      let rest = UnsafeRawBufferPointer(rebasing: bytes[8...])
      guard number(0) == Record.marker, number(4) == Checksum.of(rest, from: salt),
        let kind = Kind(rawValue: number(16)), number(12) <= Record.largestPayload
      else { return nil }
      self.kind = kind
      checksum = number(8)
      length = Int(number(12))
      id = MessageID(high: word(20), low: word(28))
    }
  }
}

/// Little-endian numbers, one after the other.
struct ByteWriter {
  var bytes: [UInt8] = []

  mutating func put(_ number: some FixedWidthInteger) {
    withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
  }
}

/// CRC-32, as zlib has it.
enum Checksum {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 0 ? sum >> 1 : sum >> 1 ^ 0xEDB8_8320 }
  }

  /// The checksum of some bytes behind others, whose checksum is `sum`.
  static func of(_ bytes: UnsafeRawBufferPointer, from sum: UInt32) -> UInt32 {
    table.withUnsafeBufferPointer { table in
      ~bytes.reduce(~sum) { sum, byte in table[Int((sum ^ UInt32(byte)) & 0xFF)] ^ sum >> 8 }
    }
  }
}
