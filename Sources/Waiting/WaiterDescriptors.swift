// Invariant: epoll only hints. Every registration is one-shot, so that a descriptor which was closed
// behind our back, or whose number means another file by now, can hint once and not spin; what is
// truly ready is then asked of poll(2), which also knows bad descriptors and regular files.

import CLinux
import Glibc

/// Which tickets wait on which descriptors, and the epoll instance that says when to look. epoll(7).
final class WaiterDescriptors {
  /// The epoll instance, itself a descriptor that becomes readable.
  let epoll: Int32
  private var interests: [Int32: [(ticket: Ticket, events: DescriptorEvents)]] = [:]

  /// Makes the instance, which hints at `signal` whenever that is readable, though no ticket waits on it.
  ///
  /// Fails with the errno of epoll_create1(2) or epoll_ctl(2).
  init(alsoHinting signal: Int32) throws(WaiterFailure) {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard epoll >= 0 else { throw WaiterFailure(call: "epoll_create1", errno: errno) }
    var event = epoll_event()
    event.events = EPOLLIN.rawValue
    event.data.fd = signal
    let code = control(EPOLL_CTL_ADD, signal, &event)
    guard code == 0 else { throw WaiterFailure(call: "epoll_ctl", errno: code) }
  }

  deinit { close(epoll) }

  /// Adds a ticket's interest in a descriptor; returns 0 or the errno of epoll_ctl(2).
  func add(_ ticket: Ticket, _ watched: WatchedDescriptor) -> Int32 {
    let isKnown = interests[watched.descriptor] != nil
    interests[watched.descriptor, default: []].append((ticket, watched.events))
    let code = register(watched.descriptor, isKnown: isKnown)
    if code != 0 { remove(ticket, watched.descriptor) }
    return code
  }

  /// Takes a ticket's interest in a descriptor away, if there is one.
  func remove(_ ticket: Ticket, _ descriptor: Int32) {
    guard var list = interests[descriptor] else { return }
    list.removeAll { $0.ticket == ticket }
    interests[descriptor] = list.isEmpty ? nil : list
    // A closed descriptor has left the epoll instance by itself: no error to speak of.
    if list.isEmpty { epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil) }
  }

  /// The tickets that wait on a descriptor.
  func tickets(on descriptor: Int32) -> [Ticket] {
    interests[descriptor]?.map(\.ticket) ?? []
  }

  /// Arms a descriptor again after it hinted, if a ticket still waits on it.
  ///
  /// Returns 0, or the errno of epoll_ctl(2).
  func rearm(_ descriptor: Int32) -> Int32 {
    interests[descriptor] == nil ? 0 : register(descriptor, isKnown: true)
  }

  /// Waits for hints, at most so many milliseconds, -1 being for ever; returns the descriptors.
  func hints(milliseconds: Int32) -> [Int32] {
    withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 64) { events in
      // Never empty; glibc 2.41 says that it must not be null.
      guard let first = events.baseAddress else { return [] }
      // A signal that interrupts it is as good as no hint.
      let count = epoll_wait(epoll, first, Int32(events.count), milliseconds)
      return (0..<max(0, Int(count))).map { events[$0].data.fd }
    }
  }

  private func register(_ descriptor: Int32, isKnown: Bool) -> Int32 {
    let events = interests[descriptor, default: []].reduce(DescriptorEvents()) {
      $0.union($1.events)
    }
    var event = epoll_event()
    event.events = UInt32(UInt16(bitPattern: events.rawValue)) | EPOLLONESHOT.rawValue
    event.data.fd = descriptor
    let code = control(isKnown ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event)
    switch code {
    // The number was closed and means another file by now.
    case ENOENT: return control(EPOLL_CTL_ADD, descriptor, &event)
    case EEXIST: return control(EPOLL_CTL_MOD, descriptor, &event)
    default: return code
    }
  }

  private func control(
    _ operation: Int32, _ descriptor: Int32, _ event: inout epoll_event
  ) -> Int32 {
    epoll_ctl(epoll, operation, descriptor, &event) == 0 ? 0 : errno
  }
}

extension [WatchedDescriptor] {
  /// Those that are ready now, with what they are ready for; fails with an errno. poll(2).
  func readyNow() throws(WaiterFailure) -> [WatchedDescriptor] {
    var list = map { pollfd(fd: $0.descriptor, events: $0.events.rawValue, revents: 0) }
    var count = poll(&list, nfds_t(list.count), 0)
    while count < 0, errno == EINTR { count = poll(&list, nfds_t(list.count), 0) }
    guard count >= 0 else { throw WaiterFailure(call: "poll", errno: errno) }
    // poll(2) passes over a negative descriptor; none is meant to be waited for.
    guard !list.contains(where: { $0.fd < 0 || $0.revents & Int16(POLLNVAL) != 0 }) else {
      throw WaiterFailure(call: "poll", errno: EBADF)
    }
    return list.filter { $0.revents != 0 }.map {
      WatchedDescriptor($0.fd, DescriptorEvents(rawValue: $0.revents))
    }
  }
}
