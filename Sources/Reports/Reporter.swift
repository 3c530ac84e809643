// Reports: what went wrong in a script, told on standard error so that it teaches.
//
// A report names the hook and the path, shows the script's own lines with the one that failed
// marked, and leaves out the host's own frames. The same error again is counted, not printed again:
// how often it came is told once it has been quiet for a while, and at the end. What a terminal would obey
// is spelled out, wherever it came from.

import Glibc
package import Ruby
import System

/// Tells people of errors in a script.
package final class Reporter {
  /// Called with a number of seconds after which `tellRepetitions` is to be called.
  package var later: (Double) -> Void = { _ in }
  private var repetitions = Repetitions()
  private var excerpts = Excerpts()

  package init() {}

  private var ink: Ink { Ink(for: STDERR_FILENO) }

  /// Reports an exception that a hook raised. `hint` is only asked when it is the first of its kind.
  package func report(
    _ exception: VM.ExceptionDescription, in hook: String, path: String?,
    hint: () -> String? = { nil }
  ) {
    let frames = frames(of: exception)
    let place = frames.first.flatMap(Place.init)
    // Raised at the same place for another file or another reason, it is the same error.
    let key = "\(hook) \(exception.className) \(frames.first ?? exception.message)"
    let line = head(hook, path) + "\(exception.message) (\(exception.className))"
    guard isNews(key, line) else { return }
    write(
      title(line) + advice(hint()) + (place.map { excerpts.around($0, ink) } ?? "")
        + Backtrace.text(of: frames))
  }

  /// Reports the exception that ended a script.
  package func report(script exception: VM.ExceptionDescription, hint: String? = nil) {
    let frames = frames(of: exception)
    let place = frames.first.flatMap(Place.init)
    let origin = frames.first.map { "\($0): " } ?? ""
    write(
      title("\(origin)\(exception.message) (\(exception.className))") + advice(hint)
        + (place.map { excerpts.around($0, ink) } ?? "") + Backtrace.text(of: frames.dropFirst()))
  }

  /// Reports source that does not parse.
  package func report(_ error: VM.SyntaxError) {
    let place = Place(file: error.file, line: error.line, column: error.column)
    write(title(error.description) + excerpts.around(place, ink))
  }

  /// Reports a hook result of a wrong kind, with the place where the hook is defined; those of one class are
  /// one error.
  package func report(
    wrongAnswer answer: String, of className: String, expected: String, in hook: String,
    path: String?, definition: () -> Place?
  ) {
    let line = head(hook, path) + "answered \(answer), but should answer \(expected)"
    guard isNews("\(hook) \(className) \(expected)", line) else { return }
    write(title(line) + (definition().map { excerpts.around($0, ink) } ?? ""))
  }

  /// Reports anything else.
  package func report(_ message: String, in hook: String, path: String?) {
    let line = head(hook, path) + message
    guard isNews("\(hook) \(message)", line) else { return }
    write(title(line))
  }

  /// Says one line that is no error.
  package func say(_ line: String) {
    write("\(ink.paint("fusuma:", .bold)) \(Printable.line(line))\n")
  }

  /// Says how often the errors came again that were reported once.
  package func tellRepetitions() {
    for line in repetitions.take() { say(line) }
    if let seconds = repetitions.due { later(seconds) }
  }

  /// Takes down what the sources are that run, because a file may change before it is reported on;
  /// what was reported of other ones is forgotten.
  ///
  /// Returns whether any of them is another than those of before.
  @discardableResult
  package func remember(_ files: [String]) -> Bool {
    let before = excerpts
    for line in repetitions.take() { say(line) }
    repetitions = Repetitions()
    excerpts = Excerpts()
    for file in files { excerpts.remember(file) }
    return !excerpts.isSame(as: before)
  }

  /// Reports on files as they are now, not as they were when they were remembered.
  package func reportingOnNewSources(_ body: () -> Void) {
    let remembered = excerpts
    excerpts = Excerpts()
    body()
    excerpts = remembered
  }

  private func isNews(_ key: String, _ line: String) -> Bool {
    let wasCounting = repetitions.isCounting
    let isNews = repetitions.isFirst(key, line)
    if repetitions.isCounting && !wasCounting { later(Repetitions.firstInterval) }
    return isNews
  }

  // MARK: Parts of a report

  private func head(_ hook: String, _ path: String?) -> String {
    "\(hook)\(path.map { " \($0)" } ?? ""): "
  }

  private func title(_ line: String) -> String {
    "\(ink.paint("fusuma:", .boldRed)) \(ink.paint(Printable.line(line), .bold))\n"
  }

  private func advice(_ hint: String?) -> String { hint.map { "  \(Printable.line($0))\n" } ?? "" }

  /// The script's own frames. Its top level is evaluated by the host, which mruby says of it.
  private func frames(of exception: VM.ExceptionDescription) -> [String] {
    exception.backtrace.filter { !isOurs($0) }.map { frame in
      frame.hasSuffix(":in eval") ? String(frame.dropLast(":in eval".count)) : frame
    }
  }

  private func isOurs(_ frame: String) -> Bool {
    frame.hasPrefix("fusuma:") || frame.hasPrefix("(eval)") || frame.isEmpty
      || frame.hasPrefix("(unknown)")
  }

  // MARK: Writing

  /// A report that standard error does not take at once is lost: the mount never waits for a reader.
  private func write(_ text: String) { LineWriter.standardError.write(text) }
}
