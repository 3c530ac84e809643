import Glibc

/// One address at which a host can be reached. struct addrinfo of getaddrinfo(3).
package struct SocketAddress: Sendable, Equatable {
  /// AF_INET, AF_INET6, AF_UNIX.
  package var family: Int32
  /// SOCK_STREAM, SOCK_DGRAM.
  package var type: Int32
  /// IPPROTO_TCP, IPPROTO_UDP.
  package var `protocol`: Int32
  /// The bytes of the struct sockaddr.
  package var bytes: [UInt8]
}

extension Wait {
  /// Waits for the addresses of a host: `.worked` with `.addresses`, or `.failed` with an EAI_ code.
  ///
  /// A nil host means this machine, or any of its addresses where `flags` has AI_PASSIVE; a nil
  /// service means port 0. Any family and SOCK_STREAM unless said otherwise. getaddrinfo(3).
  package static func resolve(
    host: [UInt8]?, service: [UInt8]?, family: Int32 = AF_UNSPEC,
    type: Int32 = Int32(SOCK_STREAM.rawValue), flags: Int32 = 0
  ) -> Wait {
    .work { addresses(host: host, service: service, family: family, type: type, flags: flags) }
  }

  private static func addresses(
    host: [UInt8]?, service: [UInt8]?, family: Int32, type: Int32, flags: Int32
  ) -> WorkResult {
    var hints = addrinfo()
    hints.ai_family = family
    hints.ai_socktype = type
    hints.ai_flags = flags
    var list: UnsafeMutablePointer<addrinfo>?
    let code = withCString(host) { host in
      withCString(service) { service in getaddrinfo(host, service, &hints, &list) }
    }
    guard code == 0 else {
      let text =
        code == EAI_SYSTEM ? strerror(errno) : UnsafeMutablePointer(mutating: gai_strerror(code))
      return .failed(code: code, message: text.map { String(cString: $0) } ?? "error \(code)")
    }
    defer { freeaddrinfo(list) }
    let found = sequence(first: list, next: { $0?.pointee.ai_next }).prefix { $0 != nil }
    return .addresses(
      found.compactMap { $0?.pointee }.map {
        SocketAddress(
          family: $0.ai_family, type: $0.ai_socktype, protocol: $0.ai_protocol,
          bytes: Array(UnsafeRawBufferPointer(start: $0.ai_addr, count: Int($0.ai_addrlen))))
      })
  }

  private static func withCString<T>(
    _ bytes: [UInt8]?, _ body: (UnsafePointer<CChar>?) -> T
  ) -> T {
    guard let bytes else { return body(nil) }
    return (bytes + [0]).withUnsafeBytes {
      body($0.baseAddress?.assumingMemoryBound(to: CChar.self))
    }
  }
}
