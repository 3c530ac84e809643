// The control socket: through it a mount can be looked into, by the user who mounted it.
//
// Invariants: everything here happens on the VM's thread, between two operations; a signal, and after
// the first client the waiter, only says when to look. A client is served only if the kernel says that
// it is the user who mounts, or root.

import CLinux
import ControlProtocol
import Glibc
import Ruby
import System
import Waiting

/// Listens for clients and does what they ask.
final class ControlServer {
  private let waits: Waits
  private let consoles: Consoles
  private let statistics: MountStatistics
  private let tracer: Tracer
  private let script: String
  let status: StatusPage
  private let address: ControlAddress
  private let listener: Int32
  /// The socket's file, to be told from a later mount's of the same name.
  private let inode: ino_t
  /// Reports clients, once there was one; nil before.
  private var ticket: Ticket?
  private var connections: [ObjectIdentifier: ControlConnection] = [:]

  /// More clients than this at once are turned away.
  private static let mostConnections = 64

  /// Opens the socket of a mount; one that a dead process left behind is replaced.
  ///
  /// Throws one line where that cannot be done.
  init(
    _ waits: Waits, _ consoles: Consoles, _ statistics: MountStatistics, _ tracer: Tracer,
    script: String, device: String
  ) throws(HostError) {
    let address = try ControlAddress.make(device: device)
    self.waits = waits
    self.consoles = consoles
    self.statistics = statistics
    self.tracer = tracer
    self.script = script
    self.address = address
    listener = try ControlServer.listen(at: address.socket)
    do throws(HostError) {
      status = try StatusPage.make(address.statusPage, hooks: Hook.table.map(\.name))
    } catch {
      Glibc.close(listener)
      throw error
    }
    inode = ControlServer.inode(address.socket)
  }

  /// The first client knocks: from now on the waiter says when.
  func letIn() {
    Wakeup.callFor(listener, false)
    guard ticket == nil else { return }
    ticket = waits.observe(listener) { [unowned self] in accept() }
  }

  private static func listen(at path: String) throws(HostError) -> Int32 {
    // No other live mount has this device number, so whose socket it was is gone.
    unlink(path)
    let descriptor = socket(
      AF_UNIX,
      Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw HostError("socket: \(SystemError(number: errno))") }
    guard var name = sockaddr_un(path: path) else {
      Glibc.close(descriptor)
      throw HostError("\(path) is too long for a socket's name")
    }
    let mask = umask(0o177)
    let isBound = name.withAddress { bind(descriptor, $0, $1) } == 0
    umask(mask)
    // Before the first can come.
    Wakeup.callFor(descriptor, true)
    guard isBound, Glibc.listen(descriptor, 16) == 0 else {
      let number = errno
      Glibc.close(descriptor)
      throw HostError("\(path): \(SystemError(number: number))")
    }
    return descriptor
  }

  /// Takes the socket away and lets every client go.
  func close() {
    for connection in connections.values {
      _ = connection.flush()
      end(connection)
    }
    if let ticket = ticket.take() { waits.end(ticket) }
    Glibc.close(listener)
    guard ControlServer.inode(address.socket) == inode else { return }
    unlink(address.socket)
    unlink(address.statusPage)
  }

  private static func inode(_ path: String) -> ino_t {
    var information = stat()
    return lstat(path, &information) == 0 ? information.st_ino : 0
  }

  // MARK: Clients

  private func accept() {
    while true {
      let descriptor = Glibc.accept(listener, nil, nil)
      guard descriptor >= 0 else {
        if errno == EINTR || errno == ECONNABORTED { continue }
        // EAGAIN: that was all. Without descriptors (EMFILE) the client has to wait.
        return
      }
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
      var pid: pid_t = 0
      var uid: uid_t = 0
      guard clinux_peer(descriptor, &pid, &uid) == 0, uid == getuid() || uid == 0,
        connections.count < ControlServer.mostConnections
      else {
        Glibc.close(descriptor)
        continue
      }
      let connection = ControlConnection(descriptor, pid: pid, uid: uid)
      connections[ObjectIdentifier(connection)] = connection
      connection.whenPending = { [unowned self, unowned connection] in flush(connection) }
      connection.readTicket = waits.observe(descriptor) { [unowned self, unowned connection] in
        read(connection)
      }
    }
  }

  private func read(_ connection: ControlConnection) {
    guard let lines = connection.receive() else { return end(connection) }
    for line in lines where connection.isOpen {
      obey(JSON(parsing: line) ?? .null, connection)
    }
    flush(connection)
  }

  /// Sends what is pending, now or as the client makes room.
  func flush(_ connection: ControlConnection) {
    guard connection.flush(), connection.writeTicket == nil else { return }
    connection.writeTicket = waits.whenWritable(connection.descriptor) {
      [unowned self, unowned connection] in
      connection.writeTicket = nil
      if connection.isOpen { flush(connection) }
    }
  }

  private func end(_ connection: ControlConnection) {
    connections[ObjectIdentifier(connection)] = nil
    for ticket in [connection.readTicket, connection.writeTicket].compactMap({ $0 }) {
      waits.end(ticket)
    }
    connection.close()
    if let console = connection.console.take() { consoles.close(console) }
    if let sink = connection.sink.take() { tracer.remove(sink) }
    if let feed = connection.statistics.take() { statistics.stop(feed) }
  }

  // MARK: Requests

  private func obey(_ message: JSON, _ connection: ControlConnection) {
    switch message["do"]?.string {
    case "hello":
      connection.send([
        "pid": .integer(Int(getpid())), "script": .string(script),
        "mountpoint": .string(statistics.mountPoint),
      ])
    case "evaluate":
      consoles.evaluate(message["source"]?.string ?? "", for: connection)
    case "complete":
      consoles.complete(message["text"]?.string ?? "", for: connection)
    case "interrupt":
      if let console = connection.console { consoles.interrupt(console) }
    case "trace":
      tracer.trace(message, for: connection)
    case "stats":
      statistics.feedStatistics(to: connection, every: message["interval"]?.double ?? 1)
    default:
      connection.send(["error": "not a request that a mount understands"])
    }
  }
}
