import Glibc
import Synchronization

/// Calls `body` with each number below `count`, all at once, each on a thread of its own with a small
/// stack; returns when all are through.
func concurrently(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  final class Work: Sendable {
    let number: Int
    let body: @Sendable (Int) -> Void
    init(_ number: Int, _ body: @escaping @Sendable (Int) -> Void) {
      (self.number, self.body) = (number, body)
    }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  pthread_attr_setstacksize(&attributes, 256 << 10)
  var threads: [pthread_t] = []
  for number in 0..<count {
    var thread = pthread_t()
    let work = Unmanaged.passRetained(Work(number, body))
    let code = pthread_create(
      &thread, &attributes,
      { pointer in
        guard let pointer else { return nil }
        let work = Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue()
        work.body(work.number)
        return nil
      }, work.toOpaque())
    if code == 0 { threads.append(thread) } else { work.release() }
  }
  for thread in threads { pthread_join(thread, nil) }
  pthread_attr_destroy(&attributes)
}

/// How long `body` takes, in seconds.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  let start = Poll.now
  try body()
  return Poll.now - start
}

/// What a process holds. proc(5).
struct Holdings {
  let descriptors: Int
  let threads: Int
  /// Resident memory, now and at most so far, in KiB.
  let resident: Int
  let peak: Int

  init(of pid: pid_t) throws {
    descriptors = try Holdings.count("/proc/\(pid)/fd")
    threads = try Holdings.count("/proc/\(pid)/task")
    let status = try Folder.read("/proc/\(pid)/status")
    resident = Holdings.number("VmRSS:", status)
    peak = Holdings.number("VmHWM:", status)
  }

  private static func count(_ directory: String) throws -> Int {
    guard let stream = opendir(directory) else { throw SystemError() }
    defer { closedir(stream) }
    var count = 0
    while readdir(stream) != nil { count += 1 }
    return count
  }

  private static func number(_ name: String, _ text: String) -> Int {
    let line = text.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
    return line.split(separator: " ").compactMap { Int($0.filter(\.isNumber)) }.first ?? 0
  }
}
