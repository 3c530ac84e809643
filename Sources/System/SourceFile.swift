// Files that are read and written as a whole.

import Glibc

/// Reading whole files, for scripts.
package enum SourceFile {
  /// What some editors begin a file of UTF-8 with; mruby takes it for the script's first letters.
  private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  /// A source without its byte order mark.
  package static func withoutMark(_ source: [UInt8]) -> [UInt8] {
    source.starts(with: byteOrderMark) ? Array(source.dropFirst(byteOrderMark.count)) : source
  }

  /// The file's bytes, without a byte order mark. Throws what open(2) or read(2) failed with.
  package static func read(_ path: String) throws(SystemError) -> [UInt8] {
    try read(RawText.cString(path))
  }

  /// The same for a name as a C string, which may be any bytes.
  package static func read(_ path: [CChar]) throws(SystemError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError(number: errno) }
    defer { close(descriptor) }
    return try content(of: descriptor)
  }

  /// Reads a file that was read before: what can be read only once, such as a pipe, is not waited for.
  ///
  /// Throws ESPIPE where it is no regular file.
  package static func readAgain(_ path: String) throws(SystemError) -> [UInt8] {
    let descriptor = open(RawText.cString(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw SystemError(number: errno) }
    defer { close(descriptor) }
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw SystemError(number: errno) }
    guard information.st_mode & S_IFMT == S_IFREG else { throw SystemError(number: ESPIPE) }
    return try content(of: descriptor)
  }

  private static func content(of descriptor: Int32) throws(SystemError) -> [UInt8] {
    var content: [UInt8] = []
    while true {
      var number: Int32 = 0
      let piece = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
        var got = 0
        repeat {
          got = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        } while got < 0 && errno == EINTR
        number = got < 0 ? errno : 0
        count = max(got, 0)
      }
      if number != 0 { throw SystemError(number: number) }
      if piece.isEmpty { return withoutMark(content) }
      content += piece
    }
  }
}

extension SourceFile {
  /// Makes a file with that content. Throws EEXIST where there is one already. open(2), write(2)
  package static func write(_ text: String, toNew path: String) throws(SystemError) {
    let descriptor = open(RawText.cString(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw SystemError(number: errno) }
    defer { close(descriptor) }
    let number = writeAll(Array(text.utf8), to: descriptor)
    if number != 0 { throw SystemError(number: number) }
  }
}
