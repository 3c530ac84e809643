/// What one mount option has wrong with it.
public struct MountOptionError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The option as it was given, such as "uid=nobody".
  public let option: String
  /// What is wrong with it.
  public let reason: String

  /// Says what is wrong with an option.
  public init(option: String, reason: String) {
    self.option = option
    self.reason = reason
  }

  /// One line that names the option and what is wrong with it.
  public var description: String { "mount option \(option): \(reason)" }
}

/// The options after `-o`, sorted by what is to honour them: the filesystem, the library or the kernel.
///
/// Those which libfuse's high-level library honours, and the low-level session knows nothing of,
/// become fields; an option that was not given is nil. Those that ask for what is the case anyway, or
/// for threads where there is one, are taken without effect. All others stay as they are, for libfuse
/// and the kernel (`libraryOptions`). An option may be given again: the last one counts.
public struct MountOptions: Sendable {
  /// attr_timeout=: how long attributes hold, in seconds.
  public var attributeTimeout: Double?
  /// entry_timeout=: how long names hold, in seconds.
  public var entryTimeout: Double?
  /// negative_timeout=: how long it holds that a name does not exist, in seconds.
  public var negativeTimeout: Double?
  /// uid=: the owner that every file shows.
  public var uid: UInt32?
  /// gid=: the group that every file shows.
  public var gid: UInt32?
  /// umask=: permission bits that no file shows.
  public var umask: UInt32?
  /// kernel_cache: what is cached of a file outlives its opening.
  public var kernelCache: Bool?
  /// auto_cache, noauto_cache: it does so where size and mtime are as before.
  public var autoCache: Bool?
  /// direct_io: every file is read and written past the kernel's cache.
  public var directIO: Bool?
  /// use_ino: programs see the inode numbers of the filesystem.
  public var useInodes: Bool?
  /// no_rofd_flush: closing a file that was only read sends no flush.
  public var noReadOnlyFlush: Bool?
  /// adaptive_caching, no_adaptive_caching, which libfuse has not: whether the filesystem may let the
  /// kernel cache by what it sees of the use of a file.
  public var adaptiveCaching: Bool?

  /// The options for `SessionOptions.libraryOptions`, escapes included, each once.
  public internal(set) var libraryOptions: [String] = []
  /// What the options say of the connection, in their order.
  var adjustments: [@Sendable (inout ConnectionSettings) -> Void] = []

  /// Makes options of which none is given.
  public init() {}

  /// Adds a list as it stands after `-o`: `a,b=c`, where `\,` is a comma that does not separate.
  ///
  /// Throws which option is wrong, and how; those before it are taken by then.
  public mutating func add(_ list: String) throws(MountOptionError) {
    for item in MountOption.split(list) { try add(item) }
  }

  /// Adds one option for libfuse or the kernel whose value may have any characters.
  public mutating func add(_ name: String, value: String) throws(MountOptionError) {
    try add(MountOption(escaping: "\(name)=\(value)"))
  }

  /// Whether libfuse or the kernel is given this option, with whatever value.
  public func hasLibraryOption(_ name: String) -> Bool {
    libraryOptions.contains { MountOption(raw: $0).name == name }
  }

  /// Changes what is to be agreed on with the kernel as the options say (max_write=, ...).
  public func apply(to settings: inout ConnectionSettings) {
    for adjust in adjustments { adjust(&settings) }
  }

  mutating func addToLibrary(_ option: MountOption) {
    libraryOptions.removeAll { MountOption(raw: $0).name == option.name }
    libraryOptions.append(option.raw)
  }
}
