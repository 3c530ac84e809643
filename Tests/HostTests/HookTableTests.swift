import Foundation
import Testing

@testable import Host

/// The table of hooks, the README's table and libfuse's own must tell the same.
@Suite struct HookTableTests {
  @Test func eachHookIsAtItsOwnPlace() {
    #expect(Hook.table.map(\.hook) == Hook.allCases)
    #expect(Set(Hook.table.map(\.name)).count == Hook.table.count)
  }

  @Test func theReadmeListsEveryHookWithItsArguments() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let readme = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
    var listed: [String: [String]] = [:]
    for line in readme.split(separator: "\n") where line.hasPrefix("| `on_") {
      let cells = line.split(separator: "|", omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }
      let name = cells[1].replacing("`", with: "")
      listed[name] = cells[2].replacing("`", with: "").split(separator: ",")
        .map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let table = Dictionary(uniqueKeysWithValues: Hook.table.map { ($0.name, $0.arguments) })
    #expect(listed == table)
  }

  @Test func everyOperationOfLibfuseHasItsHook() throws {
    let header = try String(contentsOfFile: "/usr/include/fuse3/fuse.h", encoding: .utf8)
    let start = try #require(header.range(of: "struct fuse_operations {"))
    let end = try #require(header.range(of: "\n};", range: start.upperBound..<header.endIndex))
    let fields = header[start.upperBound..<end.lowerBound].matches(of: /\(\*([a-z_]+)\)/)
      .map { String($0.output.1) }
    #expect(fields.count > 40)
    // What the low-level session has no separate request for: the buffers are those of read and
    // write, and the two that are called once are methods of the class.
    let elsewhere: Set = ["read_buf", "write_buf", "init", "destroy"]
    let hooks = Set(Hook.table.map(\.name))
    for field in Set(fields).subtracting(elsewhere) {
      #expect(hooks.contains("on_\(field)"), "struct fuse_operations has \(field)")
    }
  }
}
