// Lines that people type, with editing, history and completion, by libedit.
//
// Invariant: the editor that libedit's callbacks lead to lives as long as libedit's own.

import CEdit
import Glibc

/// Reads lines from a terminal.
package final class LineEditor {
  /// What came of asking for a line.
  package enum Line: Equatable {
    case text(String)
    /// Ctrl-C: the line is given up.
    case interrupted
    /// Ctrl-D, or the end of the input.
    case ended
  }

  /// What the last word of a text could become: whole words that begin as it does.
  package var complete: (String) -> [String] = { _ in [] }

  private let edit: OpaquePointer
  private let past: OpaquePointer
  private let historyPath: String?
  private var prompt: UnsafeMutablePointer<CChar>?
  private var isInterrupted = false

  /// Takes over the terminal that is standard input.
  ///
  /// Lines are kept in a file between two runs where a path is given. nil where there is no memory.
  /// el_init(3).
  package init?(name: String, historyPath: String? = nil) {
    setlocale(LC_CTYPE, "")
    guard let past = history_init() else { return nil }
    guard let edit = cedit_open(name) else {
      history_end(past)
      return nil
    }
    self.edit = edit
    self.past = past
    self.historyPath = historyPath
    cedit_set_client(edit, Unmanaged.passUnretained(self).toOpaque())
    cedit_set_prompt(edit) { edit in LineEditor.of(edit)?.prompt ?? LineEditor.noPrompt }
    cedit_use_emacs_keys(edit)
    _ = cedit_history_size(past, LineEditor.mostRemembered)
    cedit_set_history(edit, past)
    cedit_bind_tab(edit) { edit, _ in LineEditor.of(edit)?.completeWord() ?? LineEditor.error }
    cedit_bind_interrupt(edit) { edit, _ in
      LineEditor.of(edit)?.isInterrupted = true
      return UInt8(CC_NEWLINE)
    }
    if let historyPath { _ = cedit_history_load(past, historyPath) }
  }

  deinit {
    el_end(edit)
    history_end(past)
    free(prompt)
  }

  private static let mostRemembered: Int32 = 1000
  private static let error = UInt8(CC_ERROR)
  // Unsafe for the compiler only: it is made once and never changed.
  private nonisolated(unsafe) static let noPrompt: UnsafeMutablePointer<CChar> = {
    let empty = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
    empty.pointee = 0
    return empty
  }()

  private static func of(_ edit: OpaquePointer?) -> LineEditor? {
    guard let edit, let data = cedit_client(edit) else { return nil }
    return Unmanaged<LineEditor>.fromOpaque(data).takeUnretainedValue()
  }

  /// Asks for a line, without its end.
  package func read(prompt text: String) -> Line {
    free(prompt)
    prompt = strdup(text)
    isInterrupted = false
    var count: Int32 = 0
    cedit_prepare(edit)
    let line = el_gets(edit, &count)
    if isInterrupted {
      el_reset(edit)
      Terminal.write("^C\n")
      return .interrupted
    }
    guard let line, count > 0 else { return .ended }
    var typed = String(cString: line)
    if typed.hasSuffix("\n") { typed.removeLast() }
    return .text(typed)
  }

  /// Remembers what was typed; several lines are one entry.
  package func remember(_ text: String) {
    guard !text.allSatisfy(\.isWhitespace) else { return }
    _ = cedit_history_enter(past, text)
    if let historyPath { _ = cedit_history_save(past, historyPath) }
  }

  // MARK: Completion

  private func completeWord() -> UInt8 {
    guard let info = el_line(edit)?.pointee, let start = info.buffer, let cursor = info.cursor
    else {
      return LineEditor.error
    }
    let bytes = UnsafeRawBufferPointer(start: start, count: cursor - start)
    let text = String(decoding: bytes, as: UTF8.self)
    let words = complete(text)
    guard let common = words.reduce(words.first, { $0?.commonPrefix(with: $1) }),
      !common.isEmpty
    else { return UInt8(CC_REFRESH_BEEP) }
    let typed = common.lengthOfPrefix(endingIn: text)
    if typed < common.count {
      el_insertstr(edit, String(common.dropFirst(typed)))
      return UInt8(CC_REFRESH)
    }
    if words.count > 1 {
      Terminal.write("\n" + LineEditor.columns(words, width: Terminal.width) + "\n")
      return UInt8(CC_REDISPLAY)
    }
    return UInt8(CC_NORM)
  }

  /// How many of a list of words are shown.
  private static let mostShown = 200

  private static func columns(_ words: [String], width: Int) -> String {
    let shown = words.prefix(mostShown)
    let cell = (shown.map(\.count).max() ?? 0) + 2
    let perRow = max(width / cell, 1)
    var lines: [String] = []
    for start in stride(from: 0, to: shown.count, by: perRow) {
      let row = shown[start..<min(start + perRow, shown.count)]
      lines.append(
        row.map { $0 + String(repeating: " ", count: cell - $0.count) }.joined())
    }
    if words.count > shown.count { lines.append("and \(words.count - shown.count) more") }
    return lines.joined(separator: "\n")
  }
}

extension String {
  fileprivate func commonPrefix(with other: String) -> String {
    String(zip(self, other).prefix { $0 == $1 }.map(\.0))
  }

  /// How much of this word's beginning a text ends with.
  fileprivate func lengthOfPrefix(endingIn text: String) -> Int {
    (0...count).last { text.hasSuffix(prefix($0)) } ?? 0
  }
}
