import HTTP
import Waiting

/// A streaming request, in a box: when Ruby has forgotten it, its connection is closed.
final class HTTPStream {
  let ticket: Ticket
  /// The request, until it is begun.
  var request: HTTPRequest?
  private let waiter: Waiter
  private let count: Count

  /// How many there are.
  final class Count {
    fileprivate(set) var open = 0
    /// At how many the forgotten ones are looked for.
    var due = 32
  }

  init(_ request: HTTPRequest, _ ticket: Ticket, _ waiter: Waiter, _ count: Count) {
    self.request = request
    self.ticket = ticket
    self.waiter = waiter
    self.count = count
    count.open += 1
  }

  /// In the middle of a collection: a waiter may be told from anywhere.
  deinit {
    count.open -= 1
    close()
  }

  /// Breaks the request off; does nothing where it has ended.
  func close() {
    request = nil
    waiter.cancel(ticket)
  }
}
