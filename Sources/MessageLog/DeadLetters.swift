// The dead-letter file: messages that failed for good, each behind a record that says why. It is a file of
// its own beside the log, and goes when the last of them was given back.
//
// Invariant: it is only looked at, and written to, under the log's lock.

/// The messages of a dead-letter file.
struct DeadLetters {
  struct Entry {
    let offset: Int64
    var reason: [UInt8]
  }

  private let directory: Directory
  private let name: String
  private var file: RecordFile?
  private var reasons: [MessageID: [UInt8]] = [:]
  private var entries: [MessageID: Entry] = [:]
  private var order: [MessageID] = []

  init(_ name: String, in directory: Directory) {
    self.name = name
    self.directory = directory
  }

  var count: Int { entries.count }
  /// Oldest first.
  var ids: [MessageID] { order.filter { entries[$0] != nil } }
  subscript(id: MessageID) -> Entry? { entries[id] }

  /// Takes in what other processes have done to it.
  mutating func refresh() throws(LogFailure) {
    let there = try directory.identity(of: name)
    if let open = file, try open.identity() != there { forget() }
    guard there != nil else { return }
    if file == nil { file = try RecordFile.open(name, in: directory, creates: false) }
    var found: [(Record, Int64)] = []
    // Of what is damaged nothing can be given back; the rest is as it was.
    _ = try file?.catchUp { found.append(($0, $1)) }
    for (record, offset) in found { apply(record, at: offset) }
  }

  private mutating func forget() {
    file = nil
    reasons = [:]
    entries = [:]
    order = []
  }

  private mutating func apply(_ record: Record, at offset: Int64) {
    switch record.kind {
    case .reason: reasons[record.id] = record.payload
    case .bytes, .json:
      let reason = reasons.removeValue(forKey: record.id) ?? []
      if entries.updateValue(Entry(offset: offset, reason: reason), forKey: record.id) == nil {
        order.append(record.id)
      }
    case .delivered, .dead, .count:
      if entries.removeValue(forKey: record.id) != nil, order.count > 2 * entries.count {
        order = ids
      }
    }
  }

  /// Takes a message in; does nothing where it is there.
  mutating func add(_ message: Record, reason: [UInt8]) throws(LogFailure) {
    try refresh()
    if entries[message.id] != nil { return }
    if file == nil {
      file = try RecordFile.open(name, in: directory, creates: true)
      try file?.prepare()
    }
    guard let file else { return }
    let records = [Record(kind: .reason, id: message.id, payload: reason), message]
    let offsets = try file.append(records)
    for (record, offset) in zip(records, offsets) { apply(record, at: offset) }
  }

  /// A message as it was taken in; nil where it cannot be read any more.
  func message(_ id: MessageID) throws(LogFailure) -> Record? {
    guard let file, let entry = entries[id] else { return nil }
    return try file.record(at: entry.offset)
  }

  /// Forgets messages that are somewhere else now.
  mutating func remove(_ ids: [MessageID]) throws(LogFailure) {
    guard let file else { return }
    let records = ids.filter { entries[$0] != nil }.map { Record(kind: .delivered, id: $0) }
    if records.count == entries.count {
      try directory.remove(name)
      try directory.synchronize()
      return forget()
    }
    let offsets = try file.append(records)
    for (record, offset) in zip(records, offsets) { apply(record, at: offset) }
  }
}
