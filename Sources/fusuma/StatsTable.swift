import ControlProtocol
import System
import Terminal

/// What a mount told of an interval, as lines for people.
struct StatsTable {
  private let report: JSON

  init(_ report: JSON) { self.report = report }

  /// The whole table.
  var lines: [String] {
    [head, memory] + table("operation", "operations") + table("hook", "hooks") + paths + waiting
  }

  private var seconds: Double { max(report["seconds"]?.double ?? 1, 0.001) }

  private func number(_ name: String) -> Int { report[name]?.integer ?? 0 }

  private var head: String {
    let operations = (report["operations"]?.array ?? [])
      .reduce(0.0) { $0 + Double($1["count"]?.integer ?? 0) }
    return Terminal.paint(text(report["mountpoint"]), .bold)
      + "  \(text(report["script"]))  pid \(number("pid"))  "
      + "\(whole(operations / seconds)) operations/s"
  }

  private var memory: String {
    "pool \(number("pool"))  nodes \(number("nodes"))  open \(number("open"))  "
      + "memory \(mebibytes("resident_bytes"))  ruby \(mebibytes("ruby_bytes"))  "
      + "objects \(number("objects"))  waiting \(number("waits"))"
  }

  private func mebibytes(_ name: String) -> String {
    "\(fixed(Double(number(name)) / 1_048_576)) MiB"
  }

  // MARK: Rows

  private func table(_ title: String, _ name: String) -> [String] {
    let rows = (report[name]?.array ?? []).sorted {
      ($0["count"]?.integer ?? 0) > ($1["count"]?.integer ?? 0)
    }
    guard !rows.isEmpty else { return [] }
    let head =
      pad(title, 18) + right("per s", 10) + right("p50 us", 10) + right("p99 us", 10)
      + right("errors", 9)
    return ["", Terminal.paint(head, .faint)]
      + rows.map { row in
        pad(text(row["name"]), 18)
          + right(rate(row["count"]), 10)
          + right(fixed(row["p50"]?.double ?? 0), 10) + right(fixed(row["p99"]?.double ?? 0), 10)
          + errors(row["errors"]?.integer ?? 0)
      }
  }

  private var paths: [String] {
    let rows = report["paths"]?.array ?? []
    guard !rows.isEmpty else { return [] }
    let head = pad("path", 38) + right("per s", 10) + right("errors", 9)
    return ["", Terminal.paint(head, .faint)]
      + rows.prefix(10).map { row in
        pad(text(row["path"]), 38) + right(rate(row["count"]), 10)
          + errors(row["errors"]?.integer ?? 0)
      }
  }

  private var waiting: [String] {
    let rows = report["waiting"]?.array ?? []
    guard !rows.isEmpty else { return [] }
    let head = pad("waiting", 18) + pad("for", 36) + right("since s", 8) + "  path"
    return ["", Terminal.paint(head, .faint)]
      + rows.prefix(10).map { row in
        pad(text(row["who"]), 18) + pad(text(row["for"]), 36)
          + right(fixed(row["seconds"]?.double ?? 0), 8) + "  \(text(row["path"]))"
      }
  }

  // MARK: Cells

  private func rate(_ count: JSON?) -> String { fixed(Double(count?.integer ?? 0) / seconds) }

  private func errors(_ count: Int) -> String {
    let text = right("\(count)", 9)
    return count > 0 ? Terminal.paint(text, .red) : text
  }

  /// What a mount says is not trusted: it may be of any length, and hold what a terminal obeys.
  private func text(_ value: JSON?) -> String {
    Printable.line(String((value?.string ?? "").prefix(4096)))
  }

  /// A number without its decimals; one that no count of anything comes to is shown as a dash.
  private func whole(_ number: Double) -> String {
    Int(exactly: number.rounded(.down)).map(String.init) ?? "-"
  }

  /// A number with one decimal.
  private func fixed(_ number: Double) -> String {
    guard let tenths = Int(exactly: (number * 10).rounded()) else { return "-" }
    return "\(tenths / 10).\(abs(tenths % 10))"
  }

  private func pad(_ text: String, _ width: Int) -> String {
    let cut = text.count < width ? text : text.prefix(width - 2) + "~"
    return cut + String(repeating: " ", count: width - cut.count)
  }

  private func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(width - text.count, 0)) + text
  }
}
