// How messages pass to and from the kernel's descriptor. It is the library's own way, but for one
// thing: what libfuse 3.14 would like to agree on but forgets to say is added to its reply to the
// kernel's first request. Splicing is not offered, so it is never chosen.

import CFuse
import Glibc

enum Transport {
  static let functions: fuse_custom_io = {
    var functions = fuse_custom_io()
    functions.read = { descriptor, buffer, size, _ in
      let count = read(descriptor, buffer, size)
      // The peer of a socket has gone: to libfuse that shall be what an unmount is.
      guard count == 0 else { return count }
      errno = ENODEV
      return -1
    }
    functions.writev = { descriptor, pieces, count, userdata in
      guard let pieces, let userdata else { return -1 }
      let session = Unmanaged<Session>.fromOpaque(userdata)
      if session._withUnsafeGuaranteedRef({ $0.isAnsweringInit }) {
        session._withUnsafeGuaranteedRef {
          $0.isAnsweringInit = false
          $0.amendInit(UnsafeMutableBufferPointer(start: pieces, count: Int(count)))
        }
      }
      return session._withUnsafeGuaranteedRef { write(pieces, count, to: $0, descriptor) }
    }
    return functions
  }()

  @inline(__always)
  private static func write(
    _ pieces: UnsafeMutablePointer<iovec>, _ count: Int32, to session: Session, _ descriptor: Int32
  ) -> Int {
    let written =
      session.isSocket
      ? send(to: descriptor, pieces, count) : writev(descriptor, pieces, count)
    // A reply whose request is gone is none that libfuse need complain of: ENOENT is how
    // the kernel says the same of a caller that was interrupted.
    if written < 0 && (errno == ENODEV || errno == EPIPE) { errno = ENOENT }
    return written
  }

  /// A socket may be full, and its peer gone, which shall not be a signal.
  private static func send(
    to socket: Int32, _ pieces: UnsafeMutablePointer<iovec>, _ count: Int32
  ) -> Int {
    var message = msghdr()
    message.msg_iov = pieces
    message.msg_iovlen = Int(count)
    while true {
      let sent = sendmsg(socket, &message, Int32(MSG_NOSIGNAL))
      guard sent < 0 && (errno == EINTR || errno == EAGAIN) else { return sent }
      var wait = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
      poll(&wait, 1, -1)
    }
  }
}

extension Session {
  /// Adds to the reply to INIT what libfuse 3.14 has no words for; no harm where it has.
  fileprivate func amendInit(_ pieces: UnsafeMutableBufferPointer<iovec>) {
    guard let connection, pieces.count > 1, let memory = pieces[1].iov_base else { return }
    func add(_ bits: UInt64, to field: KeyPath<fuse_init_out, UInt32>) {
      guard let offset = MemoryLayout<fuse_init_out>.offset(of: field),
        pieces[1].iov_len >= offset + MemoryLayout<UInt32>.size
      else { return }
      (memory + offset).assumingMemoryBound(to: UInt32.self).pointee |=
        UInt32(truncatingIfNeeded: bits)
    }
    let added = settings.added & connection.kernelFlags
    let second = added >> 32
    add(second == 0 ? added : added | UInt64(FUSE_INIT_EXT), to: \.flags)
    add(second, to: \.flags2)
  }
}
