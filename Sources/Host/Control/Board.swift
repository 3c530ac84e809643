// The notice board: one page of memory that a mount writes and its clients read, also while Ruby
// holds the mount up and nobody answers at the socket.
//
// Invariants: everything on it is a word that is written and read whole, or text that only says
// something to people; what a client writes there can do no more than interrupt a console's line.

import CLinux
import Glibc
package import System

/// What a mount is doing right now, for others to see.
package final class Board {
  /// The places on the page, in words of 8 bytes.
  fileprivate enum Word {
    /// Counts what goes in and out of Ruby: odd while Ruby runs.
    static let sequence = 0
    /// The operation, the hook and the caller of what runs.
    static let work = 1
    /// Set by a client: the console's line that runs is to be interrupted.
    static let interrupt = 2
    static let count = 8
  }

  private let words: UnsafeMutablePointer<UInt64>

  private init(_ words: UnsafeMutablePointer<UInt64>) { self.words = words }

  deinit { munmap(words, Board.size) }

  private static let size = Word.count * MemoryLayout<UInt64>.stride

  /// Opens the board at a path, made anew with `create`. mmap(2).
  ///
  /// Throws one line where the file cannot be had.
  package static func open(_ path: String, create: Bool) throws(HostError) -> Board {
    if create { Glibc.unlink(path) }
    let flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT | O_EXCL : 0)
    let descriptor = Glibc.open(path, flags, 0o600)
    guard descriptor >= 0 else { throw HostError("\(path): \(SystemError(number: errno))") }
    defer { close(descriptor) }
    // A file that is shorter than the page would be a SIGBUS to whoever looks at it.
    var information = stat()
    guard !create || ftruncate(descriptor, off_t(size)) == 0, fstat(descriptor, &information) == 0,
      information.st_size >= size
    else { throw HostError("\(path): not a notice board") }
    guard let page = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      page != MAP_FAILED
    else { throw HostError("\(path): \(SystemError(number: errno))") }
    return Board(page.bindMemory(to: UInt64.self, capacity: Word.count))
  }

  /// The mount's side.
  var notices: Notices { Notices(words: words) }

  // MARK: The client's side

  /// What is going on.
  package struct Reading: Equatable, Sendable {
    /// Tells one stretch of Ruby from the next.
    package let sequence: UInt64
    /// What runs in Ruby; nil while nothing does.
    package let work: String?
    /// On whose behalf; 0 for the mount's own.
    package let pid: Int32
  }

  package func read() -> Reading {
    let sequence = clinux_load(words + Word.sequence)
    let work = clinux_load(words + Word.work)
    let pid = Int32(truncatingIfNeeded: work >> 32)
    guard sequence & 1 == 1 else { return Reading(sequence: sequence, work: nil, pid: 0) }
    let operation = Operation(rawValue: Int(work & 0xFF))
    let text: String
    switch operation {
    case .console: text = "a console's line"
    case .script: text = "the script"
    case .background: text = "background work"
    default:
      let hook = Hook(rawValue: Int(work >> 8 & 0xFF))
      text = "\(hook?.name ?? "a hook") (\(operation?.name ?? "an operation"))"
    }
    return Reading(sequence: sequence, work: text, pid: pid)
  }

  /// Asks that the console's line which runs be interrupted, where Ruby can be.
  package func interrupt() { clinux_store(words + Word.interrupt, 1) }
}

/// What a mount writes on its board: nothing where it has none. It must not outlive the board.
struct Notices {
  fileprivate var words: UnsafeMutablePointer<UInt64>?

  /// Those of a mount without a board.
  init() {}
  fileprivate init(words: UnsafeMutablePointer<UInt64>) { self.words = words }

  /// Ruby begins to run.
  func enter(_ operation: Operation, _ hook: Hook, pid: Int32) {
    guard let words else { return }
    let work =
      UInt64(operation.rawValue) | UInt64(hook.rawValue) << 8
      | UInt64(UInt32(bitPattern: pid)) << 32
    clinux_store(words + Board.Word.work, work)
    advance(words)
  }

  /// Ruby is back.
  func leave() {
    if let words { advance(words) }
  }

  private func advance(_ words: UnsafeMutablePointer<UInt64>) {
    clinux_store(words + Board.Word.sequence, words[Board.Word.sequence] &+ 1)
  }

  /// The word that says whether the console's line is to be interrupted.
  var interruptWord: UnsafeMutablePointer<UInt64>? { words.map { $0 + Board.Word.interrupt } }

  /// Takes what a client asked for back: before a line runs, and after it.
  func clearInterrupt() {
    if let words { clinux_store(words + Board.Word.interrupt, 0) }
  }
}
