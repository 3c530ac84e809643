// One connection with the kernel. A request is read by receive() into the session's one buffer and
// served by process(); only the thread that calls these two touches the session, except for what
// Notifier offers. The userdata of libfuse's session is this object, unretained: every request and
// poll handle holds it by itself, so deinit comes after the last of them.

import CFuse
import CLinux
import Glibc
public import System

/// How a session is made.
public struct SessionOptions: Sendable {
  /// Options for libfuse and the kernel, each as it would stand after `-o`, escapes included.
  public var libraryOptions: [String]
  /// What to agree on with the kernel.
  public var connection: ConnectionSettings

  /// Makes options; none, and the default settings, unless more is said.
  public init(
    libraryOptions: [String] = [], connection: ConnectionSettings = ConnectionSettings()
  ) {
    self.libraryOptions = libraryOptions
    self.connection = connection
  }
}

/// What `Session.receive()` found.
public enum Received: Sendable {
  /// A request, for `Session.process()`.
  case request
  /// Nothing at present.
  case none
  /// Nothing, as a signal came.
  case interrupted
  /// The end: the filesystem was unmounted, or the session was told to exit.
  case ended
}

/// Where a filesystem was mounted, and its number, which no other live mount has.
public struct MountedPlace: Sendable {
  /// The mount point, with no symbolic links in it.
  public let path: String
  let device: String?
  /// Whether the mount is still there, and nothing over it.
  public var isOurs: Bool { device == nil || MountTable.last(at: path)?.device == device }
  /// The connection's number: the minor one of the mount's device. nil where it is not known.
  public var connectionNumber: UInt32? {
    device.flatMap { $0.hasPrefix("0:") ? UInt32($0.dropFirst(2)) : nil }
  }
}

/// A filesystem's connection with the kernel: libfuse's low-level session.
///
/// It keeps its operations alive; operations that know their session should do so weakly.
public final class Session {
  let operations: any Operations
  let settings: ConnectionSettings
  /// libfuse's session; nil only while, or because, it could not be made.
  private(set) var raw: OpaquePointer?
  /// The request that was received last; libfuse makes room for it at the first.
  let buffer: UnsafeMutablePointer<fuse_buf>
  /// Whether the reply to the kernel's first request is about to pass `Transport`.
  var isAnsweringInit = false
  /// Whether the peer is not the kernel but speaks over a socket.
  private(set) var isSocket = false
  /// Whether the connection was closed without libfuse, whose descriptor stands for nothing then.
  private var isDisconnected = false
  /// Where the filesystem is mounted by this session; nil before the mount and after the unmount.
  public private(set) var place: MountedPlace?

  /// What was agreed on with the kernel; nil until its first request has been processed.
  public private(set) var connection: Connection?

  /// Makes a session that is not connected yet.
  ///
  /// Throws what libfuse says of an option that it does not know. See fuse_session_new(3).
  public init(_ operations: any Operations, options: SessionOptions = SessionOptions())
    throws(MountError)
  {
    self.operations = operations
    settings = options.connection
    buffer = .allocate(capacity: 1)
    buffer.initialize(to: fuse_buf())

    var arguments = fuse_args()
    defer { fuse_opt_free_args(&arguments) }
    // The library skips the first argument, the name of a program.
    fuse_opt_add_arg(&arguments, "fuse")
    for option in options.libraryOptions {
      fuse_opt_add_arg(&arguments, RawText.cString("-o" + option))
    }
    let userdata = Unmanaged.passUnretained(self).toOpaque()
    var table = OperationsTable.operations
    var newer = OperationsTable.newer
    let (raw, text) = StandardError.capturing {
      cfuse_session_new(&arguments, &table, &newer, userdata)
    }
    guard let raw else { throw MountError(text: text, errno: nil) }
    self.raw = raw
    LineWriter.standardError.write(Printable.lines(text))
  }

  /// Makes a session that is served over a socket, with no mount: the peer speaks for the kernel.
  ///
  /// The socket is a SOCK_SEQPACKET one, so that messages stay whole; the session closes it.
  public convenience init(
    _ operations: any Operations, options: SessionOptions = SessionOptions(), socket: Int32
  ) throws(MountError) {
    try self.init(operations, options: options)
    isSocket = true
    try connect(to: socket)
  }

  deinit {
    unmount()
    if let raw { fuse_session_destroy(raw) }
    free(buffer.pointee.mem)
    buffer.deallocate()
  }

  /// Mounts the filesystem over a directory or file.
  ///
  /// Throws in the words of libfuse or fusermount3 why it could not be. Requests wait for `receive`.
  /// A process with several threads should know that standard error is theirs meanwhile. See
  /// fuse_session_mount(3).
  public func mount(at path: UnsafePointer<CChar>) throws(MountError) {
    // Before this process would have to reply to its own question.
    let given = RawText.text(of: path)
    let resolved = Path.resolving(given) ?? given
    let (status, text) = StandardError.capturing {
      errno = 0
      return fuse_session_mount(raw, path)
    }
    guard status == 0 else { throw MountError(text: text, errno: .last) }
    place = MountedPlace(path: resolved, device: MountTable.last(at: resolved)?.device)
    LineWriter.standardError.write(Printable.lines(text))
    do { try connect(to: fuse_session_fd(raw)) } catch {
      unmount()
      throw error
    }
  }

  /// Takes the filesystem off its mount point, if it is there; requests still open are lost.
  ///
  /// What else is mounted there, or was moved there meanwhile, stays. See fuse_session_unmount(3).
  public func unmount() {
    guard let place = place.take() else { return }
    // So that libfuse does not complain of replies that come from now on.
    fuse_session_exit(raw)
    if place.isOurs {
      fuse_session_unmount(raw)
    } else {
      // libfuse would unmount whatever is there now. The connection is closed without it: the number
      // stays taken, by nothing, until libfuse closes it with the session.
      let nothing = open("/dev/null", O_RDWR | O_CLOEXEC)
      dup2(nothing, fuse_session_fd(raw))
      _ = fcntl(fuse_session_fd(raw), F_SETFD, FD_CLOEXEC)
      close(nothing)
      isDisconnected = true
    }
  }

  /// Ends the connection at once, while the filesystem is mounted: what waits for a reply gets ECONNABORTED.
  ///
  /// See fusectl in the kernel's documentation of FUSE.
  public func abort() {
    if let number = place?.connectionNumber { clinux_abort_connection(number) }
  }

  /// What to wait on until a request can be received; -1 before the mount and after the unmount.
  ///
  /// It does not block. See fuse_session_fd(3).
  public var descriptor: Int32 { isDisconnected ? -1 : fuse_session_fd(raw) }

  /// Lets `receive` say that the session has ended.
  public func exit() { fuse_session_exit(raw) }

  /// Whether the session has ended.
  public var hasEnded: Bool { fuse_session_exited(raw) != 0 }

  /// For dropping what the kernel has cached, from any thread.
  public var notifier: Notifier { Notifier(session: self) }

  /// Takes the next request into the session's buffer, over the one before.
  ///
  /// Throws what read(2) on the descriptor returns out of the ordinary. See
  /// fuse_session_receive_buf(3).
  @inline(__always)
  public func receive() throws(Errno) -> Received {
    let count = fuse_session_receive_buf(raw, buffer)
    if count > 0 { return .request }
    switch -count {
    case 0: return .ended
    case EAGAIN: return .none
    case EINTR: return .interrupted
    default: throw Errno(-count)
    }
  }

  /// Serves the request that was received: calls the method of the operations that it is for.
  ///
  /// See fuse_session_process_buf(3).
  @inline(__always)
  public func process() {
    fuse_session_process_buf(raw, buffer)
  }

  private func connect(to descriptor: Int32) throws(MountError) {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 else {
      throw MountError(text: "", errno: .last)
    }
    var functions = Transport.functions
    let status = fuse_session_custom_io(raw, &functions, descriptor)
    guard status == 0 else { throw MountError(text: "", errno: Errno(-status)) }
  }

  /// Agrees with the kernel: the first request, and the only one that libfuse serves by itself.
  func connected(_ info: UnsafeMutablePointer<fuse_conn_info>) {
    let offered = UInt32(info.pointee.capable)
    let wanted = settings.capabilities & offered
    cfuse_want(info, wanted)
    if let maxWrite = settings.maxWrite {
      info.pointee.max_write = min(info.pointee.max_write, maxWrite)
    }
    if let readahead = settings.maxReadahead {
      info.pointee.max_readahead = min(info.pointee.max_readahead, readahead)
    }
    if let background = settings.maxBackground { info.pointee.max_background = background }
    if let threshold = settings.congestionThreshold {
      info.pointee.congestion_threshold = threshold
    }
    info.pointee.max_read = settings.maxRead
    info.pointee.time_gran = settings.timeGranularity
    let kernelFlags = receivedInitFlags
    let connection = Connection(
      major: info.pointee.proto_major, minor: info.pointee.proto_minor,
      kernelFlags: kernelFlags, offered: offered, wanted: wanted,
      mapsDirectIO: settings.added & kernelFlags & FUSE_DIRECT_IO_ALLOW_MMAP != 0,
      maxWrite: info.pointee.max_write, maxReadahead: info.pointee.max_readahead)
    self.connection = connection
    isAnsweringInit = true
    operations.started(connection)
  }
}
