// Statistics: how often, how long and how badly, gathered while a client looks, and told to it once
// an interval.

import ControlProtocol
import FUSE
import Glibc
import Ruby
import System
import Waiting

/// How long something took, how often: in steps of an eighth of a power of two, so that a percentile
/// is at most a sixteenth off.
struct Histogram {
  private(set) var count = 0
  private(set) var errors = 0
  private var buckets = [UInt32](repeating: 0, count: 320)

  mutating func add(_ nanoseconds: UInt64, hasFailed: Bool) {
    count += 1
    if hasFailed { errors += 1 }
    buckets[Histogram.bucket(nanoseconds)] += 1
  }

  private static func bucket(_ value: UInt64) -> Int {
    if value < 8 { return Int(value) }
    let exponent = 63 - value.leadingZeroBitCount
    let step = Int(value >> UInt64(exponent - 3)) & 7
    return min((exponent - 2) * 8 + step, 319)
  }

  /// The time in nanoseconds below which that share of all was.
  func percentile(_ share: Double) -> Double {
    var left = Int((Double(count) * share).rounded(.up))
    for (index, number) in buckets.enumerated() {
      left -= Int(number)
      guard left <= 0 else { continue }
      if index < 8 { return Double(index) }
      let start = UInt64(8 + index % 8) << UInt64(index / 8 - 1)
      return Double(start) + Double(UInt64(1) << UInt64(index / 8 - 1)) / 2
    }
    return 0
  }

  func row(_ name: String) -> JSON {
    [
      "name": .string(name), "count": .integer(count), "errors": .integer(errors),
      "p50": .number(percentile(0.5) / 1000), "p99": .number(percentile(0.99) / 1000),
    ]
  }
}

/// What is gathered for one client.
final class StatisticsFeed {
  unowned let connection: ControlConnection
  let interval: Double
  private var operations = [Histogram?](repeating: nil, count: Operation.allCases.count)
  private var hooks = [Histogram?](repeating: nil, count: Hook.allCases.count)
  private var paths: [[UInt8]: (count: Int, errors: Int, time: UInt64)] = [:]
  private var began = monotonicNanoseconds()
  fileprivate(set) var isOver = false

  /// How many paths are told apart in one interval, and how many are told.
  private static let mostPaths = 4096
  private static let toldPaths = 20

  init(_ connection: ControlConnection, interval: Double) {
    self.connection = connection
    self.interval = interval
  }

  func take(_ event: TraceEvent) {
    var hasFailed = false
    if case .failure = event.result { hasFailed = true }
    operations[event.operation.rawValue, default: Histogram()]
      .add(event.total, hasFailed: hasFailed)
    let path = [UInt8](event.notes.path)
    guard !path.isEmpty, paths.count < StatisticsFeed.mostPaths || paths[path] != nil else {
      return
    }
    var entry = paths[path] ?? (0, 0, 0)
    entry.count += 1
    entry.errors += hasFailed ? 1 : 0
    entry.time += event.total
    paths[path] = entry
  }

  func take(_ hook: Hook, _ duration: UInt64, hasFailed: Bool) {
    hooks[hook.rawValue, default: Histogram()].add(duration, hasFailed: hasFailed)
  }

  /// What was gathered since the last time.
  func report() -> [String: JSON] {
    let now = monotonicNanoseconds()
    defer {
      began = now
      operations = operations.map { _ in nil }
      hooks = hooks.map { _ in nil }
      paths = [:]
    }
    let busiest = paths.sorted { $0.value.count > $1.value.count }.prefix(StatisticsFeed.toldPaths)
    return [
      "seconds": .number(Double(now - began) / 1e9),
      "operations": .array(
        Operation.allCases.compactMap { operations[$0.rawValue]?.row($0.name) }),
      "hooks": .array(Hook.allCases.compactMap { hooks[$0.rawValue]?.row($0.name) }),
      "paths": .array(
        busiest.map { path, entry in
          [
            "path": .string(String(decoding: path, as: UTF8.self)), "count": .integer(entry.count),
            "errors": .integer(entry.errors),
            "microseconds": .number(Double(entry.time) / 1000),
          ]
        }),
    ]
  }
}

extension [Histogram?] {
  fileprivate subscript(index: Int, default fallback: @autoclosure () -> Histogram) -> Histogram {
    get { self[index] ?? fallback() }
    _modify {
      var histogram = self[index].take() ?? fallback()
      defer { self[index] = histogram }
      yield &histogram
    }
  }
}

/// Tells clients how the mount is.
final class MountStatistics {
  private let configuration: HostConfiguration
  private let scheduler: Scheduler
  private let filesystem: Filesystem
  private let tracer: Tracer
  /// Where the filesystem is mounted.
  var mountPoint = ""

  init(
    _ configuration: HostConfiguration, _ scheduler: Scheduler, _ filesystem: Filesystem,
    _ tracer: Tracer
  ) {
    self.configuration = configuration
    self.scheduler = scheduler
    self.filesystem = filesystem
    self.tracer = tracer
  }

  /// How many waiting hooks are told one by one.
  private static let toldWaits = 50

  /// Sends statistics to a client from now on, once an interval.
  func feedStatistics(to connection: ControlConnection, every seconds: Double) {
    if let old = connection.statistics.take() { stop(old) }
    let feed = StatisticsFeed(connection, interval: min(max(seconds, 0.05), 3600))
    connection.statistics = feed
    tracer.add(feed)
    feedLater(feed)
  }

  func stop(_ feed: StatisticsFeed) {
    feed.isOver = true
    tracer.remove(feed)
  }

  private func feedLater(_ feed: StatisticsFeed) {
    scheduler.waits.after(feed.interval) { [unowned self] in
      guard !feed.isOver else { return }
      feed.connection.send(.object(feed.report().merging(state()) { $1 }))
      feed.connection.deliver()
      feedLater(feed)
    }
  }

  /// How the mount is: its tree, its memory, which task waits for what.
  private func state() -> [String: JSON] {
    let memory = scheduler.interpreter.vm.memory
    let now = monotonicNanoseconds()
    let waits = scheduler.waits.tasks.sorted { $0.waitsSince < $1.waitsSince }
    return [
      "mountpoint": .string(mountPoint), "script": .string(configuration.script),
      "pid": .integer(Int(getpid())), "nodes": .integer(filesystem.tree.count),
      "pool": .integer(filesystem.tree.all.reduce(0) { $0 + ($1.instance == nil ? 0 : 1) }),
      "open": .integer(filesystem.handles.count), "ruby_bytes": .integer(memory.live),
      "objects": .integer(memory.objects),
      "resident_bytes": .integer(MountStatistics.residentBytes),
      "waits": .integer(waits.count),
      "waiting": .array(
        waits.prefix(MountStatistics.toldWaits).map { task in
          [
            "who": .string(task.node == nil ? task.operation.name : task.hook.name),
            "path": .string(task.node?.pathText ?? ""),
            "for": .string(task.waitsFor?.summary ?? ""),
            "seconds": .number(Double(now - task.waitsSince) / 1e9),
            "pid": .integer(Int(task.context.pid)),
          ]
        }),
    ]
  }

  /// The process's memory that is in use, in bytes. proc_pid_statm(5).
  private static var residentBytes: Int {
    let text = (try? SourceFile.read("/proc/self/statm")) ?? []
    let pages = text.split(separator: UInt8(ascii: " ")).dropFirst().first
    return (pages.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0) * Int(getpagesize())
  }
}

extension Wait {
  /// What is waited for, in a few words.
  var summary: String {
    switch self {
    case .timer(let seconds): seconds >= 1e9 ? "sleep" : "sleep \(seconds)"
    case .descriptors(let list, _):
      "descriptor " + list.map { "\($0.descriptor)" }.joined(separator: ", ")
    case .child(let pid, _): "process \(pid)"
    case .request(let request): "\(request.method) \(String(decoding: request.url, as: UTF8.self))"
    case .nextEvent: "more of a response"
    case .work: "a name server"
    case .task: "the disk"
    }
  }
}
