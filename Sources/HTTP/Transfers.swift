// Invariant: one thread owns a `Transfers`. libcurl's multi handle and everything in it is touched
// by that thread alone, with one exception that libcurl itself makes: curl_multi_wakeup.

import CCurl

/// What a `Transfers` has to tell about one of its transfers.
package enum TransferEvent: Sendable {
  /// The next bytes of a streaming transfer's body, with the header block that came before them.
  case chunk(ticket: UInt64, headers: [UInt8], body: [UInt8])
  /// The end of a transfer; nothing more is told of this ticket.
  case finished(ticket: UInt64, Result<HTTPResponse, HTTPFailure>)
}

/// Any number of HTTP transfers at once, which share their connections. libcurl-multi(3).
///
/// A call of `poll` waits and moves all of them on; `takeEvents` tells what came of it. A transfer
/// that is not streaming has one event, its end. A streaming one has one event each time it is asked:
/// by `start`, and then by each `resume`; in between at most about 256 KiB of it are kept, and
/// then its connection is not read from.
///
/// Not Sendable: one thread owns it, and lets other threads have its `waker`.
package final class Transfers {
  /// How many idle connections are kept open for later requests.
  private static let idleConnections = 128
  /// How many idle easy handles are kept for later requests, at some 6 KiB each.
  private static let idleHandles = 16

  private let multi: MultiHandle
  private var active: [UInt64: Transfer] = [:]
  private var streaming: [UInt64: Transfer] = [:]
  private var idle: [Transfer] = []
  private var events: [TransferEvent] = []

  /// Sets up libcurl, and a handle for transfers to share.
  ///
  /// Fails where libcurl cannot be initialized. curl_global_init(3), curl_multi_init(3).
  package init() throws(HTTPFailure) {
    try check(Self.globalInit)
    guard let handle = curl_multi_init() else { throw HTTPFailure(CURLE_OUT_OF_MEMORY) }
    multi = MultiHandle(handle)
    let code = ccurl_multi_set_long(handle, CURLMOPT_MAXCONNECTS, Self.idleConnections)
    guard code == CURLM_OK else { throw HTTPFailure(code) }
  }

  deinit {
    for transfer in active.values { curl_multi_remove_handle(multi.handle, transfer.easy) }
  }

  /// Done once in a process, when HTTP is first needed.
  private static let globalInit = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

  /// Whether there is a transfer that has not ended, or an event that has not been taken.
  package var isBusy: Bool { !active.isEmpty || !events.isEmpty }

  /// Begins a transfer, whose events will carry `ticket`, a number not in use here.
  ///
  /// A request that cannot even be begun ends at once, with a failure as its event.
  package func start(_ request: HTTPRequest, ticket: UInt64) {
    do throws(HTTPFailure) {
      let transfer = if let used = idle.popLast() { used } else { try Transfer() }
      try transfer.prepare(request, ticket: ticket)
      let code = curl_multi_add_handle(multi.handle, transfer.easy)
      guard code == CURLM_OK else { throw HTTPFailure(code) }
      active[ticket] = transfer
      if request.streaming { streaming[ticket] = transfer }
    } catch {
      events.append(.finished(ticket: ticket, .failure(error)))
    }
  }

  /// Ends a transfer without an event; a ticket that is not in use is ignored.
  package func cancel(_ ticket: UInt64) {
    events.removeAll { $0.ticket == ticket }
    guard let transfer = active[ticket] else { return }
    if transfer.result == nil { curl_multi_remove_handle(multi.handle, transfer.easy) }
    retire(transfer)
  }

  /// Asks for the next event of a streaming transfer; a ticket that is not in use is ignored.
  package func resume(_ ticket: UInt64) {
    guard let transfer = streaming[ticket] else { return }
    transfer.isAwaited = true
    report(transfer)
  }

  /// Waits until a transfer can move, `descriptor` is readable or `timeout` seconds are over, and
  /// then moves what can move.
  ///
  /// A timeout of nil waits for ever. It does not wait where an event is there already, or the
  /// waker was used since the last time. Returns whether `descriptor` is readable. Fails with
  /// libcurl's message where the system refuses. curl_multi_poll(3), curl_multi_perform(3).
  @discardableResult
  package func poll(
    alsoWatching descriptor: Int32? = nil, timeout: Double? = nil
  ) throws(HTTPFailure) -> Bool {
    var extra = curl_waitfd(fd: descriptor ?? -1, events: Int16(CURL_WAIT_POLLIN), revents: 0)
    let longest = events.isEmpty ? timeout.map(milliseconds) ?? Int(Int32.max) : 0
    var code = curl_multi_poll(
      multi.handle, &extra, descriptor == nil ? 0 : 1, Int32(longest), nil)
    guard code == CURLM_OK else { throw HTTPFailure(code) }
    var running: Int32 = 0
    code = curl_multi_perform(multi.handle, &running)
    guard code == CURLM_OK else { throw HTTPFailure(code) }
    collect()
    return extra.revents != 0
  }

  /// Hands over what has happened since the last call, oldest first.
  package func takeEvents() -> [TransferEvent] {
    defer { events = [] }
    return events
  }

  /// What other threads use to end a `poll` early.
  package var waker: TransferWaker { TransferWaker(multi: multi) }

  /// Notes the transfers that ended, and what streaming ones have received. curl_multi_info_read(3).
  private func collect() {
    var remaining: Int32 = 0
    while let message = curl_multi_info_read(multi.handle, &remaining) {
      guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle,
        let context = ccurl_private(easy)
      else { continue }
      let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
      transfer.finish(message.pointee.data.result)
      curl_multi_remove_handle(multi.handle, easy)
      if !transfer.streaming { report(transfer) }
    }
    for transfer in streaming.values { report(transfer) }
  }

  /// Makes an event of a transfer that has one and is asked for it.
  private func report(_ transfer: Transfer) {
    guard transfer.isAwaited || !transfer.streaming else { return }
    if transfer.streaming, !transfer.body.isEmpty {
      transfer.isAwaited = false
      let body = transfer.takeBody()
      events.append(.chunk(ticket: transfer.ticket, headers: transfer.head, body: body))
      if let code = transfer.unpause() {
        transfer.finish(code)
        curl_multi_remove_handle(multi.handle, transfer.easy)
      }
    } else if let result = transfer.result {
      events.append(.finished(ticket: transfer.ticket, result))
      retire(transfer)
    }
  }

  private func retire(_ transfer: Transfer) {
    active[transfer.ticket] = nil
    streaming[transfer.ticket] = nil
    guard idle.count < Self.idleHandles else { return }
    transfer.clear()
    idle.append(transfer)
  }
}

/// Ends a `poll` of another thread early. curl_multi_wakeup(3).
package struct TransferWaker: Sendable {
  fileprivate let multi: MultiHandle

  /// Makes the `poll` that goes on, or else the next one, return at once.
  package func wake() {
    // It can only fail when its pipe is full, and then the waking has been done.
    curl_multi_wakeup(multi.handle)
  }
}

/// The multi handle, which lives as long as any waker does.
///
/// @unchecked: it holds a pointer, of which other threads use nothing but curl_multi_wakeup, and
/// libcurl allows that.
private final class MultiHandle: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer

  init(_ handle: UnsafeMutableRawPointer) { self.handle = handle }

  deinit { curl_multi_cleanup(handle) }
}

extension TransferEvent {
  fileprivate var ticket: UInt64 {
    switch self {
    case .chunk(let ticket, _, _), .finished(let ticket, _): ticket
    }
  }
}

extension HTTPFailure {
  /// libcurl's general message about a code of the multi interface. curl_multi_strerror(3).
  fileprivate init(_ code: CURLMcode) {
    self.init(code: code.rawValue, message: String(cString: curl_multi_strerror(code)))
  }
}
