import CSimdjson

/// What writing JSON needs to know of texts and numbers, as C functions.
package enum JSONText {
  /// Whether bytes are UTF-8. simdjson.
  package static let isUTF8: @convention(c) (UnsafePointer<CChar>?, Int) -> Bool = {
    cjson_is_utf8($0, $1)
  }

  /// Writes the shortest text that mruby reads as the same finite number, in at most 40 bytes; returns in
  /// how many.
  package static let writeNumber: @convention(c) (Double, UnsafeMutablePointer<CChar>) -> Int = {
    cjson_write_number($0, $1)
  }
}
