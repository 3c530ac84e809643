/// The open handles of a mount by their numbers, which begin with 1: 0 is none.
final class OpenHandles {
  private var slots: [OpenHandle?] = [nil]
  private var free: [Int] = []

  /// How many are open.
  var count: Int { slots.count - 1 - free.count }

  /// The handle of that number; nil where there is none.
  subscript(number: UInt64) -> OpenHandle? {
    number < UInt64(slots.count) ? slots[Int(number)] : nil
  }

  /// Takes a handle in; returns its number.
  func add(_ handle: OpenHandle) -> UInt64 {
    if let index = free.popLast() {
      slots[index] = handle
      return UInt64(index)
    }
    slots.append(handle)
    return UInt64(slots.count - 1)
  }

  /// Takes a handle out; nil where there is none of that number.
  func remove(_ number: UInt64) -> OpenHandle? {
    guard let handle = self[number] else { return nil }
    slots[Int(number)] = nil
    free.append(Int(number))
    return handle
  }

  /// Forgets all of them.
  func removeAll() {
    slots = [nil]
    free = []
  }
}
