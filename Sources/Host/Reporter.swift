// Reports: what went wrong in a script, told on standard error so that it teaches.
//
// A report names the hook and the path, shows the script's own lines with the one that failed
// marked, and leaves out the host's own frames. The same error again is counted, not printed again.

import Glibc
import Ruby

/// Tells people of errors in a script.
final class Reporter {
  /// Where reports go; standard error by default.
  var descriptor: Int32 = STDERR_FILENO
  private var counts: [String: Int] = [:]
  private var sources: [String: [Substring]] = [:]

  /// How many different errors are remembered.
  private static let mostRemembered = 256

  /// Reports an exception that a hook raised.
  func report(_ exception: VM.ExceptionDescription, in hook: String, path: String?) {
    let frames = frames(of: exception)
    let origin = frames.first ?? ""
    guard isNews("\(hook) \(exception.className) \(exception.message) \(origin)") else { return }
    var text = head(hook, path) + "\(exception.message) (\(exception.className))\n"
    if let (file, line) = position(origin) { text += excerpt(file, line) }
    write(text + trail(frames[...]))
  }

  /// Reports the exception that ended a script.
  func report(script exception: VM.ExceptionDescription) {
    let frames = frames(of: exception)
    var text = "fusuma: "
    if let origin = frames.first { text += "\(origin): " }
    text += "\(exception.message) (\(exception.className))\n"
    if let (file, line) = frames.first.flatMap(position) { text += excerpt(file, line) }
    write(text + trail(frames.dropFirst()))
  }

  /// Reports an answer that is none; those of one class are one error.
  func report(
    wrongAnswer answer: String, of className: String, expected: String, in hook: String,
    path: String?
  ) {
    guard isNews("\(hook) \(className) \(expected)") else { return }
    write(head(hook, path) + "answered \(answer), but should answer \(expected)\n")
  }

  /// Reports anything else.
  func report(_ message: String, in hook: String, path: String?) {
    guard isNews("\(hook) \(message)") else { return }
    write(head(hook, path) + message + "\n")
  }

  /// Says one line that is no error.
  func say(_ line: String) { write("fusuma: \(line)\n") }

  /// Forgets what was reported and what the sources were: for after a reload.
  func forget() {
    counts = [:]
    sources = [:]
  }

  private func head(_ hook: String, _ path: String?) -> String {
    "fusuma: \(hook)\(path.map { " \($0)" } ?? ""): "
  }

  /// Whether an error is to be printed: the first time, and then at every power of ten, with a count.
  private func isNews(_ key: String) -> Bool {
    if counts.count >= Reporter.mostRemembered, counts[key] == nil { counts = [:] }
    let count = (counts[key] ?? 0) + 1
    counts[key] = count
    if count == 1 { return true }
    var power = 10
    while power < count { power *= 10 }
    if power == count { write("fusuma: the following happened \(count) times by now:\n") }
    return power == count
  }

  /// The script's own frames. Its top level is evaluated by the host, which mruby says of it.
  private func frames(of exception: VM.ExceptionDescription) -> [String] {
    exception.backtrace.filter { !isOurs($0) }.map { frame in
      frame.hasSuffix(":in eval") ? String(frame.dropLast(":in eval".count)) : frame
    }
  }

  /// How many frames are shown: endless recursion has thousands, all alike.
  private static let mostFrames = 12

  private func trail(_ frames: ArraySlice<String>) -> String {
    let shown = frames.prefix(Reporter.mostFrames).map { "    from \($0)\n" }.joined()
    let hidden = frames.count - Reporter.mostFrames
    return hidden > 0 ? shown + "    ... and \(hidden) more\n" : shown
  }

  private func isOurs(_ frame: String) -> Bool {
    frame.hasPrefix("fusuma:") || frame.hasPrefix("(eval)") || frame.isEmpty
      || frame.hasPrefix("(unknown)")
  }

  /// The file and line of "file:line" or "file:line:in method".
  private func position(_ frame: String) -> (file: String, line: Int)? {
    let place = frame.split(separator: ":in ", maxSplits: 1).first ?? ""
    guard let colon = place.lastIndex(of: ":"),
      let line = Int(place[place.index(after: colon)...])
    else { return nil }
    return (String(place[..<colon]), line)
  }

  /// The lines around the one that failed, which is marked.
  private func excerpt(_ file: String, _ line: Int) -> String {
    let lines = source(file)
    guard (1...max(lines.count, 1)).contains(line), line <= lines.count else { return "" }
    let first = max(line - 1, 1)
    let last = min(line + 1, lines.count)
    let width = "\(last)".count
    return (first...last).map { number in
      let padding = String(repeating: " ", count: width - "\(number)".count)
      return "  \(number == line ? ">" : " ") \(padding)\(number) | \(lines[number - 1])\n"
    }.joined()
  }

  private func source(_ file: String) -> [Substring] {
    if let lines = sources[file] { return lines }
    let bytes = (try? SourceFile.read(file)) ?? []
    let lines = String(decoding: bytes, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false)
    sources[file] = lines
    return lines
  }

  /// One write(2) a report, so that reports of several processes do not mix.
  func write(_ text: String) { write(text, to: descriptor) }

  private func write(_ text: String, to descriptor: Int32) {
    write(Array(text.utf8), to: descriptor)
  }

  /// Writes all of it.
  func write(_ bytes: [UInt8], to descriptor: Int32) {
    bytes.withUnsafeBytes { bytes in
      var rest = bytes
      while let base = rest.baseAddress, rest.count > 0 {
        let count = Glibc.write(descriptor, base, rest.count)
        // There is nobody left to tell that telling failed.
        if count < 0 && errno != EINTR { return }
        rest = UnsafeRawBufferPointer(rebasing: rest[max(count, 0)...])
      }
    }
  }
}

/// Reading whole files, for scripts.
package enum SourceFile {
  /// The file's bytes. Throws what open(2) or read(2) answered.
  package static func read(_ path: String) throws(SystemError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError(number: errno) }
    defer { close(descriptor) }
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
      if piece.isEmpty { return content }
      content += piece
    }
  }
}

/// A call of the C library that failed.
package struct SystemError: Error, CustomStringConvertible {
  package let number: Int32
  /// Takes what the call left in errno.
  package init(number: Int32) { self.number = number }
  package var description: String { String(cString: strerror(number)) }
}
