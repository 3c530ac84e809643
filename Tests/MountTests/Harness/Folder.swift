import Glibc
import Testing

/// A private folder in /tmp that goes, with everything in it, when this does.
final class Folder {
  let path: String
  private let owner: User

  init(owner: User = .current) throws {
    var template = Array("/tmp/fusuma-test.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError() }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    self.owner = owner
    try own(path, 0o755)
  }

  deinit {
    // What is still mounted in it must not be emptied.
    _ = try? run(["rm", "-rf", "--one-file-system", path])
  }

  /// The folder of the package, where Examples is.
  static let package: String = {
    let file = #filePath
    let end = file.range(of: "/Tests/MountTests/")
    return String(file[..<(end ?? file.endIndex)])
  }()

  /// Writes a file of the owner's, with the directory that it is in; answers its path.
  @discardableResult
  func write(_ name: String, _ text: String) throws -> String {
    let file = path + "/" + name
    if let slash = name.lastIndex(of: "/") {
      let directory = String(name[..<slash])
      if Glibc.access(path + "/" + directory, F_OK) != 0 { try makeDirectory(directory) }
    }
    guard let stream = fopen(file, "w") else { throw SystemError() }
    fputs(text, stream)
    guard fclose(stream) == 0 else { throw SystemError() }
    try own(file, 0o644)
    return file
  }

  /// Makes a directory of the owner's; answers its path.
  @discardableResult
  func makeDirectory(_ name: String) throws -> String {
    let directory = path + "/" + name
    guard mkdir(directory, 0o755) == 0 else { throw SystemError() }
    try own(directory, 0o755)
    return directory
  }

  /// The content of a file here.
  func read(_ name: String) throws -> String { try Folder.read(path + "/" + name) }

  private func own(_ path: String, _ mode: mode_t) throws {
    guard chmod(path, mode) == 0 else { throw SystemError() }
    if owner == .ordinary, chown(path, owner.id, owner.id) != 0 { throw SystemError() }
  }

  static func read(_ path: String) throws -> String {
    guard let stream = fopen(path, "re") else { throw SystemError() }
    defer { fclose(stream) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    // Once there is less than was asked for, the end was read; asked again, a file may go on.
    while feof(stream) == 0, case let count = fread(&piece, 1, piece.count, stream), count > 0 {
      bytes += piece.prefix(count)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension String {
  /// Where `text` begins, for the first time.
  fileprivate func range(of text: String) -> Index? {
    indices.first { self[$0...].hasPrefix(text) }
  }
}
