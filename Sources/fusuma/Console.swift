import ArgumentParser
import CLinux
import ControlProtocol
import Glibc
import Host
import System
import Terminal

/// Mounts a script's filesystem and opens a console on it, in one terminal.
struct Console: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Mount the filesystem of a script and open a console on it; leaving unmounts.")

  @OptionGroup var mount: Mount

  func run() throws {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC) == 0 else {
      throw HostError("pipe: \(SystemError(number: errno))")
    }
    let child = clinux_fork()
    switch child {
    case -1: throw HostError("fork: \(SystemError(number: errno))")
    case 0: try serve(telling: ends[1])
    default: break
    }
    close(ends[1])
    Interrupt.install()
    guard let mountPoint = readAll(ends[0]) else { throw ExitCode(Console.wait(for: child)) }
    let ending: Prompt.Ending
    do {
      let client = try ControlClient(mountPoint: mountPoint)
      try Attach.greet(client, mountPoint)
      ending = Prompt(client).run()
    } catch {
      kill(child, SIGTERM)
      _ = Console.wait(for: child)
      throw error
    }
    if ending != .unmounted { kill(child, SIGTERM) }
    let status = Console.wait(for: child)
    if status != 0 { throw ExitCode(status) }
    if ending == .cutShort { throw ExitCode.failure }
  }

  /// The child: it mounts, in a process group of its own, so that Ctrl-C is the console's alone.
  private func serve(telling report: Int32) throws -> Never {
    setpgid(0, 0)
    // Its console may be killed: then nobody is left who could unmount.
    _ = clinux_die_with_parent(SIGTERM)
    let null = open("/dev/null", O_RDONLY)
    if null >= 0 { dup2(null, STDIN_FILENO) }
    var configuration = try mount.configuration
    configuration.daemonize = false
    configuration.onLive = { path in
      Terminal.write(RawText.bytes(of: path), to: report)
      close(report)
    }
    Fusuma.finish { try Host(configuration).run() }
  }

  /// What the child tells; nil where it ended before it was mounted.
  private func readAll(_ descriptor: Int32) -> String? {
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return bytes.isEmpty ? nil : RawText.text(of: bytes) }
      bytes += piece.prefix(count)
    }
  }

  private static func wait(for child: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 && errno == EINTR {}
    return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
  }
}
