import CLinux
import Glibc
import HTTP
import System

extension WaiterLoop {
  /// Does what another thread asked for.
  func obey(_ message: WaiterInbox.Message) {
    switch message {
    case .begin(let wait, let ticket): begin(wait, ticket)
    case .watch(let descriptor, let ticket):
      pending[ticket] = .watch(WatchedDescriptor(descriptor, .readable))
      settle(ticket, on: [WatchedDescriptor(descriptor, .readable)])
    case .rearm(let ticket):
      guard case .watch(let watched) = pending[ticket] else { return }
      settle(ticket, on: [watched])
    case .cancel(let ticket): release(ticket)
    case .worked(let result, let ticket): end(ticket, .worked(result))
    case .stop: isStopped = true
    }
  }

  private func begin(_ wait: Wait, _ ticket: Ticket) {
    switch wait {
    case .timer(let seconds):
      pending[ticket] = .timer
      setDeadline(ticket, seconds)
    case .descriptors(let list, let timeout):
      pending[ticket] = .descriptors(list)
      setDeadline(ticket, timeout)
      settle(ticket, on: list)
    case .child(let process, let timeout):
      // A process that is gone is no child any more.
      let descriptor = clinux_pidfd_open(process, 0)
      guard descriptor >= 0 else { return fail(ticket, errno == ESRCH ? ECHILD : errno) }
      pending[ticket] = .child(process, descriptor: descriptor)
      setDeadline(ticket, timeout)
      settle(ticket, on: [WatchedDescriptor(descriptor, .readable)])
    case .request(let request):
      pending[ticket] = .transfer
      do throws(HTTPFailure) {
        let transfers = if let transfers { transfers } else { try Transfers() }
        self.transfers = transfers
        transfers.start(request, ticket: ticket.rawValue)
      } catch {
        end(ticket, .failed(error))
      }
    case .nextEvent:
      guard case .transfer = pending[ticket] else { return fail(ticket, EINVAL) }
      transfers?.resume(ticket.rawValue)
    case .work(let work):
      pending[ticket] = .work
      guard mayStartThreads else { return end(ticket, .worked(work())) }
      let inbox = inbox
      var unused = pthread_t()
      let code = startThread(isDetached: true, thread: &unused) {
        inbox.post(.worked(work(), ticket))
      }
      if code != 0 { fail(ticket, code) }
    case .task(let begin):
      pending[ticket] = .work
      let inbox = inbox
      begin(mayStartThreads) { inbox.post(.worked($0, ticket)) }
    }
  }

  /// Deals with a hint: each wait on this descriptor is asked whether it is over.
  func look(_ descriptor: Int32) {
    for ticket in descriptors.tickets(on: descriptor) { check(ticket) }
    let code = descriptors.rearm(descriptor)
    guard code != 0 else { return }
    for ticket in descriptors.tickets(on: descriptor) { fail(ticket, code) }
  }

  /// Ends a wait whose deadline has come.
  func expire(_ ticket: Ticket) {
    if case .timer = pending[ticket] { end(ticket, .elapsed) } else { end(ticket, .timedOut) }
  }

  // MARK: Descriptors and children

  /// Waits on descriptors, unless what is waited for is there already.
  private func settle(_ ticket: Ticket, on list: [WatchedDescriptor]) {
    if check(ticket) { return }
    for watched in list {
      let code = descriptors.add(ticket, watched)
      guard code == 0 else { return fail(ticket, code) }
    }
  }

  /// Reports a wait on descriptors or a child if it is over; returns whether it is.
  @discardableResult
  private func check(_ ticket: Ticket) -> Bool {
    do throws(WaiterFailure) {
      switch pending[ticket] {
      case .descriptors(let list):
        let ready = try list.readyNow()
        if !ready.isEmpty { end(ticket, .ready(ready)) }
        return !ready.isEmpty
      case .watch(let watched):
        let ready = try [watched].readyNow()
        guard !ready.isEmpty else { return false }
        descriptors.remove(ticket, watched.descriptor)
        outbox.deliver(.ready(ready), to: ticket)
        return true
      case .child(let process, _):
        var status: Int32 = 0
        let result = waitpid(process, &status, WNOHANG)
        guard result >= 0 else { throw WaiterFailure(call: "waitpid", errno: errno) }
        if result > 0 { end(ticket, .exited(status)) }
        return result > 0
      case .timer, .transfer, .work, nil:
        return false
      }
    } catch {
      fail(ticket, error.errno)
      return true
    }
  }

  // MARK: Requests

  /// Passes on what came of the requests.
  func forwardTransferEvents() {
    for event in transfers?.takeEvents() ?? [] {
      switch event {
      case .chunk(let ticket, let headers, let body):
        outbox.deliver(.chunk(headers: headers, body: body), to: Ticket(ticket))
      case .finished(let ticket, .success(let response)): end(Ticket(ticket), .response(response))
      case .finished(let ticket, .failure(let failure)): end(Ticket(ticket), .failed(failure))
      }
    }
  }

  /// Gives libcurl's handle up, after libcurl itself did; the next request makes a new one.
  func failTransfers(_ failure: HTTPFailure) {
    transfers = nil
    for case (let ticket, .transfer) in pending { end(ticket, .failed(failure)) }
  }

  // MARK: Beginnings and ends

  private func setDeadline(_ ticket: Ticket, _ seconds: Double?) {
    // Written so that what is not a number is no time at all.
    guard let seconds, !(seconds >= 1e9) else { return }
    let nanoseconds = seconds > 0 ? UInt64((seconds * 1e9).rounded(.up)) : 0
    timers.insert(ticket, deadline: monotonicNanoseconds() + nanoseconds)
  }

  private func fail(_ ticket: Ticket, _ errno: Int32) { end(ticket, .error(errno)) }

  private func end(_ ticket: Ticket, _ outcome: Outcome) {
    release(ticket)
    outbox.deliver(outcome, to: ticket)
  }

  /// Gives back whatever a wait holds; a ticket that is not in use holds nothing.
  private func release(_ ticket: Ticket) {
    timers.remove(ticket)
    switch pending.removeValue(forKey: ticket) {
    case .descriptors(let list):
      for watched in list { descriptors.remove(ticket, watched.descriptor) }
    case .watch(let watched): descriptors.remove(ticket, watched.descriptor)
    case .child(_, let descriptor):
      descriptors.remove(ticket, descriptor)
      close(descriptor)
    case .transfer: transfers?.cancel(ticket.rawValue)
    case .timer, .work, nil: break
    }
  }
}
