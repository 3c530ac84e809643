import Glibc
import HTTP

extension HTTPRequest {
  /// A request as tests write it.
  init(_ method: String, _ url: String, headers: [String] = [], body: [UInt8]? = nil) {
    self.init(
      method: method, url: Array(url.utf8), headers: headers.map { Array($0.utf8) }, body: body)
    timeout = 10
  }

  /// A GET as tests write it.
  init(_ url: String, headers: [String] = []) { self.init("GET", url, headers: headers) }
}

extension Transfers {
  /// Carries out one request alone, and returns what came of it.
  func perform(_ request: HTTPRequest) throws -> HTTPResponse {
    start(request, ticket: 1)
    while true {
      for case .finished(_, let result) in takeEvents() { return try result.get() }
      try poll()
    }
  }

  /// Why a request that has to fail did so; nil where it did not.
  func failure(of request: HTTPRequest) throws -> HTTPFailure? {
    do {
      _ = try perform(request)
      return nil
    } catch let failure as HTTPFailure {
      return failure
    }
  }

  /// Polls until there are events, and takes them; gives up after ten seconds without.
  func nextEvents() throws -> [TransferEvent] {
    for _ in 0..<1000 {
      let events = takeEvents()
      if !events.isEmpty { return events }
      try poll(timeout: 0.01)
    }
    return []
  }
}

/// How long something took, in seconds.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  let time = try ContinuousClock().measure(body)
  return Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
}

/// The resident memory of this process in bytes. proc_pid_statm(5).
func residentBytes() -> Int {
  guard let file = fopen("/proc/self/statm", "r") else { return 0 }
  defer { fclose(file) }
  var text = [CChar](repeating: 0, count: 128)
  guard fgets(&text, Int32(text.count), file) != nil else { return 0 }
  let words = String(decoding: text.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(
    separator: " ")
  return (words.count > 1 ? Int(words[1]) ?? 0 : 0) * 4096
}

/// Whether the address or thread sanitizer is at work, which makes figures of memory meaningless.
let isSanitized = dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil
