// What a script finds around it: constants, natives and the prelude, in the order in which they need
// each other.

import Glibc
package import Ruby
package import System

/// The surroundings of a script.
package enum Surroundings {
  /// The prelude's files, in the order in which they are evaluated.
  private static let prelude: [(name: String, source: [UInt8])] = [
    ("errno.rb", PackageResources.errno_rb), ("turn.rb", PackageResources.turn_rb),
    ("fuse.rb", PackageResources.fuse_rb), ("env.rb", PackageResources.env_rb),
    ("kernel.rb", PackageResources.kernel_rb), ("buffer.rb", PackageResources.buffer_rb),
    ("io.rb", PackageResources.io_rb),
    ("process.rb", PackageResources.process_rb), ("json.rb", PackageResources.json_rb),
    ("http.rb", PackageResources.http_rb), ("curl.rb", PackageResources.curl_rb),
    ("blocks.rb", PackageResources.blocks_rb), ("queue.rb", PackageResources.queue_rb),
    ("outbox.rb", PackageResources.outbox_rb), ("console.rb", PackageResources.console_rb),
    ("reload.rb", PackageResources.reload_rb), ("messages.rb", PackageResources.messages_rb),
  ]

  /// Fills a new VM.
  ///
  /// Throws where that fails, saying at which line of which file.
  package static func define(in vm: VM) throws(HostError) { try define(in: vm, prelude) }

  static func define(in vm: VM, _ prelude: [(name: String, source: [UInt8])]) throws(HostError) {
    do throws(RubyException) {
      try defineNatives(in: vm)
      for (name, source) in prelude { try evaluate(source, name, in: vm) }
    } catch {
      let description = vm.describe(error)
      let place = description.backtrace.first.map { "\($0): " } ?? ""
      throw HostError(
        "the prelude did not load: \(place)\(description.message) (\(description.className))")
    }
  }

  private static func defineNatives(in vm: VM) throws(RubyException) {
    try EnvironmentModule.install(in: vm)
    try DescriptorModule.install(in: vm)
    try SourceModule.install(in: vm)
    try ProcessModule.install(in: vm)
    try JSONModule.install(in: vm)
    let fuse = try vm.constant("FUSE")
    // Usable as FUSE::S_IFDIR and bare, as scripts for the original have it.
    for (name, number) in constants {
      let value = try vm.integer(number)
      try vm.setConstant(name, to: value, in: fuse)
      try vm.setConstant(name, to: value)
    }
    try vm.setConstant("PARKED", to: vm.parked, in: fuse)
  }

  /// Adds what looks at a script without mounting it.
  package static func defineCheck(in vm: VM) throws(RubyException) {
    try evaluate(PackageResources.check_rb, "check.rb", in: vm)
  }

  private static func evaluate(
    _ source: [UInt8], _ name: String, in vm: VM
  ) throws(RubyException) {
    let file = "fusuma:\(name)"
    if let error = vm.syntaxError(in: source, file: file) {
      throw vm.exception("SyntaxError", error.description)
    }
    try vm.evaluate(source, file: file)
  }

  /// The numbers of Linux that hooks are handed and return.
  private static let constants: [(String, Int)] = [
    ("S_IFMT", Int(S_IFMT)), ("S_IFDIR", Int(S_IFDIR)), ("S_IFREG", Int(S_IFREG)),
    ("S_IFLNK", Int(S_IFLNK)), ("S_IFIFO", Int(S_IFIFO)), ("S_IFSOCK", Int(S_IFSOCK)),
    ("S_IFCHR", Int(S_IFCHR)), ("S_IFBLK", Int(S_IFBLK)), ("S_ISUID", Int(S_ISUID)),
    ("S_ISGID", Int(S_ISGID)), ("S_ISVTX", Int(S_ISVTX)), ("S_IRWXU", Int(S_IRWXU)),
    ("S_IRUSR", Int(S_IRUSR)), ("S_IWUSR", Int(S_IWUSR)), ("S_IXUSR", Int(S_IXUSR)),
    ("S_IRWXG", Int(S_IRWXG)), ("S_IRGRP", Int(S_IRGRP)), ("S_IWGRP", Int(S_IWGRP)),
    ("S_IXGRP", Int(S_IXGRP)), ("S_IRWXO", Int(S_IRWXO)), ("S_IROTH", Int(S_IROTH)),
    ("S_IWOTH", Int(S_IWOTH)), ("S_IXOTH", Int(S_IXOTH)),
    ("O_RDONLY", Int(O_RDONLY)), ("O_WRONLY", Int(O_WRONLY)), ("O_RDWR", Int(O_RDWR)),
    ("O_ACCMODE", Int(O_ACCMODE)), ("O_APPEND", Int(O_APPEND)), ("O_CREAT", Int(O_CREAT)),
    ("O_EXCL", Int(O_EXCL)), ("O_TRUNC", Int(O_TRUNC)), ("O_NONBLOCK", Int(O_NONBLOCK)),
    ("O_SYNC", Int(O_SYNC)), ("O_DIRECTORY", Int(O_DIRECTORY)), ("O_NOFOLLOW", Int(O_NOFOLLOW)),
    ("O_CLOEXEC", Int(O_CLOEXEC)), ("O_DIRECT", 0o40000), ("O_NOATIME", 0o1000000),
    ("F_OK", Int(F_OK)), ("R_OK", Int(R_OK)), ("W_OK", Int(W_OK)), ("X_OK", Int(X_OK)),
    ("RENAME_NOREPLACE", 1), ("RENAME_EXCHANGE", 2), ("RENAME_WHITEOUT", 4),
    ("SEEK_SET", 0), ("SEEK_CUR", 1), ("SEEK_END", 2), ("SEEK_DATA", 3), ("SEEK_HOLE", 4),
    ("FALLOC_FL_KEEP_SIZE", 1), ("FALLOC_FL_PUNCH_HOLE", 2), ("FALLOC_FL_COLLAPSE_RANGE", 8),
    ("FALLOC_FL_ZERO_RANGE", 16), ("FALLOC_FL_INSERT_RANGE", 32),
    ("XATTR_CREATE", 1), ("XATTR_REPLACE", 2),
    ("F_RDLCK", Int(F_RDLCK)), ("F_WRLCK", Int(F_WRLCK)), ("F_UNLCK", Int(F_UNLCK)),
    ("F_GETLK", Int(F_GETLK)), ("F_SETLK", Int(F_SETLK)), ("F_SETLKW", Int(F_SETLKW)),
    ("LOCK_SH", 1), ("LOCK_EX", 2), ("LOCK_NB", 4), ("LOCK_UN", 8),
    ("POLLIN", Int(POLLIN)), ("POLLOUT", Int(POLLOUT)), ("POLLERR", Int(POLLERR)),
    ("POLLHUP", Int(POLLHUP)), ("POLLPRI", Int(POLLPRI)),
  ]
}
