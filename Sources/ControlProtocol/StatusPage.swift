// The status page: memory that a mount writes and its clients read, also while Ruby holds the mount up and
// nothing comes from the socket.
//
// Invariants: what changes on it is words that are written whole; the names behind them are written before
// any client can connect. A client takes none of it for more than text for people, and what it writes there
// can do no more than interrupt a console's line.

import CLinux
import Glibc
package import System

/// What a mount is doing right now, written by it for others to see.
package final class StatusPage {
  private let words: UnsafeMutablePointer<UInt64>

  private init(_ words: UnsafeMutablePointer<UInt64>) { self.words = words }

  deinit { munmap(words, Layout.size) }

  /// Where things are on the page.
  fileprivate enum Layout {
    // Words of 8 bytes.
    /// Counts what goes in and out of Ruby: odd while Ruby runs.
    static let sequence = 0
    /// The operation, the hook and the caller of what runs.
    static let work = 1
    /// Set by a client: the console's line that runs is to be interrupted.
    static let interrupt = 2

    // Bytes.
    static let size = 4096
    /// The hooks' names, by their numbers, each in a slot that it need not fill.
    static let names = 64
    static let slot = 24
    static let slots = (size - names) / slot
  }

  /// Makes the page anew, with the names of the hooks by their numbers. mmap(2).
  ///
  /// Throws one line where that cannot be done.
  package static func make(_ path: String, hooks: [String]) throws(HostError) -> StatusPage {
    unlink(path)
    let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL, 0o600)
    guard descriptor >= 0 else { throw HostError("\(path): \(SystemError(number: errno))") }
    defer { close(descriptor) }
    guard ftruncate(descriptor, off_t(Layout.size)) == 0 else {
      throw HostError("\(path): \(SystemError(number: errno))")
    }
    guard let start = mmap(nil, Layout.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      start != MAP_FAILED
    else { throw HostError("\(path): \(SystemError(number: errno))") }
    let words = Layout.size / MemoryLayout<UInt64>.stride
    let page = StatusPage(start.bindMemory(to: UInt64.self, capacity: words))
    let bytes = UnsafeMutableRawPointer(page.words) + Layout.names
    for (number, name) in hooks.prefix(Layout.slots).enumerated() {
      for (index, byte) in name.utf8.prefix(Layout.slot).enumerated() {
        bytes.storeBytes(of: byte, toByteOffset: number * Layout.slot + index, as: UInt8.self)
      }
    }
    return page
  }

  /// What the mount writes on it.
  package var writer: StatusWriter { StatusWriter(words: words) }
}

/// A status page as clients see it.
///
/// The file is another process's, which may cut it short at any moment: so it is read, and not mapped.
package final class StatusView {
  private let descriptor: Int32

  /// Opens a mount's page. Throws one line where the file cannot be had, or is not that user's.
  package init(_ path: String, owner: UInt32) throws(HostError) {
    descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw HostError("\(path): \(SystemError(number: errno))") }
    var information = stat()
    guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG,
      information.st_uid == owner
    else {
      close(descriptor)
      throw HostError("\(path): not a status page")
    }
  }

  deinit { close(descriptor) }

  /// What is going on.
  package struct Reading: Equatable, Sendable {
    /// Tells one stretch of Ruby from the next.
    package let sequence: UInt64
    /// What runs in Ruby; nil while nothing does.
    package let work: String?
    /// On whose behalf; 0 for the mount's own.
    package let pid: Int32
  }

  /// Reads what is going on; nothing, where the page cannot be read.
  package func read() -> Reading {
    var page = [UInt8](repeating: 0, count: StatusPage.Layout.size)
    guard pread(descriptor, &page, page.count, 0) == page.count else {
      return Reading(sequence: 0, work: nil, pid: 0)
    }
    func word(_ index: Int) -> UInt64 {
      page.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) }
    }
    let sequence = word(StatusPage.Layout.sequence)
    let work = word(StatusPage.Layout.work)
    guard sequence & 1 == 1 else { return Reading(sequence: sequence, work: nil, pid: 0) }
    let operation = Operation(rawValue: Int(work & 0xFF))
    let text: String
    switch operation {
    case .console: text = "a console's line"
    case .script: text = "the script"
    case .background: text = "background work"
    default:
      let hook = StatusView.hook(Int(work >> 8 & 0xFF), page)
      text = "\(hook) (\(operation?.name ?? "an operation"))"
    }
    return Reading(sequence: sequence, work: text, pid: Int32(truncatingIfNeeded: work >> 32))
  }

  private static func hook(_ number: Int, _ page: [UInt8]) -> String {
    guard number < StatusPage.Layout.slots else { return "a hook" }
    let start = StatusPage.Layout.names + number * StatusPage.Layout.slot
    let name = page[start..<start + StatusPage.Layout.slot].prefix { $0 != 0 }
    return name.isEmpty ? "a hook" : Printable.line(name)
  }

  /// Asks that the console's line which runs be interrupted, where Ruby can be.
  package func interrupt() {
    var one: UInt64 = 1
    _ = pwrite(descriptor, &one, 8, off_t(StatusPage.Layout.interrupt * 8))
  }
}

/// What a mount writes on its status page: nothing where it has none. It must not outlive the page.
public struct StatusWriter {
  fileprivate var words: UnsafeMutablePointer<UInt64>?

  /// That of a mount without a page.
  public init() {}
  fileprivate init(words: UnsafeMutablePointer<UInt64>) { self.words = words }

  /// Ruby begins to run.
  @inline(__always)
  public func enter(_ operation: Operation, hook: Int, pid: Int32) {
    guard let words else { return }
    let work =
      UInt64(operation.rawValue) | UInt64(hook) << 8 | UInt64(UInt32(bitPattern: pid)) << 32
    clinux_store(words + StatusPage.Layout.work, work)
    advance(words)
  }

  /// Ruby is back.
  @inline(__always)
  public func leave() {
    if let words { advance(words) }
  }

  @inline(__always)
  private func advance(_ words: UnsafeMutablePointer<UInt64>) {
    clinux_store(words + StatusPage.Layout.sequence, words[StatusPage.Layout.sequence] &+ 1)
  }

  /// The word that says whether the console's line is to be interrupted.
  public var interruptWord: UnsafeMutablePointer<UInt64>? {
    words.map { $0 + StatusPage.Layout.interrupt }
  }

  /// Takes what a client asked for back: before a line runs, and after it.
  public func clearInterrupt() {
    if let words { clinux_store(words + StatusPage.Layout.interrupt, 0) }
  }
}
