// Parking: how a Ruby method that must wait gives its turn away.
//
// FUSE.__park(kind, args) either begins a wait and answers PARKED, which the caller yields from its
// fiber, or, where the fiber cannot yield (C stands between, nothing is mounted, or no turn runs, as
// while a script is checked), waits in place and answers the outcome.

import FUSE
import Glibc
import HTTP
import Ruby
import RubyLibrary
import System
import Waiting

extension Host {
  func installParking() throws(RubyException) {
    try vm.setConstant("PARKED", to: vm.parked, in: vm[classes.fuse])
    try vm.define("FUSE", "__park") { [unowned self] call throws(RubyException) in
      try park(vm.text(call[0].symbol ?? vm.name("")), call[1])
    }
    try vm.define("FUSE", "__http_close") { [unowned self] call in
      if let number = call[0].integer.flatMap({ UInt64(exactly: $0) }),
        parked[Ticket(number)] == nil, watchers[Ticket(number)] == nil
      {
        streams[number] = nil
        waiter.cancel(Ticket(number))
      }
      return .nil
    }
  }

  /// The next ticket: each wait has one of its own, so that what comes late finds nobody.
  func makeTicket() -> Ticket {
    lastTicket += 1
    return Ticket(lastTicket)
  }

  private func park(_ kind: String, _ arguments: Value) throws(RubyException) -> Value {
    let turn = running
    if kind == "mount" { return try parkScript(turn) }
    if kind == "http_stream" {
      let ticket = makeTicket()
      streams[ticket.rawValue] = try httpRequest(arguments, streaming: true)
      return try vm.integer(Int(ticket.rawValue))
    }
    let (wait, ticket) = try wait(kind, arguments)
    // Once: who tries again after any error would never give its turn away any more.
    if let turn, !turn.wasInterrupted, turn.request?.isInterrupted == true {
      turn.wasInterrupted = true
      throw vm.systemError("interrupted", EINTR)
    }
    guard isServing, !isReloading, let turn, let fiber = turn.fiber, vm.canPark(vm[fiber]) else {
      if kind == "event", arguments[1].isNil {
        throw vm.exception(
          "RuntimeError", "would wait for ever: nobody else can run while this is waited for here")
      }
      if isServing, !isReloading, let turn { reportWaitInPlace(turn) }
      return try value(of: waiter.runInPlace(wait, kind == "http_next" ? ticket : nil))
    }
    if turn.ticket != nil { forgetWait(of: turn) }
    turn.ticket = ticket
    turn.waitsFor = wait
    turn.waitsSince = monotonicNanoseconds()
    parked[ticket] = turn
    parkings += 1
    if !turn.wasInterrupted { turn.request?.onInterrupt(ticket.rawValue) }
    waiter.begin(wait, ticket)
    return vm.parked
  }

  /// Tells, once for each line, that nothing else is served while this is waited for.
  private func reportWaitInPlace(_ turn: Turn) {
    let frame = vm.backtrace.first { !$0.hasPrefix("fusuma:") && !$0.hasPrefix("(") }
    let place = (frame ?? "").split(separator: ":in ", maxSplits: 1).first.map(String.init)
    reporter.report(
      "waits in a method or block that a C function of mruby's calls: nothing else is served meanwhile",
      in: turn.node == nil ? turn.operation.name : turn.hook.name, path: place)
  }

  /// Ends a wait that nobody is told the outcome of.
  func forgetWait(of turn: Turn) {
    guard let ticket = turn.ticket.take() else { return }
    turn.waitsFor = nil
    parked[ticket] = nil
    waiter.cancel(ticket)
  }

  /// FUSE.run: the script's own turn waits for the end of the mount.
  private func parkScript(_ turn: Turn?) throws(RubyException) -> Value {
    guard let turn, turn === scriptTurn, let fiber = turn.fiber, vm.canPark(vm[fiber]) else {
      throw vm.exception(
        "RuntimeError", "FUSE.run must be called by the script itself, not by a hook or a block")
    }
    wantsMount = true
    return vm.parked
  }

  // MARK: From Ruby

  /// In seconds: what nobody outlives.
  private static let forEver = 1e9

  private func wait(_ kind: String, _ arguments: Value) throws(RubyException) -> (Wait, Ticket) {
    func argument(_ index: Int) -> Value { arguments.kind == .array ? arguments[index] : .nil }
    switch kind {
    case "sleep":
      let seconds = argument(0)
      return (.timer(seconds: seconds.double ?? Host.forEver), makeTicket())
    case "event":
      // Its ticket is known before, so that it can be completed.
      guard let number = argument(0).integer.flatMap({ UInt64(exactly: $0) }) else {
        throw vm.exception("TypeError", "a ticket is a number")
      }
      guard number <= lastTicket, parked[Ticket(number)] == nil else {
        throw vm.exception("ArgumentError", "no such ticket")
      }
      return (.timer(seconds: argument(1).double ?? Host.forEver), Ticket(number))
    case "descriptors":
      var watched: [WatchedDescriptor] = []
      for pair in argument(0).elements ?? [] where pair.kind == .array {
        let events = Int16(clamping: pair[1].integer ?? 1)
        watched.append(
          WatchedDescriptor(
            try vm.cInt(pair[0], "descriptor"), DescriptorEvents(rawValue: events)))
      }
      return (.descriptors(watched, timeout: argument(1).double), makeTicket())
    case "work":
      guard let work = vm.boxed(argument(0)) as? any BackgroundWork else {
        throw vm.exception("TypeError", "no work to wait for")
      }
      guard let task = work.nextTask() else { return (.timer(seconds: 0), makeTicket()) }
      let wait = Wait.work {
        task()
        return .number(0)
      }
      return (wait, makeTicket())
    case "resolve":
      let service = argument(1).text ?? argument(1).integer.map { "\($0)" }
      return (
        .resolve(host: argument(0).bytes, service: service.map { [UInt8]($0.utf8) }), makeTicket()
      )
    case "http":
      return (.request(try httpRequest(arguments, streaming: false)), makeTicket())
    case "http_next":
      guard let number = argument(0).integer.flatMap({ UInt64(exactly: $0) }) else {
        throw vm.exception("TypeError", "a stream is a number")
      }
      guard number <= lastTicket, parked[Ticket(number)] == nil else {
        throw vm.exception("ArgumentError", "no such stream")
      }
      // The first event comes with the request itself, each further one has to be asked for.
      if let request = streams.removeValue(forKey: number) {
        return (.request(request), Ticket(number))
      }
      return (.nextEvent, Ticket(number))
    default:
      throw vm.exception("ArgumentError", "nobody knows how to wait for \(kind)")
    }
  }

  /// (method, url, header lines, body or nil, options) as Curl passes them.
  private func httpRequest(
    _ arguments: Value, streaming: Bool
  ) throws(RubyException) -> HTTPRequest {
    var request = HTTPRequest(
      method: arguments[0].text ?? "GET", url: arguments[1].bytes ?? [],
      headers: (arguments[2].elements ?? []).compactMap(\.bytes), body: arguments[3].bytes)
    request.streaming = streaming
    let options = arguments[4]
    for key in try vm.keys(of: options) {
      let value = try vm.get(key, from: options)
      switch key.symbol.map(vm.text) ?? "" {
      case "timeout": if let seconds = value.double { request.timeout = seconds }
      case "connect_timeout": if let seconds = value.double { request.connectTimeout = seconds }
      case "stall_timeout":
        if let seconds = value.double {
          request.stallTimeout = seconds > 0 ? Int(min(seconds.rounded(.up), Host.forEver)) : 0
        }
      case "verify_peer": request.verifyPeer = value.isTruthy
      case "ca_info": request.caInfo = value.bytes
      case "follow_redirects": request.followRedirects = value.isTruthy
      case "http_version":
        // libcurl's CURL_HTTP_VERSION_ numbers, which the gem's constants have.
        switch value.integer {
        case 1: request.httpVersion = .http10
        case 2: request.httpVersion = .http11
        case 3: request.httpVersion = .http2
        default: request.httpVersion = .automatic
        }
      default: throw vm.exception("ArgumentError", "no such option: \(vm.inspect(key))")
      }
    }
    return request
  }

  // MARK: To Ruby

  /// The Ruby value of an outcome; a failed one is an exception, to be raised where it was waited for.
  func value(of outcome: Outcome) throws(RubyException) -> Value {
    switch outcome {
    case .elapsed, .timedOut: return .nil
    case .ready(let descriptors):
      var pairs: [Value] = []
      for each in descriptors {
        pairs.append(
          try vm.array([
            try vm.integer(Int(each.descriptor)), try vm.integer(Int(each.events.rawValue)),
          ]))
      }
      return try vm.array(pairs)
    case .exited(let status): return try vm.integer(Int(status))
    case .response(let response):
      return try vm.array([
        try vm.integer(response.version.major), try vm.integer(response.version.minor),
        try vm.integer(response.status), try vm.string(response.message),
        try vm.string(response.headers), try vm.string(response.body),
      ])
    case .chunk(let headers, let body):
      return try vm.array([try vm.string(headers), try vm.string(body)])
    case .failed(let failure): return vm.exception("RuntimeError", failure.message).value
    case .worked(.number(let number)): return try vm.integer(number)
    case .worked(.bytes(let bytes)): return try vm.string(bytes)
    case .worked(.addresses(let addresses)):
      var values: [Value] = []
      for each in addresses {
        values.append(
          try vm.array([
            try vm.integer(Int(each.family)), try vm.integer(Int(each.type)),
            try vm.integer(Int(each.protocol)), try vm.string(each.bytes),
          ]))
      }
      return try vm.array(values)
    case .worked(.failed(_, let message)): return vm.exception("SocketError", message).value
    case .error(let number): return vm.systemError("wait", number).value
    }
  }

  // MARK: Outcomes

  /// Goes on with everything whose wait is over.
  func deliverOutcomes() {
    waiter.drain { [self] ticket, outcome in
      if let turn = parked.removeValue(forKey: ticket) {
        resume(turn, outcome)
      } else {
        watchers[ticket]?(outcome)
      }
    }
  }

  private func resume(_ turn: Turn, _ outcome: Outcome) {
    vm.scope {
      do throws(RubyException) {
        resume(turn, with: try value(of: outcome))
      } catch {
        resume(turn, with: error.value)
      }
    }
  }

  /// The caller of a parked request does not want the answer any more: its hook gets Errno::EINTR.
  package func interrupted(_ token: UInt64) {
    let ticket = Ticket(token)
    // Told from inside `park`, before the wait has begun: isInterrupted is looked at there.
    guard let turn = parked[ticket], turn !== running else { return }
    turn.wasInterrupted = true
    parked[ticket] = nil
    waiter.cancel(ticket)
    vm.scope { resume(turn, with: vm.systemError("interrupted", EINTR).value) }
  }

  /// Tells the background work that the script began that it has begun again.
  func endBackgroundWork() {
    for (ticket, turn) in parked where turn.isScripts {
      parked[ticket] = nil
      waiter.cancel(ticket)
      vm.scope { resume(turn, with: ofFUSE("Reloaded", "the script was loaded again")) }
    }
  }

  /// Tells turns that wait that the mount ends: an exception, once, that their ensure clauses see.
  func breakWaits(_ isMeant: (Turn) -> Bool) {
    for (ticket, turn) in parked where !turn.wasToldOfEnd && isMeant(turn) {
      parked[ticket] = nil
      waiter.cancel(ticket)
      turn.wasToldOfEnd = true
      vm.scope { resume(turn, with: ofFUSE("Unmounted", "the filesystem is being unmounted")) }
    }
  }

  /// An exception of one of FUSE's own classes.
  private func ofFUSE(_ name: String, _ message: String) -> Value {
    do throws(RubyException) {
      let klass = try vm.constant(name, in: vm[classes.fuse])
      return try vm.send(klass, names.new, [try vm.string(message)])
    } catch {
      return error.value
    }
  }

  /// Does something after so many seconds, while the mount lives.
  func after(_ seconds: Double, _ body: @escaping () -> Void) {
    let ticket = makeTicket()
    watchers[ticket] = { [unowned self] _ in
      watchers[ticket] = nil
      body()
    }
    waiter.begin(.timer(seconds: seconds), ticket)
  }
}
