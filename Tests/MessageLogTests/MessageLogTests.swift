import Glibc
import Synchronization
import System
import Testing

@testable import MessageLog

/// The log on disk: what it holds after whatever has happened to its file.
@Suite struct MessageLogTests {
  private let folder: String
  private var path: String { folder + "/log" }

  init() throws {
    var template = Array("/tmp/fusuma-log.XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Does something on this thread.
  private func perform(
    _ log: MessageLog, _ operation: MessageLog.Operation
  ) -> MessageLog.Result {
    let result = Mutex<MessageLog.Result?>(nil)
    log.perform(operation, mayStartThreads: false) { new in result.withLock { $0 = new } }
    return result.withLock { $0 } ?? .failed(LogFailure("nothing came", EIO))
  }

  private func put(_ log: MessageLog, _ text: String, limit: Int = .max) -> Int32 {
    let result = perform(log, .put(Array(text.utf8), isJSON: false, limit: limit))
    if case .failed(let failure) = result { return failure.errno }
    return 0
  }

  private func next(_ log: MessageLog) -> MessageLog.Message? {
    if case .next(.message(let message)) = perform(log, .next) { return message }
    return nil
  }

  /// Delivers all that waits.
  private func drain(_ log: MessageLog) -> [String] {
    var texts: [String] = []
    while let message = next(log) {
      texts.append(String(decoding: message.bytes, as: UTF8.self))
      _ = perform(log, .delivered(message.id))
    }
    return texts
  }

  private func write(_ bytes: [UInt8], at offset: Int) {
    let descriptor = open(path, O_WRONLY)
    _ = pwrite(descriptor, bytes, bytes.count, offset)
    close(descriptor)
  }

  private func size(_ name: String = "log") -> Int {
    var status = stat()
    return lstat(folder + "/" + name, &status) == 0 ? Int(status.st_size) : -1
  }

  @Test func whatIsPutIsThereAfterwardsInOrder() {
    do {
      let log = MessageLog(path: path)
      for text in ["a", "b", "c"] { #expect(put(log, text) == 0) }
      guard let first = next(log) else { return #expect(Bool(false)) }
      _ = perform(log, .delivered(first.id))
      // Twice is once.
      _ = perform(log, .delivered(first.id))
    }
    let log = MessageLog(path: path)
    #expect(drain(log) == ["b", "c"])
    #expect(log.status == MessageLog.Status(waiting: 0, delivered: 3, dead: 0))
  }

  @Test func aTornTailIsCutAndNothingElse() {
    for keep in [1, 20, 37] {
      do {
        let log = MessageLog(path: path)
        #expect(put(log, "whole") == 0)
        #expect(put(log, "torn\(keep)") == 0)
      }
      let whole = RecordFile.headerSize + Record.headerSize + 5
      truncate(path, off_t(whole + keep))
      let log = MessageLog(path: path)
      #expect(put(log, "next") == 0)
      #expect(drain(log) == ["whole", "next"])
      unlink(path)
    }
  }

  @Test func damageInTheMiddleCostsNoOtherMessage() {
    do {
      let log = MessageLog(path: path)
      for text in ["first", "second", "third"] { #expect(put(log, text) == 0) }
    }
    write([0, 0, 0], at: RecordFile.headerSize + Record.headerSize + 5 + 10)
    let log = MessageLog(path: path)
    #expect(drain(log) == ["first", "third"])
    #expect(log.takeNotes().count == 1)
    #expect(size("log.damaged") == Record.headerSize + 6)
  }

  @Test func aMessageCannotPassForRecords() throws {
    do {
      let log = MessageLog(path: path)
      #expect(put(log, "x") == 0)
      // A record as another file would have it.
      var forged: [UInt8] = []
      Record(kind: .bytes, id: .random(), payload: [1]).encode(salt: 0, into: &forged)
      _ = perform(log, .put(forged, isJSON: false, limit: .max))
      #expect(put(log, "y") == 0)
    }
    write([0], at: RecordFile.headerSize + Record.headerSize + 1 + 9)
    #expect(drain(MessageLog(path: path)) == ["x", "y"])
  }

  @Test func twoThatHaveItOpenDoNotUndoEachOther() {
    let (one, two) = (MessageLog(path: path), MessageLog(path: path))
    #expect(put(one, "a") == 0 && put(two, "b") == 0 && put(one, "c") == 0)
    #expect(next(one)?.bytes == Array("a".utf8))
    // It is one that delivers.
    guard case .next(.elsewhere) = perform(two, .next) else { return #expect(Bool(false)) }
    // Enough for a shorter file to be written, while the other one has the old file.
    let large = String(repeating: "x", count: 100_000)
    for _ in 0..<8 { #expect(put(one, large) == 0) }
    #expect(drain(one).count == 11)
    #expect(size() < 400_000)
    #expect(put(two, "d") == 0)
    _ = perform(one, .release)
    #expect(drain(two) == ["d"])
    #expect(two.status.delivered == 12)
  }

  @Test func aFileThatIsRemovedIsWrittenAgain() {
    let log = MessageLog(path: path)
    #expect(put(log, "a") == 0)
    unlink(path)
    #expect(put(log, "b") == 0)
    #expect(drain(MessageLog(path: path)) == ["a", "b"])
  }

  @Test func deadLettersCanBeGivenBack() {
    let log = MessageLog(path: path)
    for text in ["a", "b"] { #expect(put(log, text) == 0) }
    guard let first = next(log) else { return #expect(Bool(false)) }
    _ = perform(log, .bury(first.id, reason: Array("no".utf8)))
    #expect(log.status == MessageLog.Status(waiting: 1, delivered: 0, dead: 1))
    let again = MessageLog(path: path)
    guard case .letters(let letters) = perform(again, .letters) else {
      return #expect(Bool(false))
    }
    #expect(letters == [MessageLog.Letter(message: first, reason: Array("no".utf8))])
    guard case .count(1) = perform(again, .redeliver(nil)) else { return #expect(Bool(false)) }
    #expect(size("log.dead") == -1)
    #expect(drain(log) == ["b", "a"])
  }

  @Test func whatIsNotItsOwnIsRefused() throws {
    symlink("/etc/passwd", path)
    #expect(put(MessageLog(path: path), "a") == ELOOP)
    unlink(path)
    mkfifo(path, 0o600)
    #expect(put(MessageLog(path: path), "a") == EINVAL)
    unlink(path)
    close(open(path, O_CREAT | O_WRONLY, 0o666))
    write(Array("somebody's notes, which are long enough".utf8), at: 0)
    let before = size()
    #expect(put(MessageLog(path: path), "a") == EINVAL)
    #expect(size() == before)
    unlink(path)
    close(open(path, O_CREAT | O_WRONLY, 0o666))
    #expect(put(MessageLog(path: path), "a") == 0)
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o7777 == 0o600)
  }

  @Test func aLimitIsAFullDevice() {
    let log = MessageLog(path: path)
    #expect(put(log, "a", limit: 1) == 0)
    #expect(put(log, "b", limit: 1) == ENOSPC)
    #expect(drain(log) == ["a"])
  }
}
