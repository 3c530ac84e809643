// The prompt: lines that are typed here, and run in the mount.

import ControlProtocol
import Glibc
import Reports
import System
import Terminal

/// A console on a live mount.
struct Prompt {
  let client: ControlClient
  private let editor: LineEditor?

  /// How long an answer to Ctrl-C may take before it is said why there is none, in seconds.
  private static let patience = 1.0

  init(_ client: ControlClient) {
    self.client = client
    editor =
      Terminal.isInteractive
      ? LineEditor(name: "fusuma", historyPath: Prompt.historyPath()) : nil
    editor?.complete = { text in
      client.send(["do": "complete", "text": .string(text)])
      while case .line(let line) = client.receive(within: Prompt.patience) {
        if let words = JSON(parsing: line)?["completions"]?.array {
          return words.compactMap(\.string).filter { Printable.line($0) == $0 }
        }
      }
      return []
    }
  }

  /// Where lines are remembered; nil where there is no place for that.
  private static func historyPath() -> String? {
    func variable(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }.flatMap { $0.hasPrefix("/") ? $0 : nil }
    }
    guard let state = variable("XDG_STATE_HOME") ?? variable("HOME").map({ $0 + "/.local/state" })
    else { return nil }
    let directory = state + "/fusuma"
    for (index, character) in directory.enumerated() where character == "/" && index > 0 {
      mkdir(String(directory.prefix(index)), 0o700)
    }
    mkdir(directory, 0o700)
    return directory + "/history"
  }

  /// How a console ended.
  enum Ending {
    /// Who sat there left.
    case left
    /// The mount is gone.
    case unmounted
    /// What was piped in ended in the middle of something.
    case cutShort
  }

  /// Reads and evaluates until somebody has enough.
  func run() -> Ending {
    var source = ""
    while true {
      let line: String
      switch read(isContinued: !source.isEmpty) {
      case .ended:
        if editor == nil, !source.isEmpty {
          say("the input ends in the middle of this, which was not run: \(source)")
          return .cutShort
        }
        return .left
      case .interrupted:
        source = ""
        continue
      case .text(let text): line = text
      }
      source += source.isEmpty ? line : "\n" + line
      if source.allSatisfy(\.isWhitespace) {
        source = ""
        continue
      }
      client.send(["do": "evaluate", "source": .string(source)])
      switch waitForAnswer() {
      case .again: continue
      case .done: break
      case .ended(let ending): return ending
      }
      editor?.remember(source)
      source = ""
    }
  }

  private func read(isContinued: Bool) -> LineEditor.Line {
    if let editor { return editor.read(prompt: isContinued ? "   ...> " : "fusuma> ") }
    guard let line = readLine() else { return .ended }
    return .text(line)
  }

  // MARK: Answers

  private enum Step {
    /// The line is not complete yet.
    case again
    case done
    case ended(Ending)
  }

  private func waitForAnswer() -> Step {
    var patience = Double.infinity
    while true {
      switch client.receive(within: patience) {
      case .closed:
        say("the filesystem was unmounted")
        return .ended(.unmounted)
      case .interrupted:
        client.send(["do": "interrupt"])
        client.status.interrupt()
        patience = Prompt.patience
      case .silence:
        say(
          "the mount is held up by \(client.holder()), and running Ruby cannot be interrupted by mruby "
            + "before it calls something of the host's")
        patience = .infinity
      case .line(let line):
        if let step = show(JSON(parsing: line) ?? .null) { return step }
      }
    }
  }

  /// Shows a message; nil where more is to come.
  private func show(_ message: JSON) -> Step? {
    if let output = message["output"]?.string {
      // A pipe or a file gets the bytes that were printed.
      Terminal.write(Terminal.isOutput ? Printable.lines(output) : output)
      return nil
    }
    if let lost = message["lost"]?.integer {
      say("\(lost) lines of output were lost")
      return nil
    }
    if message["incomplete"] != nil { return .again }
    if message["exit"] != nil { return .ended(.left) }
    if let value = message["value"]?.string {
      Terminal.write(Terminal.paint("=> ", .cyan) + Printable.lines(value) + "\n")
    } else if let error = message["error"]?.string {
      let frames = (message["frames"]?.array ?? []).map { $0.string ?? "" }
      Terminal.write(
        Terminal.paint(Printable.lines(error), .red) + "\n" + Backtrace.text(of: frames))
    }
    return .done
  }

  private func say(_ line: String) {
    Terminal.write("fusuma: \(Printable.line(line))\n", to: STDERR_FILENO)
  }
}
