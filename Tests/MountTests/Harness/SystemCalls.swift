import Glibc

/// A name below a mount point, as bytes: a literal, or any bytes.
struct Name: ExpressibleByStringInterpolation, ExpressibleByArrayLiteral {
  let bytes: [UInt8]
  init(bytes: [UInt8]) { self.bytes = bytes }
  init(stringLiteral text: String) { bytes = Array(text.utf8) }
  init(arrayLiteral bytes: UInt8...) { self.bytes = bytes }
}

/// System calls on what is mounted, made by the test itself. Each throws `SystemError`.
extension Mount {
  // MARK: Whole files

  /// The content of a file.
  func read(_ name: Name) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

  func bytes(_ name: Name) throws -> [UInt8] {
    let file = try open(name, O_RDONLY)
    let content = try file.rest()
    try file.close()
    return content
  }

  /// Writes as the shell's `>` does; close(2)'s error counts.
  func write(
    _ name: Name, _ text: String, _ flags: Int32 = O_WRONLY | O_CREAT | O_TRUNC
  ) throws {
    try write(name, Array(text.utf8), flags)
  }

  func write(
    _ name: Name, _ bytes: [UInt8], _ flags: Int32 = O_WRONLY | O_CREAT | O_TRUNC
  ) throws {
    let file = try open(name, flags)
    var rest = bytes[...]
    while !rest.isEmpty { rest = rest.dropFirst(try file.write(Array(rest))) }
    try file.close()
  }

  /// Writes as the shell's `>>` does.
  func append(_ name: Name, _ text: String) throws {
    try write(name, text, O_WRONLY | O_CREAT | O_APPEND)
  }

  // MARK: Names

  func stat(_ name: Name = "") throws -> stat {
    var information = Glibc.stat()
    try at(name) { lstat($0, &information) }
    return information
  }

  func exists(_ name: Name) throws -> Bool {
    do { _ = try stat(name) } catch let error as SystemError where error.number == ENOENT {
      return false
    }
    return true
  }

  /// The names in a directory, as they come, without "." and "..".
  func list(_ name: Name = "") throws -> [String] {
    try listBytes(name).map { String(decoding: $0, as: UTF8.self) }
  }

  func listBytes(_ name: Name = "") throws -> [[UInt8]] {
    let directory = try open(name, O_RDONLY | O_DIRECTORY)
    guard let stream = fdopendir(directory.take()) else { throw SystemError() }
    defer { closedir(stream) }
    var names: [[UInt8]] = []
    errno = 0
    while let entry = readdir(stream) {
      let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if bytes != [46], bytes != [46, 46] { names.append(bytes) }
    }
    if errno != 0 { throw SystemError() }
    return names
  }

  func truncate(_ name: Name, _ size: Int) throws { try at(name) { Glibc.truncate($0, size) } }
  func unlink(_ name: Name) throws { try at(name) { Glibc.unlink($0) } }
  func mkdir(_ name: Name, _ mode: mode_t = 0o755) throws {
    try at(name) { Glibc.mkdir($0, mode) }
  }
  func rmdir(_ name: Name) throws { try at(name) { Glibc.rmdir($0) } }
  func chmod(_ name: Name, _ mode: mode_t) throws { try at(name) { Glibc.chmod($0, mode) } }
  func chown(_ name: Name, _ uid: uid_t, _ gid: gid_t) throws {
    try at(name) { Glibc.lchown($0, uid, gid) }
  }
  func access(_ name: Name, _ mode: Int32) throws { try at(name) { Glibc.access($0, mode) } }
  func rename(_ old: Name, _ new: Name) throws {
    try at(old) { old in try at(new) { Glibc.rename(old, $0) } }
  }
  func link(_ old: Name, _ new: Name) throws {
    try at(old) { old in try at(new) { Glibc.link(old, $0) } }
  }
  func symlink(_ target: String, _ name: Name) throws {
    try at(name) { Glibc.symlink(target, $0) }
  }
  func readlink(_ name: Name) throws -> String {
    var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
    var count = 0
    try at(name) { path in
      count = target.withUnsafeMutableBytes {
        let buffer = $0.assumingMemoryBound(to: CChar.self)
        return buffer.baseAddress.map { Glibc.readlink(path, $0, buffer.count) } ?? -1
      }
      return count < 0 ? -1 : 0
    }
    return String(decoding: target.prefix(count), as: UTF8.self)
  }

  // MARK: Open files

  func open(_ name: Name, _ flags: Int32, _ mode: mode_t = 0o644) throws -> OpenFile {
    var descriptor: Int32 = -1
    try at(name) {
      descriptor = Glibc.open($0, flags | O_CLOEXEC, mode)
      return descriptor
    }
    return OpenFile(descriptor)
  }

  /// Calls `body` with the whole path, and throws what it failed with.
  @discardableResult
  func at(_ name: Name, _ body: (UnsafePointer<CChar>) throws -> Int32) throws -> Int32 {
    let bytes = Array(path.utf8) + [UInt8(ascii: "/")] + name.bytes + [0]
    let result = try bytes.map { CChar(bitPattern: $0) }.withUnsafeBufferPointer { buffer in
      try buffer.baseAddress.map(body) ?? -1
    }
    guard result >= 0 else { throw SystemError() }
    return result
  }
}

/// A descriptor; closed when this is gone.
final class OpenFile {
  private(set) var descriptor: Int32

  init(_ descriptor: Int32) { self.descriptor = descriptor }
  deinit { if descriptor >= 0 { _ = Glibc.close(descriptor) } }

  /// Hands the descriptor over to somebody else, who closes it.
  func take() -> Int32 {
    defer { descriptor = -1 }
    return descriptor
  }

  /// Reads once; an empty answer is the end of the file.
  func read(_ size: Int, at offset: Int? = nil) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: size)
    let count =
      if let offset { pread(descriptor, &bytes, size, offset) } else {
        Glibc.read(descriptor, &bytes, size)
      }
    guard count >= 0 else { throw SystemError() }
    return Array(bytes.prefix(count))
  }

  /// Reads from where it is to the end, piece by piece.
  func rest(pieces size: Int = 1 << 17) throws -> [UInt8] {
    var content: [UInt8] = []
    while case let piece = try read(size), !piece.isEmpty { content += piece }
    return content
  }

  /// Lends its first bytes, mapped.
  func withMapping<R>(
    _ count: Int, _ protection: Int32 = PROT_READ, _ kind: Int32 = MAP_SHARED,
    _ body: (UnsafeMutableRawBufferPointer) throws -> R
  ) throws -> R {
    guard let start = mmap(nil, count, protection, kind, descriptor, 0), start != MAP_FAILED else {
      throw SystemError()
    }
    defer { munmap(start, count) }
    return try body(UnsafeMutableRawBufferPointer(start: start, count: count))
  }

  /// Writes once; answers how many bytes were taken.
  @discardableResult
  func write(_ bytes: [UInt8], at offset: Int? = nil) throws -> Int {
    let count =
      if let offset { pwrite(descriptor, bytes, bytes.count, offset) } else {
        Glibc.write(descriptor, bytes, bytes.count)
      }
    guard count >= 0 else { throw SystemError() }
    return count
  }

  @discardableResult
  func write(_ text: String, at offset: Int? = nil) throws -> Int {
    try write(Array(text.utf8), at: offset)
  }

  /// Makes another system call with the descriptor.
  @discardableResult
  func call(_ body: (Int32) -> Int32) throws -> Int32 {
    let result = body(descriptor)
    guard result >= 0 else { throw SystemError() }
    return result
  }

  func close() throws {
    guard Glibc.close(take()) == 0 else { throw SystemError() }
  }
}
