// Options: what the script's settings and the command line's `-o` say of the mount, in one value.

import FUSE
import Glibc
import Ruby
import System

/// How the filesystem is mounted and served.
///
/// Settings of the script (FUSE.allow_other = true) and options (`-o allow_other`) go the same way:
/// a setting is turned into the option of its name, and what comes later counts.
struct Options {
  var mount = MountOptions()
  var connection = ConnectionSettings()
  var path: String?
  var isSerial = false
  var daemonize = false

  // The hot ones, unwrapped once. Timeouts are in seconds, with libfuse's defaults.
  var attributeTimeout = 1.0
  var entryTimeout = 1.0
  var negativeTimeout = 0.0
  var uid: UInt32?
  var gid: UInt32?
  var reportedUmask: UInt32 = 0
  var kernelCache = false
  var autoCache = false
  var directIO = false
  var usesInodes = false
  /// The largest content that is gathered for on_write_all, in bytes.
  var largestContent = 256 << 20
  /// The user wants content to be cached beyond what the kernel does by itself.
  var cachesContent = false
  var noReadOnlyFlush = false
  /// Whether the host caches by what it sees of the use of a file (Docs/caching.md); else all is as
  /// libfuse has it.
  var adaptiveCaching = true
  /// How long attributes hold that came with a listing, in seconds, at the least: long enough for
  /// `ls -l` to use them, also where nothing else is to be cached.
  var listingTimeout: Double { adaptiveCaching ? 0.1 : 0 }
  private var autoInvalidateData: Bool?

  init() {
    // Scripts rely on being told of a truncation, also by open(2).
    connection.atomicTruncate = false
    // Otherwise the kernel asks for the attribute security.capability before each write.
    connection.handleKillPrivileges = true
    connection.readdirplus = .auto
    // What the host lets past the cache by itself has to be like any other file.
    connection.mapsDirectIO = true
  }

  /// Sets one of FUSE's settings, by its name in the script.
  mutating func set(_ name: String, _ value: Value, _ vm: VM) throws(HostError) {
    do throws(MountOptionError) {
      switch name {
      case "path": path = try text(name, value)
      case "program_name": break
      case "fsname", "subtype": try mount.add(name, value: text(name, value))
      case "multithread": isSerial = !value.isTruthy
      case "daemonize": daemonize = value.isTruthy
      case "extra_fuse_options":
        for list in value.elements ?? [value] {
          var list = try text(name, list)
          if list.hasPrefix("-o") { list = String(list.dropFirst(2).drop { $0 == " " }) }
          try mount.add(list)
        }
      case "read_only": if value.isTruthy { try mount.add("ro") }
      case "allow_other", "allow_root", "default_permissions":
        if value.isTruthy { try mount.add(name) }
      case "adaptive_caching":
        try mount.add(value.isTruthy ? "adaptive_caching" : "no_adaptive_caching")
      case "auto_inval_data": autoInvalidateData = value.isTruthy
      case "writeback_cache": connection.writebackCache = value.isTruthy
      case "readdirplus":
        connection.readdirplus = value.symbol != nil ? .auto : value.isTruthy ? .yes : .no
      case "umask":
        guard let mask = value.integer else { throw bad(name, "an Integer such as 022") }
        try mount.add("umask=" + String(mask, radix: 8))
      case "max_content":
        guard let size = value.integer, size >= 0 else { throw bad(name, "a number of bytes") }
        largestContent = size
      case "kernel_cache", "direct_io", "use_ino":
        if value.isTruthy { try mount.add(name) }
      case "auto_cache": try mount.add(value.isTruthy ? "auto_cache" : "noauto_cache")
      default:
        guard let number = value.integer.map({ "\($0)" }) ?? value.double.map({ "\($0)" }) else {
          throw bad(name, "a number")
        }
        try mount.add("\(name)=\(number)")
      }
    } catch {
      throw HostError("FUSE.\(name) = \(vm.inspect(value, limit: 60)): \(error.reason)")
    }
  }

  private func bad(_ name: String, _ expected: String) -> MountOptionError {
    MountOptionError(option: name, reason: "expected \(expected)")
  }

  private func text(_ name: String, _ value: Value) throws(MountOptionError) -> String {
    guard let text = value.text, !text.utf8.contains(0) else { throw bad(name, "a String") }
    return text
  }

  /// Adds what stood after `-o` on the command line.
  mutating func add(_ list: String) throws(HostError) {
    do throws(MountOptionError) { try mount.add(list) } catch { throw HostError("\(error)") }
  }

  /// To be called when everything was said.
  mutating func settle() {
    attributeTimeout = mount.attributeTimeout ?? attributeTimeout
    entryTimeout = mount.entryTimeout ?? entryTimeout
    negativeTimeout = mount.negativeTimeout ?? negativeTimeout
    uid = mount.uid
    gid = mount.gid
    reportedUmask = (mount.umask ?? 0) & 0o777
    kernelCache = mount.kernelCache ?? false
    autoCache = mount.autoCache ?? false
    directIO = mount.directIO ?? false
    usesInodes = mount.useInodes ?? false
    noReadOnlyFlush = mount.noReadOnlyFlush ?? false
    adaptiveCaching = mount.adaptiveCaching ?? true
    // A getattr before each read costs more than it finds, because opening a file drops what was cached.
    connection.autoInvalidateData = autoInvalidateData ?? !adaptiveCaching
    mount.apply(to: &connection)
    cachesContent = kernelCache || autoCache || connection.writebackCache
  }
}
