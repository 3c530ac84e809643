// Going to the background: only after the mount is live, and with the first process still there to
// report where it is not.
//
// Invariant: no thread exists when this forks.

import CLinux
import Glibc
import System
import Waiting

/// The pipe between the first process, which waits, and the one that serves.
struct Background {
  private let report: Int32

  /// Forks. In the first process it does not return: that one ends with the status that the other
  /// reports. In the other one it returns, with its own session and no terminal.
  static func enter() throws(HostError) -> Background {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC) == 0 else {
      throw HostError("going to the background: \(String(cString: strerror(errno)))")
    }
    fflush(nil)
    switch clinux_fork() {
    case -1:
      throw HostError("going to the background: \(String(cString: strerror(errno)))")
    case 0:
      close(ends[0])
      setsid()
      return Background(report: ends[1])
    default:
      close(ends[1])
      // There is nothing to clean up in this process.
      Wakeup.uninstall(Mount.endings)
      var status: UInt8 = 1
      while read(ends[0], &status, 1) < 0 && errno == EINTR {}
      // exit would run what was set up for the process that serves.
      _exit(Int32(status))
    }
  }

  /// Lets the first process end with `status`, and lets go of the terminal; what is redirected to a file
  /// stays so, and standard error also where it is a pipe or a socket. Standard output is let go of there,
  /// as others may wait for its end.
  func leave(status: UInt8) {
    var status = status
    // A first process that is gone needs no report.
    _ = write(report, &status, 1)
    close(report)
    let null = open("/dev/null", O_RDWR)
    guard null >= 0 else { return }
    for number in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] {
      var information = stat()
      let type = fstat(number, &information) == 0 ? information.st_mode & S_IFMT : 0
      let keeps =
        switch number {
        case STDIN_FILENO: false
        case STDOUT_FILENO: type == S_IFREG
        // Reports go on to what collects them.
        default: type == S_IFREG || type == S_IFIFO || type == S_IFSOCK
        }
      if !keeps { dup2(null, number) }
    }
    if null > STDERR_FILENO { close(null) }
  }
}
