/// The deadlines of the waits that have one, soonest first: a binary heap that knows where each
/// ticket is, so that a wait that ends early takes its deadline along.
struct WaiterTimers {
  private var heap: [(deadline: UInt64, ticket: Ticket)] = []
  private var positions: [Ticket: Int] = [:]

  /// The soonest deadline, in nanoseconds of the monotonic clock.
  var next: UInt64? { heap.first?.deadline }

  /// Gives a ticket that has none a deadline.
  mutating func insert(_ ticket: Ticket, deadline: UInt64) {
    heap.append((deadline, ticket))
    positions[ticket] = heap.count - 1
    rise(heap.count - 1)
  }

  /// Takes a ticket's deadline away, if it has one.
  mutating func remove(_ ticket: Ticket) {
    guard let position = positions.removeValue(forKey: ticket) else { return }
    let last = heap.removeLast()
    guard position < heap.count else { return }
    heap[position] = last
    positions[last.ticket] = position
    rise(position)
    sink(position)
  }

  /// Takes out the ticket whose deadline is soonest, if that is not after `now`.
  mutating func popExpired(at now: UInt64) -> Ticket? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    remove(first.ticket)
    return first.ticket
  }

  private mutating func rise(_ start: Int) {
    var child = start
    while child > 0, heap[child].deadline < heap[(child - 1) / 2].deadline {
      swap(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func sink(_ start: Int) {
    var parent = start
    while true {
      let children = (2 * parent + 1)..<min(2 * parent + 3, max(heap.count, 2 * parent + 1))
      guard let least = children.min(by: { heap[$0].deadline < heap[$1].deadline }),
        heap[least].deadline < heap[parent].deadline
      else { return }
      swap(parent, least)
      parent = least
    }
  }

  private mutating func swap(_ one: Int, _ other: Int) {
    heap.swapAt(one, other)
    positions[heap[one].ticket] = one
    positions[heap[other].ticket] = other
  }
}
