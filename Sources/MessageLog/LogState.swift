// The log as one process sees it.
//
// Two locks keep the processes apart that have one log open: `appending` is held from looking at what the
// others have written until what is written here is on disk, `delivering` by the one that delivers. Both
// belong to the file itself. Since the one that delivers writes a shorter file in its place now and then,
// the process that has got `appending` looks first whether its file is still the one that has the name.

import Glibc

/// What is known of a log, and how to change it. Everything here may wait for the disk or for others.
struct LogState {
  private let directory: Directory
  private let name: String
  private var file: RecordFile
  private var waiting = WaitingMessages()
  private var dead: DeadLetters
  /// Whether it is this process that delivers.
  private var isOwner = false
  /// Damaged bytes that are to be put aside.
  private var damaged: [Range<Int64>] = []
  /// The size of what is over at which a shorter file is worth its writing, and after a failure more.
  private var compactsAt = LogState.leastGarbage
  private static let leastGarbage: Int64 = 256 << 10
  /// Readable when another process may have written; -1 where the system does not tell.
  let changes: Int32
  /// What is to be reported, oldest first.
  var notes: [String] = []

  /// Opens the log of that path, or begins one. Paths are resolved and directories opened now.
  init(_ path: String, changes: Int32) throws(LogFailure) {
    (directory, name) = try Directory.containing(path)
    guard let file = try RecordFile.open(name, in: directory, creates: true) else {
      throw LogFailure(path, ENOENT)
    }
    self.file = file
    self.changes = changes
    dead = DeadLetters(name + ".dead", in: directory)
    watch()
    try locked { state throws(LogFailure) in try state.dead.refresh() }
  }

  var status: MessageLog.Status {
    MessageLog.Status(waiting: waiting.count, delivered: waiting.delivered, dead: dead.count)
  }

  // MARK: What other processes do

  /// Runs `body` with the lock `appending`, and with everything taken in that others have written.
  private mutating func locked<R>(
    _ body: (inout LogState) throws(LogFailure) -> R
  ) throws(LogFailure) -> R {
    try takeLock()
    defer { file.unlock(.appending) }
    // Until now: what comes of this process's own writing is nothing to be woken by.
    defer { forgetChanges() }
    return try body(&self)
  }

  private mutating func takeLock() throws(LogFailure) {
    while true {
      _ = try file.lock(.appending, waits: true)
      do {
        let there = try directory.identity(of: name)
        if there == nil {
          // It was removed by another program: what waits is still to be delivered.
          try takeIn()
          do { return try rewrite(replacing: false) } catch  where error.errno == EEXIST {
            // Another process has just made a new one.
            file.unlock(.appending)
            continue
          }
        }
        if try file.identity() == there { return try takeIn() }
        guard let other = try RecordFile.open(name, in: directory, creates: false) else { continue }
        file.unlock(.appending)
        begin(with: other)
      } catch {
        file.unlock(.appending)
        throw error
      }
    }
  }

  /// Goes on with another file, which says all there is to know.
  private mutating func begin(with other: RecordFile) {
    file = other
    waiting = WaitingMessages()
    isOwner = false
    damaged = []
    compactsAt = LogState.leastGarbage
    watch()
  }

  private mutating func takeIn() throws(LogFailure) {
    var found = waiting
    damaged += try file.catchUp { found.apply($0, at: $1) }
    waiting = found
  }

  private func watch() {
    guard changes >= 0 else { return }
    let mask = UInt32(IN_MODIFY | IN_ATTRIB)
    // Where it is refused, others' messages are found with the next one of ours.
    _ = inotify_add_watch(changes, "/proc/self/fd/\(file.descriptor)", mask)
  }

  private func forgetChanges() {
    guard changes >= 0 else { return }
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer in
      while Glibc.read(changes, buffer.baseAddress, buffer.count) > 0 {}
    }
  }

  /// Takes in what other processes have written.
  mutating func refresh() throws(LogFailure) {
    try locked { state throws(LogFailure) in try state.dead.refresh() }
  }

  // MARK: Messages

  /// Something to be written down: a message, where no more than so many wait, or that one was delivered.
  enum Change {
    case put(Record, limit: Int)
    case delivered(MessageID)
  }

  /// Writes several changes down, on disk at once; returns for each why that failed, or nil.
  mutating func write(_ changes: [Change]) -> [LogFailure?] {
    do {
      return try locked { state throws(LogFailure) in
        let failures = state.commit(changes)
        state.compactIfDue()
        return failures
      }
    } catch {
      return changes.map { _ in error }
    }
  }

  private mutating func commit(_ changes: [Change]) -> [LogFailure?] {
    var failures: [LogFailure?] = changes.map { _ in nil }
    var records: [(change: Int, record: Record)] = []
    var count = waiting.count
    for (index, change) in changes.enumerated() {
      switch change {
      case .put(let record, _) where record.payload.count > Record.largestPayload:
        failures[index] = LogFailure(
          "\(file.path): a message of \(record.payload.count) bytes", EFBIG)
      case .put(_, let limit) where count >= limit:
        failures[index] = LogFailure("\(file.path): \(count) messages wait", ENOSPC)
      case .put(let record, _):
        count += 1
        records.append((index, record))
      case .delivered(let id):
        if waiting[id] != nil { records.append((index, Record(kind: .delivered, id: id))) }
      }
    }
    do {
      try append(records.map(\.record))
    } catch {
      // One by one, where there is room for some.
      for (index, record) in records {
        guard records.count > 1 else {
          failures[index] = error
          break
        }
        do { try append([record]) } catch { failures[index] = error }
      }
    }
    return failures
  }

  private mutating func append(_ records: [Record]) throws(LogFailure) {
    guard !records.isEmpty else { return }
    // For the mark of each that waits then, and one more.
    let marks = Int64(Record.headerSize) * Int64(waiting.count + records.count + 1)
    let offsets = try file.append(records, room: marks)
    for (record, offset) in zip(records, offsets) { waiting.apply(record, at: offset) }
  }

  /// The oldest message, where it is this process that delivers, or becomes so.
  mutating func next() throws(LogFailure) -> MessageLog.Next {
    if !isOwner || waiting.count == 0 {
      try locked { state throws(LogFailure) in try state.own() }
    }
    guard isOwner else { return .elsewhere }
    guard let (id, entry) = waiting.first() else { return .none }
    if let record = try file.record(at: entry.offset) {
      return .message(
        MessageLog.Message(id: id, isJSON: record.kind == .json, bytes: record.payload))
    }
    // It was whole when it was written: the disk has changed it. Read again, the rest is found.
    guard let again = try RecordFile.open(name, in: directory, creates: false) else { return .none }
    begin(with: again)
    return .none
  }

  /// Becomes the process that delivers, unless another one is.
  private mutating func own() throws(LogFailure) {
    guard !isOwner, try file.lock(.delivering, waits: false) else { return }
    isOwner = true
    try dead.refresh()
    // A crash came between the two files: it is a dead letter already.
    let both = waiting.all.map(\.id).filter { dead[$0] != nil }
    try append(both.map { Record(kind: .dead, id: $0) })
    try putDamageAside()
  }

  /// Lets another process deliver.
  mutating func release() {
    isOwner = false
    file.unlock(.delivering)
  }

  // MARK: Dead letters

  /// Makes a message that waits a dead letter.
  mutating func bury(_ id: MessageID, reason: [UInt8]) throws(LogFailure) {
    try locked { state throws(LogFailure) in
      guard let entry = state.waiting[id], let record = try state.file.record(at: entry.offset)
      else { return }
      try state.dead.add(record, reason: reason)
      try state.append([Record(kind: .dead, id: id)])
      state.compactIfDue()
    }
  }

  /// Lets dead letters wait again, behind all others; nil stands for each. Returns how many.
  mutating func redeliver(_ ids: [MessageID]?) throws(LogFailure) -> Int {
    try locked { state throws(LogFailure) in
      try state.dead.refresh()
      let ids = (ids ?? state.dead.ids).filter { state.dead[$0] != nil }
      var done: [MessageID] = []
      for id in ids {
        guard let record = try state.dead.message(id) else { continue }
        try state.append([record])
        done.append(id)
      }
      try state.dead.remove(done)
      return done.count
    }
  }

  /// The dead letters, oldest first.
  mutating func letters() throws(LogFailure) -> [MessageLog.Letter] {
    try locked { state throws(LogFailure) in
      try state.dead.refresh()
      var letters: [MessageLog.Letter] = []
      for id in state.dead.ids {
        guard let record = try state.dead.message(id) else { continue }
        let message = MessageLog.Message(
          id: id, isJSON: record.kind == .json, bytes: record.payload)
        letters.append(MessageLog.Letter(message: message, reason: state.dead[id]?.reason ?? []))
      }
      return letters
    }
  }

  // MARK: A shorter file

  private mutating func compactIfDue() {
    let garbage = file.end - waiting.size
    guard isOwner, garbage > compactsAt, garbage > waiting.size else { return }
    do { try rewrite(replacing: true) } catch {
      // The one that is there stays good: tried again when there is twice as much to win.
      compactsAt = 2 * garbage
    }
  }

  /// Writes a file with nothing but what waits, in the place of this one or where there is none any more.
  private mutating func rewrite(replacing: Bool) throws(LogFailure) {
    let temporary = name + ".new"
    let new = try RecordFile.create(temporary, in: directory)
    var moved = WaitingMessages()
    do throws(LogFailure) {
      try new.prepare()
      // No other process has it open: these succeed, and hold when it gets its name.
      _ = try new.lock(.appending, waits: true)
      if isOwner { _ = try new.lock(.delivering, waits: false) }
      var number = ByteWriter()
      number.put(waiting.delivered)
      var records = [Record(kind: .count, id: .random(), payload: number.bytes)]
      for (_, entry) in waiting.all {
        if let record = try file.record(at: entry.offset) { records.append(record) }
        if records.count > 64 || records.last.map({ $0.size > 1 << 20 }) == true {
          try new.take(&records, into: &moved)
        }
      }
      try new.take(&records, into: &moved)
      let directory = directory.descriptor
      if replacing {
        guard renameat(directory, temporary, directory, name) == 0 else {
          throw LogFailure(file.path)
        }
      } else {
        // Which replaces nothing: a process that has just made a new file keeps it.
        guard linkat(directory, temporary, directory, name, 0) == 0 else {
          throw LogFailure(file.path)
        }
        try self.directory.remove(temporary)
      }
    } catch {
      try directory.remove(temporary)
      throw error
    }
    let wasOwner = isOwner
    file.unlock(.appending)
    begin(with: new.named(file.path))
    waiting = moved
    isOwner = wasOwner
    try directory.synchronize()
  }

  /// Keeps damaged bytes in a file of their own, so that they can be looked at.
  private mutating func putDamageAside() throws(LogFailure) {
    guard !damaged.isEmpty else { return }
    let aside = name + ".damaged"
    let bytes = damaged.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) }
    let flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC
    let descriptor = uninterrupted { openat(directory.descriptor, aside, flags, 0o600) }
    guard descriptor >= 0 else { throw LogFailure(directory.path(of: aside)) }
    defer { close(descriptor) }
    for range in damaged {
      var offset = range.lowerBound
      while offset < range.upperBound {
        let piece = try file.read(at: offset, count: Int(min(range.upperBound - offset, 1 << 20)))
        let written = piece.withUnsafeBytes { rest in
          uninterrupted { Glibc.write(descriptor, rest.baseAddress, rest.count) }
        }
        guard written > 0 else { throw LogFailure(directory.path(of: aside)) }
        offset += Int64(written)
      }
    }
    guard uninterrupted({ fdatasync(descriptor) }) == 0 else {
      throw LogFailure(directory.path(of: aside))
    }
    notes.append(
      "\(file.path): \(bytes) bytes are damaged and were put into \(aside); a message may be missing, "
        + "or come a second time")
    try rewrite(replacing: true)
  }
}

extension RecordFile {
  /// Moves records into this file.
  fileprivate func take(
    _ records: inout [Record], into waiting: inout WaitingMessages
  ) throws(LogFailure) {
    let offsets = try append(records)
    for (record, offset) in zip(records, offsets) { waiting.apply(record, at: offset) }
    records = []
  }
}
