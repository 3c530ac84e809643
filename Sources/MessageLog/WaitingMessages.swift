// Which messages wait, and where in the log they stand. Made from the records, and from nothing else.

/// The messages of a log that are neither delivered nor dead, oldest first.
struct WaitingMessages {
  struct Entry {
    let offset: Int64
    let size: Int64
    fileprivate let number: Int
  }

  private var entries: [MessageID: Entry] = [:]
  /// Some of these wait no more, or wait behind others since: their numbers differ then.
  private var order: [(id: MessageID, number: Int)] = []
  private var head = 0
  private var lastNumber = 0
  /// How many were delivered.
  private(set) var delivered: UInt64 = 0
  /// How many bytes their records have.
  private(set) var size: Int64 = 0

  var count: Int { entries.count }
  subscript(id: MessageID) -> Entry? { entries[id] }

  /// The oldest one.
  mutating func first() -> (id: MessageID, entry: Entry)? {
    while head < order.count {
      let (id, number) = order[head]
      if let entry = entries[id], entry.number == number { return (id, entry) }
      head += 1
    }
    order = []
    head = 0
    return nil
  }

  /// All of them, oldest first.
  var all: [(id: MessageID, entry: Entry)] {
    order[head...].compactMap { id, number in
      entries[id].flatMap { $0.number == number ? (id, $0) : nil }
    }
  }

  /// Takes in what the next record of the log says.
  mutating func apply(_ record: Record, at offset: Int64) {
    switch record.kind {
    case .bytes, .json:
      remove(record.id)
      lastNumber += 1
      entries[record.id] = Entry(offset: offset, size: record.size, number: lastNumber)
      order.append((record.id, lastNumber))
      size += record.size
    case .delivered: if remove(record.id) { delivered &+= 1 }
    case .dead: remove(record.id)
    case .count:
      let bytes = record.payload.prefix(8)
      delivered &+= bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    case .reason: break
    }
    // What is over is forgotten when it is most of the list.
    if head > 1024, head > order.count / 2 {
      order.removeFirst(head)
      head = 0
    }
  }

  @discardableResult
  private mutating func remove(_ id: MessageID) -> Bool {
    guard let entry = entries.removeValue(forKey: id) else { return false }
    size -= entry.size
    return true
  }
}
