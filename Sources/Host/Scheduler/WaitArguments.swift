// What Ruby asks to wait for, and what it is told of the outcome.
//
// Invariant: arguments and outcomes are made into plain Swift values, or Ruby ones, in one go; nothing
// here waits.

import FUSE
import Glibc
import HTTP
import Ruby
import RubyLibrary
import System
import Waiting

/// Makes the arguments of FUSE.__park into waits, and outcomes into Ruby values.
final class WaitArguments {
  private let vm: VM
  private let waits: Waits
  private let outboxes: Outboxes
  /// The streaming requests that a script has.
  private let streams = HTTPStream.Count()

  init(_ vm: VM, _ waits: Waits, _ outboxes: Outboxes) {
    self.vm = vm
    self.waits = waits
    self.outboxes = outboxes
  }

  /// A box with a streaming request, which begins with the first wait for its events.
  ///
  /// Each has a connection, of which no collector knows: with many of them it is time to look which are
  /// garbage.
  func makeStream(_ arguments: Value) throws(RubyException) -> Value {
    let request = try httpRequest(arguments, streaming: true)
    if streams.open >= streams.due {
      vm.collect()
      streams.due = max(32, 2 * streams.open)
    }
    return try vm.box(HTTPStream(request, waits.makeTicket(), waits.waiter, streams))
  }

  /// Breaks a streaming request off, unless a task waits for it.
  func closeStream(_ box: Value) {
    if let stream = vm.boxed(box) as? HTTPStream, waits.task(stream.ticket) == nil {
      stream.close()
    }
  }

  /// Reaps a child whenever it ends.
  func bury(_ child: Value) {
    guard let pid = child.integer.flatMap({ Int32(exactly: $0) }), pid > 0 else { return }
    waits.waiter.begin(.child(pid, timeout: nil), waits.makeTicket())
  }

  // MARK: From Ruby

  /// In seconds: longer than any process lives.
  private static let forEver = 1e9

  func wait(_ kind: String, _ arguments: Value) throws(RubyException) -> (Wait, Ticket) {
    func argument(_ index: Int) -> Value { arguments.kind == .array ? arguments[index] : .nil }
    switch kind {
    case "sleep":
      let seconds = argument(0)
      return (.timer(seconds: seconds.double ?? WaitArguments.forEver), waits.makeTicket())
    case "event":
      // Its ticket is known before, so that it can be completed.
      guard let ticket = waits.ticket(argument(0).integer) else {
        throw vm.exception("ArgumentError", "no such ticket")
      }
      return (.timer(seconds: argument(1).double ?? WaitArguments.forEver), ticket)
    case "work":
      guard let work = vm.boxed(argument(0)) as? any SlicedWork else {
        throw vm.exception("TypeError", "no work to wait for")
      }
      guard let part = work.nextTask() else { return (.timer(seconds: 0), waits.makeTicket()) }
      let wait = Wait.work {
        part()
        return .number(0)
      }
      return (wait, waits.makeTicket())
    case "descriptors":
      var watched: [WatchedDescriptor] = []
      for pair in argument(0).elements ?? [] where pair.kind == .array {
        let events = Int16(clamping: pair[1].integer ?? 1)
        watched.append(
          WatchedDescriptor(
            try vm.cInt(pair[0], "descriptor"), DescriptorEvents(rawValue: events)))
      }
      return (.descriptors(watched, timeout: argument(1).double), waits.makeTicket())
    case "resolve":
      let service = argument(1).text ?? argument(1).integer.map { "\($0)" }
      return (
        .resolve(host: argument(0).bytes, service: service.map { [UInt8]($0.utf8) }),
        waits.makeTicket()
      )
    case "http":
      return (.request(try httpRequest(arguments, streaming: false)), waits.makeTicket())
    case "outbox": return (try outboxes.wait(arguments), waits.makeTicket())
    case "http_next":
      guard let stream = vm.boxed(argument(0)) as? HTTPStream else {
        throw vm.exception("TypeError", "no stream to wait for")
      }
      guard waits.task(stream.ticket) == nil else {
        throw vm.exception("ArgumentError", "somebody waits for that stream")
      }
      // The first event comes with the request itself, each further one has to be asked for.
      return (stream.request.take().map(Wait.request) ?? .nextEvent, stream.ticket)
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
          request.stallTimeout =
            seconds > 0 ? Int(min(seconds.rounded(.up), WaitArguments.forEver)) : 0
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
    case .worked(.nothing): return .nil
    case .worked(.refused(let number, let message)): return vm.systemError(message, number).value
    case .worked(.list(let results)):
      var values: [Value] = []
      for each in results { values.append(try value(of: .worked(each))) }
      return try vm.array(values)
    case .worked(.failed(_, let message)): return vm.exception("SocketError", message).value
    case .error(let number): return vm.systemError("wait", number).value
    }
  }
}
