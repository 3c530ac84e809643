// Invariant: whatever a text holds, it ends as a tape or as a fault. simdjson checks grammar, depth,
// numbers and bytes; what it refuses is read once more, by `JSONGrammar`, to say where.

import CSimdjson

/// Why a text cannot be read.
package enum JSONFault: Error, Equatable {
  /// Arrays and objects are nested deeper than is allowed.
  case tooDeep
  /// There is not enough memory for it.
  case noMemory
  /// It is no JSON, with what is wrong, and where.
  case refused(String)
}

/// Reads JSON texts, one after the other, into a tape. simdjson.
///
/// @unchecked: it belongs to one thread at a time, which lets go of it when it hands it on.
package final class JSONParser: @unchecked Sendable {
  /// How deep a text may be nested where no bound is given.
  package static let deepest = 100_000

  private let parser: OpaquePointer
  /// The text, with room behind it.
  private var text: UnsafeMutableRawBufferPointer
  private var count = 0

  /// Makes a parser; throws `.noMemory`.
  package init() throws(JSONFault) {
    guard let parser = cjson_parser_make() else { throw .noMemory }
    self.parser = parser
    text = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  }

  deinit {
    cjson_parser_free(parser)
    text.deallocate()
  }

  /// Makes room for a text of so many bytes, to be taken piece by piece.
  package func makeRoom(for count: Int) {
    self.count = count
    let padding = Int(CJSON_PADDING)
    if text.count < count + padding {
      text.deallocate()
      text = .allocate(byteCount: count + padding, alignment: 64)
    }
    text[count..<(count + padding)].initializeMemory(as: UInt8.self, repeating: 0x20)
  }

  /// Takes a copy of a piece of the text.
  package func take(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    UnsafeMutableRawBufferPointer(rebasing: text[offset...]).copyMemory(from: bytes)
  }

  /// Reads the text that was taken.
  ///
  /// Arrays and objects may be nested `maximumDepth` deep, but for an innermost empty one; 0 is
  /// `deepest`. An Integer of more than 64 bits is read as a number with a fraction.
  package func parse(maximumDepth: Int = 0) throws(JSONFault) {
    let bound = maximumDepth > 0 ? min(maximumDepth, Self.deepest) : Self.deepest
    // No text is deeper than it is long, and room is made for as many.
    let depth = bound > 1000 ? max(min(bound, count), 1000) : bound
    do throws(JSONFault) {
      try read(depth)
    } catch .refused(let message) {
      let whole = UnsafeRawBufferPointer(rebasing: text[..<count])
      if let fault = JSONGrammar.fault(in: whole, maximumDepth: bound) { throw fault }
      guard let widened = JSONGrammar.widened(whole) else { throw .refused(message) }
      makeRoom(for: widened.count)
      widened.withUnsafeBytes { take($0, at: 0) }
      try read(depth)
    }
  }

  private func read(_ depth: Int) throws(JSONFault) {
    guard let start = text.baseAddress?.assumingMemoryBound(to: CChar.self) else {
      throw .refused("there is no text")
    }
    switch cjson_parse(parser, start, count, depth) {
    case CJSON_FINE: return
    case CJSON_TOO_DEEP: throw .tooDeep
    case CJSON_NO_MEMORY: throw .noMemory
    default: throw .refused(String(cString: cjson_error(parser)))
    }
  }

  /// What a text consists of, in simdjson's words: good until the next text is taken.
  package struct Tape {
    package let words: UnsafeBufferPointer<UInt64>
    package let strings: UnsafePointer<CChar>

    /// The string that a word stands for.
    package func string(at place: Int) -> String {
      let start = UnsafeRawPointer(strings) + Int(words[place] & 0x00FF_FFFF_FFFF_FFFF)
      let count = Int(start.loadUnaligned(as: UInt32.self))
      return String(decoding: UnsafeRawBufferPointer(start: start + 4, count: count), as: UTF8.self)
    }
  }

  /// The tape of the text that was read.
  package var tape: Tape? {
    var count = 0
    guard let words = cjson_tape(parser, &count), let strings = cjson_strings(parser) else {
      return nil
    }
    return Tape(words: UnsafeBufferPointer(start: words, count: count), strings: strings)
  }
}
