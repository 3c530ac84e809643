import Glibc

/// A program that a test started.
///
/// Invariant: it is dead and reaped when this is gone, whatever it was stuck in, and never outlives its
/// deadline.
final class Program {
  /// How a program ended.
  enum Ending: Equatable {
    case exited(Int32)
    case killed(by: Int32)
  }

  /// Of the process, and of its group.
  let pid: pid_t
  private let standardOutput: CapturedOutput
  private let standardError: CapturedOutput
  private var ending: Ending?

  /// Starts a program, found in PATH, with nothing on its standard input.
  ///
  /// - Parameter deadline: seconds after which it is killed, with everything that it started.
  init(
    _ words: [String], as user: User = .current, in directory: String = "/",
    environment: [String: String] = [:], deadline: Double = 60
  ) throws {
    let output = try CapturedOutput()
    let errors = try CapturedOutput()
    (standardOutput, standardError) = (output, errors)

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output.descriptor, STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, errors.descriptor, STDERR_FILENO)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))

    let words = ["env", "-C", directory, "--"] + user.prefix + words
    pid = try Program.spawn(
      words, Program.inherited.merging(environment) { $1 }, &actions, &attributes, deadline)
  }

  /// Starts a program that the watchdog ends when it is overdue. posix_spawnp(3).
  static func spawn(
    _ words: [String], _ environment: [String: String],
    _ actions: inout posix_spawn_file_actions_t, _ attributes: inout posix_spawnattr_t,
    _ deadline: Double
  ) throws -> pid_t {
    let argv = words.map { strdup($0) } + [nil]
    let envp = environment.map { strdup("\($0)=\($1)") } + [nil]
    defer { for word in argv + envp { free(word) } }
    var pid = pid_t()
    let code = posix_spawnp(&pid, words[0], &actions, &attributes, argv, envp)
    guard code == 0 else { throw SystemError(code) }
    Watchdog.watch(pid, seconds: deadline)
    return pid
  }

  deinit {
    if ending == nil {
      kill(-pid, SIGKILL)
      wait()
    }
  }

  /// What a program finds in its environment: little, so that no test depends on who runs it.
  static let inherited: [String: String] = {
    var variables = ["PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"]
    for name in ["ASAN_OPTIONS", "LSAN_OPTIONS", "LD_LIBRARY_PATH"] {
      if let value = getenv(name) { variables[name] = String(cString: value) }
    }
    return variables
  }()

  /// What it has written so far.
  var output: String { standardOutput.text }
  var errors: String { standardError.text }

  func signal(_ number: Int32) {
    if !hasEnded { kill(pid, number) }
  }

  /// Whether it has ended by now.
  var hasEnded: Bool {
    if ending != nil { return true }
    var status: Int32 = 0
    guard waitpid(pid, &status, WNOHANG) == pid else { return false }
    Watchdog.forget(pid)
    ending = status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .killed(by: status & 0x7F)
    return true
  }

  /// How it ended; waits for that, until the deadline at most.
  @discardableResult
  func wait() -> Ending {
    while !hasEnded { usleep(Poll.interval) }
    return ending ?? .killed(by: 0)
  }
}

/// What a program came to.
struct Outcome: CustomStringConvertible {
  let ending: Program.Ending
  let output: String
  let errors: String

  /// The exit status; nil for a program that was killed.
  var status: Int32? { if case .exited(let status) = ending { status } else { nil } }
  var description: String { "\(ending), output \"\(output)\", errors \"\(errors)\"" }
}

/// Runs a program to its end.
func run(
  _ words: [String], as user: User = .current, in directory: String = "/",
  environment: [String: String] = [:], deadline: Double = 20
) throws -> Outcome {
  let program = try Program(
    words, as: user, in: directory, environment: environment, deadline: deadline)
  let ending = program.wait()
  return Outcome(ending: ending, output: program.output, errors: program.errors)
}

/// A file without a name that a program writes to, and that can be read meanwhile.
private final class CapturedOutput {
  let descriptor: Int32

  init() throws {
    var template = Array("/tmp/fusuma-output.XXXXXX".utf8CString)
    let named = mkstemp(&template)
    guard named >= 0 else { throw SystemError() }
    // Opened once more, because that is how to have O_APPEND and O_CLOEXEC from the beginning.
    descriptor = open(template, O_RDWR | O_APPEND | O_CLOEXEC)
    close(named)
    guard descriptor >= 0 else { throw SystemError() }
    unlink(template)
    // Reopened by path by programs of other users, such as `echo > /dev/stderr`.
    fchmod(descriptor, 0o666)
  }

  deinit { close(descriptor) }

  var text: String {
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { return "" }
    var bytes = [UInt8](repeating: 0, count: Int(information.st_size))
    let count = pread(descriptor, &bytes, bytes.count, 0)
    return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
  }
}
