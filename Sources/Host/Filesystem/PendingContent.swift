// What was written through one open file and has not been handed over to on_write_all.
//
// It is kept as changes, not as a content: at the hand-over they are applied to what there is then, so that
// programs which write at the same time do not undo one another, and holes cost nothing.
//
// Invariant: no size or offset is trusted; callers check `size(of:)` against the limit before they write.

/// Changes to a content, in their order.
struct PendingContent {
  /// Consecutive changes at places of their own, or at the end.
  private enum Layer {
    case patches(Patches)
    case appended([UInt8])
  }
  private var layers: [Layer] = []
  /// Something was written, and not only cut off.
  private(set) var isWritten = false

  /// Whether there are none.
  var isEmpty: Bool { layers.isEmpty }

  /// Whether they make the same of any content: the first thing was to cut it off.
  var replacesAll: Bool {
    if case .patches(let patches) = layers.first { patches.kept == 0 } else { false }
  }

  /// What was appended, where that is all that was done.
  var onlyAppended: [UInt8]? {
    if layers.count == 1, case .appended(let bytes) = layers[0] { bytes } else { nil }
  }

  /// Writes bytes at an offset, or at the end where there is none.
  mutating func write(_ data: UnsafeRawBufferPointer, at offset: Int?) {
    isWritten = true
    guard let offset else {
      if case .appended(var bytes) = layers.last {
        // Taken out while it grows, so that it is not copied.
        layers.removeLast()
        bytes.append(contentsOf: data)
        layers.append(.appended(bytes))
      } else {
        layers.append(.appended([UInt8](data)))
      }
      return
    }
    patch { $0.write(data, at: offset) }
  }

  /// Cuts the content off, or lets it end with zeros, so that it has that size.
  mutating func truncate(to size: Int) {
    if size == 0 { layers = [] }
    patch { $0.truncate(to: size) }
  }

  private mutating func patch(_ body: (inout Patches) -> Void) {
    var patches = Patches()
    if case .patches(let last) = layers.last {
      layers.removeLast()
      patches = last
    }
    body(&patches)
    layers.append(.patches(patches))
  }

  /// How large a content of that size becomes.
  func size(of base: Int) -> Int {
    layers.reduce(base) { size, layer in
      switch layer {
      case .patches(let patches): patches.size(of: size)
      case .appended(let bytes): size + bytes.count
      }
    }
  }

  /// What a content becomes.
  func applied(to base: [UInt8]) -> [UInt8] {
    var content = base
    for layer in layers {
      switch layer {
      case .patches(let patches): patches.apply(to: &content)
      case .appended(let bytes): content += bytes
      }
    }
    return content
  }
}

/// Bytes at places, and where the content is cut off.
private struct Patches {
  /// How much of what was there before stays.
  private(set) var kept = Int.max
  /// The size that was set, and what was written behind it; nil where none was.
  private var length: Int?
  private var end = 0
  private var pages: [Int: Page] = [:]

  private static let pageSize = 4096

  /// A page of bytes, and which of them were written; nil for all.
  private struct Page {
    var bytes: [UInt8]
    var written: [Bool]?

    mutating func write(_ data: UnsafeRawBufferPointer, at start: Int) {
      bytes.replaceSubrange(start..<start + data.count, with: data)
      written?.replaceSubrange(
        start..<start + data.count, with: repeatElement(true, count: data.count))
    }

    mutating func clear(from start: Int) {
      let range = start..<bytes.count
      bytes.replaceSubrange(range, with: repeatElement(0, count: range.count))
      if written == nil { written = [Bool](repeating: true, count: bytes.count) }
      written?.replaceSubrange(range, with: repeatElement(false, count: range.count))
    }

    func copy(to content: inout [UInt8], at offset: Int) {
      for index in 0..<min(bytes.count, content.count - offset) where written?[index] ?? true {
        content[offset + index] = bytes[index]
      }
    }
  }

  mutating func write(_ data: UnsafeRawBufferPointer, at offset: Int) {
    var rest = data
    var place = offset
    while !rest.isEmpty {
      let (number, start) = place.quotientAndRemainder(dividingBy: Patches.pageSize)
      let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Patches.pageSize - start))
      if piece.count == Patches.pageSize {
        pages[number] = Page(bytes: [UInt8](piece), written: nil)
      } else {
        pages[
          number,
          default: Page(
            bytes: [UInt8](repeating: 0, count: Patches.pageSize),
            written: [Bool](repeating: false, count: Patches.pageSize))
        ].write(piece, at: start)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[piece.count...])
      place += piece.count
    }
    end = max(end, place)
    if let length { self.length = max(length, place) }
  }

  mutating func truncate(to size: Int) {
    kept = min(kept, size)
    if size < end {
      let last = size / Patches.pageSize
      pages = pages.filter { $0.key <= last }
      // What is written behind it later begins with zeros, not with what was there.
      pages[last]?.clear(from: size % Patches.pageSize)
    }
    end = min(end, size)
    length = size
  }

  func size(of base: Int) -> Int { length ?? max(base, end) }

  func apply(to content: inout [UInt8]) {
    let size = size(of: content.count)
    if content.count > kept { content.removeLast(content.count - kept) }
    if content.count > size { content.removeLast(content.count - size) }
    content.append(contentsOf: repeatElement(0, count: size - content.count))
    for (number, page) in pages { page.copy(to: &content, at: number * Patches.pageSize) }
  }
}
