import CFiles
import Glibc

/// One of the two filesystems, in the middle of a run: a directory there, and the files open in it.
///
/// What a step comes to is told as text, so that two sides are compared by comparing text.
final class Side {
  let root: String
  private var slots: [Int: Int32] = [:]

  /// Makes a directory for the run that everybody may use.
  init(_ root: String) throws {
    self.root = root
    guard Glibc.mkdir(root, 0o777) == 0, Glibc.chmod(root, 0o777) == 0 else {
      throw SystemError()
    }
  }

  deinit { for descriptor in slots.values { Glibc.close(descriptor) } }

  /// Takes a step; answers what it came to, and what it did to the times of the files it names.
  func take(_ action: Action) -> String {
    let watched =
      action.watchesTimes ? action.step.paths.flatMap { [$0, Side.parent(of: $0)] } : []
    let before = watched.map(times)
    if let user = action.user {
      setfsgid(user)
      setfsuid(user)
    }
    let result = result(of: action.step)
    if action.user != nil {
      setfsuid(geteuid())
      setfsgid(getegid())
    }
    let after = watched.map(times)
    let moved = zip(watched, zip(before, after)).compactMap { path, times -> String? in
      guard let before = times.0, let after = times.1, before.id == after.id else { return nil }
      let clocks =
        (before.mtime == after.mtime ? "" : "m") + (before.ctime == after.ctime ? "" : "c")
      return clocks.isEmpty ? nil : "\(path):\(clocks)"
    }
    return moved.isEmpty ? result : "\(result) moving \(moved.joined(separator: " "))"
  }

  private func result(of step: Step) -> String {
    switch step {
    case .open(let slot, let path, let flags, let mode):
      // A terminal or a FIFO must not keep anybody waiting.
      let descriptor = at(path) { Glibc.open($0, flags | O_NONBLOCK | O_NOCTTY, mode) }
      guard descriptor >= 0 else { return Side.error }
      if let old = slots.updateValue(descriptor, forKey: slot) { Glibc.close(old) }
      return "0"
    case .close(let slot):
      guard let descriptor = slots.removeValue(forKey: slot) else { return "not open" }
      return code(Glibc.close(descriptor))
    case .read(let slot, let size, let offset):
      return with(slot) { descriptor in
        var bytes = [UInt8](repeating: 0, count: size)
        let count = pread(descriptor, &bytes, size, offset)
        return count < 0 ? Side.error : Side.digest(bytes.prefix(count))
      }
    case .write(let slot, let size, let offset, let seed):
      return with(slot) { descriptor in
        let bytes = Side.noise[Int(seed)...].prefix(size)
        let count = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, size, offset) }
        return count < 0 ? Side.error : "\(count)"
      }
    case .ftruncate(let slot, let size): return with(slot) { code(Glibc.ftruncate($0, size)) }
    case .fchmod(let slot, let mode): return with(slot) { code(Glibc.fchmod($0, mode)) }
    case .fallocate(let slot, let mode, let offset, let length):
      return with(slot) { code(CFiles.fallocate($0, mode, offset, length)) }
    case .fstat(let slot):
      return with(slot) { descriptor in
        var information = Glibc.stat()
        return Glibc.fstat(descriptor, &information) < 0
          ? Side.error : Side.describe(information)
      }
    case .truncate(let path, let size):
      // POSIX has it move times always; tmpfs only does so where the size changes.
      var information = Glibc.stat()
      if at(path, { fstatat(AT_FDCWD, $0, &information, 0) }) == 0, information.st_size == size,
        information.st_mode & S_IFMT == S_IFREG
      {
        return "0"
      }
      return code(at(path) { Glibc.truncate($0, size) })
    case .mkdir(let path, let mode): return code(at(path) { Glibc.mkdir($0, mode) })
    case .mknod(let path, let mode):
      return code(at(path) { Glibc.mknod($0, mode, mode & S_IFMT == S_IFCHR ? 0x1234 : 0) })
    case .symlink(let target, let path): return code(at(path) { Glibc.symlink(target, $0) })
    case .link(let old, let new):
      return code(at(old) { old in at(new) { Glibc.link(old, $0) } })
    case .rename(let old, let new, let flags):
      return code(at(old) { old in at(new) { renameat2(AT_FDCWD, old, AT_FDCWD, $0, flags) } })
    case .unlink(let path): return code(at(path) { Glibc.unlink($0) })
    case .rmdir(let path): return code(at(path) { Glibc.rmdir($0) })
    case .chmod(let path, let mode): return code(at(path) { Glibc.chmod($0, mode) })
    case .chown(let path, let uid, let gid): return code(at(path) { Glibc.lchown($0, uid, gid) })
    case .utimens(let path, let access, let modification):
      let omit = 0x3fff_fffe
      let times = [access, modification].map { time in
        timespec(tv_sec: time ?? 0, tv_nsec: time.map { $0 % 1_000_000_000 } ?? omit)
      }
      // Reading moves atime, or not, as mount options have it: here it is what was set.
      return at(path) { utimensat(AT_FDCWD, $0, times, 0) } < 0
        ? Side.error : access == nil ? "0" : accessTime(path)
    case .stat(let path):
      var information = Glibc.stat()
      return at(path) { lstat($0, &information) } < 0
        ? Side.error : Side.describe(information)
    case .readlink(let path):
      var target = [CChar](repeating: 0, count: Int(PATH_MAX))
      let count = at(path) { Int32(Glibc.readlink($0, &target, target.count)) }
      return count < 0
        ? Side.error
        : String(decoding: target.prefix(Int(count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    case .list(let path): return list(path)?.joined(separator: ",") ?? Side.error
    case .setxattr(let path, let name, let size, let flags):
      let value = [UInt8](repeating: UInt8(size & 0xFF), count: size)
      return code(at(path) { CFiles.lsetxattr($0, name, value, size, flags) })
    case .getxattr(let path, let name):
      var value = [UInt8](repeating: 0, count: 1 << 16)
      let count = at(path) { Int32(lgetxattr($0, name, &value, value.count)) }
      return count < 0 ? Side.error : Side.digest(value.prefix(Int(count)))
    case .removexattr(let path, let name):
      return code(at(path) { lremovexattr($0, name) })
    }
  }

  // MARK: Looking

  /// Everything that there is, a line a file, told in the same way on either side.
  func picture() -> [String] {
    var lines: [String] = []
    func visit(_ path: String) {
      var information = Glibc.stat()
      guard at(path, { lstat($0, &information) }) == 0 else {
        lines.append("\(path): \(Side.error)")
        return
      }
      var line = "\(path): \(Side.describe(information))"
      switch information.st_mode & S_IFMT {
      case S_IFREG: line += " " + content(path)
      case S_IFLNK: line += " -> " + result(of: .readlink(path: path))
      default: break
      }
      lines.append(line + attributes(path))
      if information.st_mode & S_IFMT == S_IFDIR {
        for name in list(path) ?? [] { visit(path.isEmpty ? name : "\(path)/\(name)") }
      }
    }
    visit("")
    return lines
  }

  private func content(_ path: String) -> String {
    let descriptor = at(path) { Glibc.open($0, O_RDONLY) }
    guard descriptor >= 0 else { return Side.error }
    defer { Glibc.close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    return count < 0 ? Side.error : Side.digest(bytes.prefix(count))
  }

  private func attributes(_ path: String) -> String {
    var names = [CChar](repeating: 0, count: 1 << 12)
    let count = at(path) { Int32(llistxattr($0, &names, names.count)) }
    guard count >= 0 else { return " \(Side.error)" }
    let list = names.prefix(Int(count)).split(separator: 0).map {
      String(decoding: $0.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    // Where a security module labels files it labels those of one side only.
    return list.filter { $0.hasPrefix("user.") }.sorted().map {
      " \($0)=" + result(of: .getxattr(path: path, name: $0))
    }.joined()
  }

  private func list(_ path: String) -> [String]? {
    guard let stream = path.isEmpty ? opendir(root) : opendir(root + "/" + path) else { return nil }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// What stat(2) tells, but for what two filesystems may differ in: inode numbers, room taken, the
  /// sizes of directories, and moments that nobody chose.
  private static func describe(_ information: stat) -> String {
    let type = information.st_mode & S_IFMT
    var text = "\(String(information.st_mode, radix: 8)) n\(information.st_nlink)"
    text += " \(information.st_uid):\(information.st_gid)"
    if type != S_IFDIR { text += " \(information.st_size)" }
    if type == S_IFCHR { text += " dev \(information.st_rdev)" }
    text += chosen(information.st_mtim, "m")
    return text
  }

  private static func chosen(_ time: timespec, _ name: String) -> String {
    time.tv_sec < Step.latestChosenTime ? " \(name)\(time.tv_sec).\(time.tv_nsec)" : ""
  }

  private func accessTime(_ path: String) -> String {
    var information = Glibc.stat()
    return at(path) { lstat($0, &information) } < 0
      ? Side.error : "0" + Side.chosen(information.st_atim, "a")
  }

  private struct Times: Equatable {
    let id: UInt
    let mtime: [Int]
    let ctime: [Int]
  }

  private func times(_ path: String) -> Times? {
    var information = Glibc.stat()
    guard at(path, { lstat($0, &information) }) == 0 else { return nil }
    return Times(
      id: UInt(information.st_ino),
      mtime: [information.st_mtim.tv_sec, information.st_mtim.tv_nsec],
      ctime: [information.st_ctim.tv_sec, information.st_ctim.tv_nsec])
  }

  // MARK: Helpers

  private static func parent(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
  }

  private static var error: String { SystemError().description }

  private func code(_ result: Int32) -> String { result < 0 ? Side.error : "\(result)" }

  private func at(_ path: String, _ body: (UnsafePointer<CChar>) -> Int32) -> Int32 {
    path.isEmpty ? body(root) : body(root + "/" + path)
  }

  private func with(_ slot: Int, _ body: (Int32) -> String) -> String {
    slots[slot].map(body) ?? "not open"
  }

  /// How many bytes, and a number that other bytes hardly have.
  private static func digest(_ bytes: ArraySlice<UInt8>) -> String {
    var hasher = Hasher()
    bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    return "\(bytes.count) bytes #\(UInt(bitPattern: hasher.finalize()) % 100_000)"
  }

  /// What is written: a window on bytes that repeat nowhere.
  private static let noise: [UInt8] = {
    var random = SplitMix(state: 1)
    return (0..<100_000).flatMap { _ in
      withUnsafeBytes(of: random.next()) { Array($0) }
    }
  }()
}
