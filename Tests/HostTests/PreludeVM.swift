import Glibc
import HTTP
import Ruby

@testable import Host

/// A VM with the prelude and its natives, and just enough of a host to run several turns at once.
///
/// `FUSE.__go { ... }` runs a block in a turn of its own. A wait parks its turn where that can be
/// done, and is done in place elsewhere.
final class PreludeVM {
  let vm: VM
  private let waiter: Waiter
  private var parked: [Ticket: VM.Root] = [:]
  private var running: VM.Root?
  /// Blocks given to __go, which begin when the running turn has parked or ended.
  private var waiting: [VM.Root] = []
  private var lastTicket: UInt64 = 0
  private var answer: TurnOutcome?
  private var main: VM.Root?
  /// How many waits parked their turn.
  private(set) var parkings = 0

  init() throws {
    signal(SIGPIPE, SIG_IGN)
    vm = try VM()
    waiter = try Waiter()
    try Surroundings.define(in: vm)
    try installTurns()
    try waiter.start()
  }

  deinit { waiter.stop() }

  /// What `inspect` says of the source's value; the class and message of what it raised.
  func callAsFunction(_ source: String, file: String = "test.rb") throws -> String {
    answer = nil
    main = nil
    main = try start(Array(source.utf8), file)
    while answer == nil {
      try turn()
    }
    switch answer {
    case .returned(let value): return vm.inspect(value)
    case .raised(let exception), .ended(let exception):
      let description = vm.describe(exception)
      return "\(description.className): \(description.message)"
    case .parked, nil: return "?"
    }
  }

  /// Goes on until every turn is over.
  func finish() throws {
    while !parked.isEmpty || !waiting.isEmpty { try turn() }
  }

  // MARK: Turns

  private func start(_ source: [UInt8], _ file: String) throws -> VM.Root {
    let fiber = try fiber(calling: "__eval", 2)
    let fuse = try vm.constant("FUSE")
    let arguments: [Argument] = [
      .value(try vm.string(source)), .value(try vm.string(file)),
    ]
    run(fiber) { vm.call(vm[fiber], fuse, arguments, count: 2) }
    return fiber
  }

  private func fiber(calling method: String, _ count: Int) throws -> VM.Root {
    let maker = try vm.send(
      try vm.constant("FUSE"), "__fiber_maker", [vm.name(method).value, try vm.integer(count)])
    return try vm.retain(try vm.send(maker, "call"))
  }

  private func run(_ fiber: VM.Root, _ body: () -> TurnOutcome) {
    let outer = running
    running = fiber
    let outcome = body()
    running = outer
    if case .parked = outcome { return }
    // The first turn is known as the main one only once it has parked or ended.
    if main == nil || main == fiber { answer = outcome }
  }

  private func turn() throws {
    while !waiting.isEmpty {
      let block = waiting.removeFirst()
      let fiber = try fiber(calling: "call", 0)
      run(fiber) { vm.call(vm[fiber], vm[block], [], count: 0) }
    }
    var descriptor = pollfd(fd: waiter.eventDescriptor, events: Int16(POLLIN), revents: 0)
    poll(&descriptor, 1, parked.isEmpty ? 0 : 10_000)
    var outcomes: [(Ticket, Outcome)] = []
    waiter.drain { outcomes.append(($0, $1)) }
    for (ticket, outcome) in outcomes {
      guard let fiber = parked.removeValue(forKey: ticket) else { continue }
      let value = try value(of: outcome, ticket)
      run(fiber) { vm.proceed(vm[fiber], with: value) }
    }
  }

  private func installTurns() throws {
    try vm.define("FUSE", "__raised") { [unowned self] call throws(RubyException) in
      vm.markRaised()
      return call[0]
    }
    try vm.define("FUSE", "__at_turn?") { [unowned self] _ in
      Value(running.map { vm.isCurrent(vm[$0]) } ?? false)
    }
    try vm.define("FUSE", "__go") { [unowned self] call throws(RubyException) in
      waiting.append(try vm.retain(call.block))
      return .nil
    }
    try vm.define("FUSE", "__parkings") { [unowned self] _ throws(RubyException) in
      try vm.integer(parkings)
    }
    try vm.define("FUSE", "__http_close") { [unowned self] call throws(RubyException) in
      waiter.cancel(Ticket(UInt64(call[0].integer ?? 0)))
      return .nil
    }
    try vm.define("FUSE", "__park") { [unowned self] call throws(RubyException) in
      guard let kind = call[0].symbol, let arguments = call[1].elements else { return .nil }
      lastTicket += 1
      var ticket = Ticket(lastTicket)
      let name = vm.text(kind)
      if name == "http_stream" {
        var request = try request(arguments)
        request.streaming = true
        streams[lastTicket] = request
        return try vm.integer(Int(lastTicket))
      }
      if name == "http_next" { ticket = Ticket(UInt64(arguments[0].integer ?? 0)) }
      let wait = try wait(name, arguments)
      guard let running, vm.canPark(vm[running]) else {
        return try value(of: waiter.runInPlace(wait, ticket), ticket)
      }
      parkings += 1
      parked[ticket] = running
      waiter.begin(wait, ticket)
      return vm.parked
    }
  }

  private var streams: [UInt64: HTTPRequest] = [:]

  private func wait(_ name: String, _ arguments: [Value]) throws(RubyException) -> Wait {
    switch name {
    case "sleep": return .timer(seconds: arguments[0].double ?? 1e12)
    case "descriptors":
      let list = (arguments[0].elements ?? []).map {
        WatchedDescriptor(
          Int32($0[0].integer ?? -1), DescriptorEvents(rawValue: Int16($0[1].integer ?? 0)))
      }
      return .descriptors(list, timeout: arguments[1].double)
    case "resolve": return .resolve(host: arguments[0].bytes, service: arguments[1].bytes)
    case "http": return .request(try request(arguments))
    case "http_next":
      let stream = UInt64(arguments[0].integer ?? 0)
      return streams.removeValue(forKey: stream).map { .request($0) } ?? .nextEvent
    default: throw vm.exception("NotImplementedError", name)
    }
  }

  private func request(_ arguments: [Value]) throws(RubyException) -> HTTPRequest {
    var request = HTTPRequest(
      method: arguments[0].text ?? "", url: arguments[1].bytes ?? [],
      headers: (arguments[2].elements ?? []).map { $0.bytes ?? [] }, body: arguments[3].bytes)
    func option(_ name: String) throws(RubyException) -> Value {
      try vm.get(vm.name(name).value, from: arguments[4])
    }
    if let timeout = try option("timeout").double { request.timeout = timeout }
    if let stall = try option("stall_timeout").integer { request.stallTimeout = stall }
    request.followRedirects = try option("follow_redirects").isTruthy
    request.verifyPeer = try option("verify_peer").isTruthy
    request.httpVersion = try option("http_version").integer == 1 ? .http10 : .http11
    return request
  }

  private func value(of outcome: Outcome, _ ticket: Ticket) throws(RubyException) -> Value {
    switch outcome {
    case .elapsed: return .true
    case .timedOut: return .nil
    case .ready(let list):
      let found = try vm.array([])
      for watched in list {
        let pair = [
          try vm.integer(Int(watched.descriptor)), try vm.integer(Int(watched.events.rawValue)),
        ]
        try vm.push(try vm.array(pair), onto: found)
      }
      return found
    case .worked(.addresses(let list)):
      let found = try vm.array([])
      for address in list {
        let numbers = [address.family, address.type, address.protocol]
        var parts: [Value] = []
        for number in numbers { parts.append(try vm.integer(Int(number))) }
        try vm.push(try vm.array(parts + [try vm.string(address.bytes)]), onto: found)
      }
      return found
    case .worked(.failed(_, let message)): return vm.exception("SocketError", message).value
    case .response(let response):
      let parts = [
        try vm.integer(response.version.major), try vm.integer(response.version.minor),
        try vm.integer(response.status), try vm.string(response.message),
        try vm.string(response.headers), try vm.string(response.body),
      ]
      return try vm.array(parts)
    case .chunk(let headers, let body):
      return try vm.array([try vm.string(headers), try vm.string(body)])
    case .failed(let failure): return vm.exception("RuntimeError", failure.message).value
    case .error(let number): return vm.systemError("wait", number).value
    default: return .nil
    }
  }
}
