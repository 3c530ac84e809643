package import HTTP

/// The name of one wait, chosen by the caller that begins it, and carried by its outcome.
///
/// A ticket is used for one wait, and not again after it was cancelled; only the events of one
/// streaming request share a ticket.
public struct Ticket: Hashable, Sendable {
  /// The number, which means nothing to the waiter.
  public let rawValue: UInt64

  /// Takes a number that no other wait has.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// What a hook, or anything else on the VM's thread, can wait for.
///
/// A timeout is in seconds; nil, and anything over 30 years, means for ever.
package enum Wait: Sendable {
  /// Until so many seconds are over: `.elapsed`.
  case timer(seconds: Double)
  /// Until one of some descriptors is ready: `.ready` with all that are, or `.timedOut`. poll(2).
  case descriptors([WatchedDescriptor], timeout: Double?)
  /// Until the child process of this id ends, which reaps it: `.exited`, or `.timedOut`. waitpid(2).
  case child(Int32, timeout: Double?)
  /// Until the response to a request has come: `.response`, or `.failed`; where it is streaming, `.chunk`
  /// comes before either, once for this wait and once for each `.nextEvent` with its ticket.
  case request(HTTPRequest)
  /// Until the streaming request of this ticket has its next chunk, or its end.
  ///
  /// A streaming request that is neither read to its end nor cancelled keeps its connection.
  case nextEvent
  /// Until a function is done that blocks and has no descriptor: `.worked`.
  ///
  /// It has a thread of its own meanwhile, which goes on unseen if the wait is cancelled.
  case work(@Sendable () -> WorkResult)
  /// Until something is done that has a thread of its own, which others may have work for too: `.worked`.
  ///
  /// It is begun with whether threads may be started, and with what to call once it is done, on whatever
  /// thread. What it does counts, so the host never breaks such a wait off.
  case task(
    @Sendable (_ mayStartThreads: Bool, _ done: @escaping @Sendable (WorkResult) -> Void) -> Void)

  /// Whether it is to be waited for whatever happens.
  package var isTask: Bool { if case .task = self { true } else { false } }
}

/// What came of a wait.
package enum Outcome: Sendable {
  /// The timer's time is over.
  case elapsed
  /// These descriptors are ready, with what they are ready for.
  case ready([WatchedDescriptor])
  /// Nothing happened before the timeout.
  case timedOut
  /// The child ended, with this status as wait(2) knows it.
  case exited(Int32)
  /// The response to the request; its body is empty where it went out in chunks.
  case response(HTTPResponse)
  /// The next bytes of a streamed body, and the header block before them.
  case chunk(headers: [UInt8], body: [UInt8])
  /// The request failed.
  case failed(HTTPFailure)
  /// The function is done.
  case worked(WorkResult)
  /// The system cannot wait for this: EBADF, ECHILD, EAGAIN (no thread to be had) and so on.
  case error(Int32)
}

/// A descriptor with what is asked of it, or with what it is ready for. struct pollfd of poll(2).
package struct WatchedDescriptor: Sendable, Equatable {
  /// The descriptor.
  package var descriptor: Int32
  /// What to wait for; in an outcome, what has come, which may include `.error` and `.hangUp`.
  package var events: DescriptorEvents

  /// Puts the two together.
  package init(_ descriptor: Int32, _ events: DescriptorEvents) {
    self.descriptor = descriptor
    self.events = events
  }
}

/// What a descriptor can be ready for, with the numbers of poll(2), which are those of epoll(7).
package struct DescriptorEvents: OptionSet, Sendable {
  package let rawValue: Int16
  package init(rawValue: Int16) { self.rawValue = rawValue }

  /// There is something to read, or the end. POLLIN.
  package static let readable = DescriptorEvents(rawValue: 0x001)
  /// Writing would not block. POLLOUT.
  package static let writable = DescriptorEvents(rawValue: 0x004)
  /// There is an error; told without being asked for. POLLERR.
  package static let error = DescriptorEvents(rawValue: 0x008)
  /// The other side is gone; told without being asked for. POLLHUP.
  package static let hangUp = DescriptorEvents(rawValue: 0x010)
}

/// What a function that ran on a thread of its own found out.
package enum WorkResult: Sendable {
  /// A number.
  case number(Int)
  /// Some bytes.
  case bytes([UInt8])
  /// The addresses of a host.
  case addresses([SocketAddress])
  /// There is nothing to tell.
  case nothing
  /// Several results.
  case list([WorkResult])
  /// The system refused it: an errno, and what it is about.
  case refused(Int32, String)
  /// It failed, with a number whose meaning the function knows, and a message.
  case failed(code: Int32, message: String)
}
