import Glibc
import Testing

/// A script for a test to mount.
enum Script: ExpressibleByStringInterpolation {
  case source(String)
  /// A file of Examples.
  case example(String)

  init(stringLiteral source: String) { self = .source(source) }
}

/// Mounts a script at a folder of its own, lets `body` look into it, and unmounts it, whatever happens.
///
/// The process has to end with status 0 (or as `body` sees it end, if it waits for that), and what it
/// wrote to standard error must be nothing, or what `reports` says is expected.
///
/// - Parameters:
///   - mountPoint: where the script itself says that it mounts (FUSE.path), which has to exist; without
///     it the command line names a directory in the private folder.
///   - options: of fusuma's command line, before the script.
///   - arguments: the script's ARGV.
///   - files: further files beside the script, by name.
///   - reports: whether the script is expected to cause reports on standard error.
///   - deadline: seconds after which the process is killed.
func withMount<R>(
  _ script: Script, at mountPoint: String? = nil, options: [String] = [],
  arguments: [String] = [], environment: [String: String] = [:], files: [String: String] = [:],
  as user: User = .current, ending: Program.Ending = .exited(0), reports: Bool = false,
  deadline: Double = 60, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (Mount) throws -> R
) throws -> R {
  let folder = try Folder(owner: user)
  for (name, text) in files { try folder.write(name, text) }
  let mount = try Mount(
    folder, script, at: mountPoint, options: options, arguments: arguments,
    environment: environment, user: user, deadline: deadline)
  do {
    try mount.waitUntilReady()
    let result = try body(mount)
    mount.unmount()
    #expect(mount.program.wait() == ending, "\(mount.log)", sourceLocation: sourceLocation)
    if !reports { #expect(mount.log == "", sourceLocation: sourceLocation) }
    for word in Mount.suspiciousWords {
      #expect(!mount.log.contains(word), "\(mount.log)", sourceLocation: sourceLocation)
    }
    return result
  } catch {
    mount.unmount()
    mount.program.wait()
    if !mount.log.isEmpty { Issue.record("\(mount.log)", sourceLocation: sourceLocation) }
    throw error
  }
}

/// A live mount.
final class Mount {
  /// Where it is mounted, without a slash at the end.
  let path: String
  /// A private folder, with the script in it, and gone when the test is over.
  let folder: Folder
  /// fusuma.
  let program: Program
  let user: User

  /// What no log of a process that served well has in it.
  static let suspiciousWords = [
    "Fatal error", "SIGSEGV", "Assertion", "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer", "runtime error", "Stack dump", "Crashed",
  ]

  /// The binary that was built with these tests, or $FUSUMA.
  static let binary: String = {
    if let given = getenv("FUSUMA") { return String(cString: given) }
    guard let runner = realpath("/proc/self/exe", nil) else { return "fusuma" }
    defer { free(runner) }
    return String(cString: dirname(runner)) + "/fusuma"
  }()

  fileprivate init(
    _ folder: Folder, _ script: Script, at mountPoint: String?, options: [String],
    arguments: [String], environment: [String: String], user: User, deadline: Double
  ) throws {
    self.folder = folder
    self.user = user
    let file: String
    switch script {
    case .source(let text): file = try folder.write("script.rb", text)
    case .example(let name): file = Folder.package + "/Examples/" + name
    }
    path = try mountPoint ?? folder.makeDirectory("mnt")
    var words = [Mount.binary] + options + [file]
    if mountPoint == nil { words.append(path) }
    if !arguments.isEmpty { words += ["--"] + arguments }
    program = try Program(
      words, as: user, in: folder.path, environment: environment, deadline: deadline)
  }

  /// What fusuma and the script have written to standard output so far.
  var output: String { program.output }
  /// What fusuma has written to standard error so far.
  var log: String { program.errors }

  /// Whether something is mounted there.
  var isLive: Bool { MountTable.has(path) }

  fileprivate func waitUntilReady() throws {
    try #require(
      eventually(within: 30) { isLive || program.hasEnded } && isLive,
      "it did not mount: \(log)")
  }

  /// Unmounts as a user does; what is in use after a while, lazily; and waits for the end.
  func unmount() {
    let isGone = eventually(within: 5) {
      program.hasEnded || !isLive || fusermount("-q") || program.hasEnded
    }
    if !isGone || isLive { _ = fusermount("-z") }
    if !eventually(within: 20, { program.hasEnded }) {
      Issue.record("it did not end after its unmount, and was killed")
      program.signal(SIGKILL)
    }
    if isLive { _ = fusermount("-z") }
  }

  private func fusermount(_ option: String) -> Bool {
    (try? run(["fusermount3", "-u", option, path], as: user).status) == 0
  }

  /// Runs a shell command in the mount's root directory, as the user who mounted it.
  func sh(_ command: String, deadline: Double = 20) throws -> Outcome {
    // The shell itself goes there: its parent may not be allowed to.
    try run(["sh", "-c", "cd \"$0\" && \(command)", path], as: user, deadline: deadline)
  }
}

/// What is mounted on this machine. proc_pid_mountinfo(5).
enum MountTable {
  /// Whether something is mounted at a path.
  static func has(_ path: String) -> Bool {
    guard let text = try? Folder.read("/proc/self/mountinfo") else { return false }
    return text.contains(" \(path) ")
  }

  /// The device number of what is mounted at a path, "0:57".
  static func device(of path: String) -> String? {
    let lines = (try? Folder.read("/proc/self/mountinfo"))?.split(separator: "\n") ?? []
    return lines.last { $0.contains(" \(path) ") }?.split(separator: " ").dropFirst(2).first
      .map(String.init)
  }
}
