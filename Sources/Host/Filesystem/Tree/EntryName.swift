import FUSE
import Glibc

/// A name inside a directory, as bytes: 1 to 255 of anything but NUL and slash.
///
/// One that was just received or listed borrows its bytes, so that looking it up allocates nothing;
/// code that keeps it longer than they last keeps `kept`.
struct EntryName: Hashable {
  private enum Storage {
    case owned([UInt8])
    case borrowed(UnsafeRawBufferPointer)
  }
  private let storage: Storage

  init(_ bytes: [UInt8]) { storage = .owned(bytes) }

  /// Borrows bytes.
  init(borrowing bytes: UnsafeRawBufferPointer) { storage = .borrowed(bytes) }

  /// Borrows a name that the kernel sent, which lasts until its request has been processed.
  init(borrowing name: UnsafePointer<CChar>) {
    storage = .borrowed(UnsafeRawBufferPointer(start: name, count: strlen(name)))
  }

  /// The longest name that a directory can hold, in bytes (NAME_MAX).
  static let longest = 255

  var bytes: [UInt8] {
    switch storage {
    case .owned(let bytes): bytes
    case .borrowed(let bytes): [UInt8](bytes)
    }
  }

  /// The same name with bytes of its own.
  var kept: EntryName {
    switch storage {
    case .owned: self
    case .borrowed(let bytes): EntryName([UInt8](bytes))
    }
  }

  var count: Int {
    switch storage {
    case .owned(let bytes): bytes.count
    case .borrowed(let bytes): bytes.count
    }
  }

  /// Whether a directory can hold it.
  var isValid: Bool { withBytes(DirectoryBuffer.accepts) }

  /// Whether it is "." or "..".
  var isDots: Bool {
    count <= 2 && withBytes { bytes in bytes.allSatisfy { $0 == UInt8(ascii: ".") } }
  }

  /// Lends the bytes.
  func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    switch storage {
    case .owned(let bytes): bytes.withUnsafeBytes(body)
    case .borrowed(let bytes): body(bytes)
    }
  }

  static func == (a: EntryName, b: EntryName) -> Bool {
    a.withBytes { a in
      b.withBytes { b in
        guard a.count == b.count, let first = a.baseAddress, let second = b.baseAddress else {
          return a.count == b.count
        }
        return memcmp(first, second, a.count) == 0
      }
    }
  }

  func hash(into hasher: inout Hasher) {
    withBytes { hasher.combine(bytes: $0) }
    // No name has a NUL: so names one after the other differ from others of the same letters.
    hasher.combine(0 as UInt8)
  }
}
