// The hooks: each is one line of one table.

import Glibc
import System

/// A method of the script's class that serves one kind of operation.
///
/// They bear the names of the fields of libfuse's struct fuse_operations, prefixed `on_`.
package enum Hook: Int, CaseIterable, Sendable {
  case getattr, access, readlink, opendir, readdir, releasedir, fsyncdir
  case mknod, mkdir, symlink, create, unlink, rmdir, rename, link
  case chmod, chown, truncate, utimens
  case open, read, readAll, write, writeAll, append, flush, release, fsync
  case statfs, setxattr, getxattr, listxattr, removexattr
  case lock, flock, fallocate, lseek, copyFileRange, ioctl, poll, bmap

  /// One line of the table.
  package struct Row: Sendable {
    let hook: Hook
    /// The method's name.
    package let name: String
    /// What it is handed: it gets as many of these, from the left, as it accepts.
    package let arguments: [String]
    /// What kind of thing it is to return, and how another one is reported.
    package let expected: ResultKind
    /// What an operation comes to where the class has no such method.
    package let missing: Missing

    init(
      _ hook: Hook, _ name: String, _ arguments: String, _ expected: ResultKind, _ missing: Missing
    ) {
      self.hook = hook
      self.name = name
      self.arguments = arguments.isEmpty ? [] : arguments.split(separator: " ").map(String.init)
      self.expected = expected
      self.missing = missing
    }
  }

  /// What an operation comes to without its hook.
  package enum Missing: Sendable {
    /// It succeeds, and nothing happens.
    case succeeds
    /// The host serves it in the hook's stead: from other hooks, or with the default of libfuse.
    case isAnswered
    /// It fails with this error.
    case fails(Int32)
  }

  /// The table.
  package static let table: [Row] = [
    //  hook           method                 arguments               result       without it
    Row(.getattr, "on_getattr", "", .attributes, .isAnswered),
    Row(.access, "on_access", "mask", .act, .succeeds),
    Row(.readlink, "on_readlink", "", .bytes, .fails(EINVAL)),
    Row(.opendir, "on_opendir", "flags", .handle, .succeeds),
    Row(.readdir, "on_readdir", "handle", .names, .fails(ENOSYS)),
    Row(.releasedir, "on_releasedir", "handle", .act, .succeeds),
    Row(.fsyncdir, "on_fsyncdir", "datasync handle", .act, .succeeds),
    Row(.mknod, "on_mknod", "mode rdev", .act, .fails(EPERM)),
    Row(.mkdir, "on_mkdir", "mode", .act, .fails(EPERM)),
    Row(.symlink, "on_symlink", "target", .act, .fails(EPERM)),
    Row(.create, "on_create", "mode flags", .handle, .isAnswered),
    Row(.unlink, "on_unlink", "path", .act, .fails(EPERM)),
    Row(.rmdir, "on_rmdir", "", .act, .fails(EPERM)),
    Row(.rename, "on_rename", "new_path flags old_path", .act, .fails(EPERM)),
    Row(.link, "on_link", "new_path", .act, .fails(EPERM)),
    Row(.chmod, "on_chmod", "mode", .act, .isAnswered),
    Row(.chown, "on_chown", "uid gid", .act, .isAnswered),
    Row(.truncate, "on_truncate", "size handle", .act, .succeeds),
    Row(.utimens, "on_utimens", "atime mtime", .act, .succeeds),
    Row(.open, "on_open", "flags", .handle, .succeeds),
    Row(.read, "on_read", "size offset handle", .bytes, .isAnswered),
    Row(.readAll, "on_read_all", "handle", .bytes, .fails(ENOSYS)),
    Row(.write, "on_write", "data offset handle", .count, .isAnswered),
    Row(.writeAll, "on_write_all", "data handle", .act, .fails(ENOSYS)),
    Row(.append, "on_append", "data handle", .act, .isAnswered),
    Row(.flush, "on_flush", "handle", .act, .succeeds),
    Row(.release, "on_release", "handle", .act, .succeeds),
    Row(.fsync, "on_fsync", "datasync handle", .act, .succeeds),
    Row(.statfs, "on_statfs", "", .statistics, .isAnswered),
    Row(.setxattr, "on_setxattr", "name value flags", .act, .fails(EOPNOTSUPP)),
    Row(.getxattr, "on_getxattr", "name", .attributeValue, .fails(EOPNOTSUPP)),
    Row(.listxattr, "on_listxattr", "", .attributeNames, .isAnswered),
    Row(.removexattr, "on_removexattr", "name", .act, .fails(EOPNOTSUPP)),
    Row(.lock, "on_lock", "command lock owner handle", .lock, .isAnswered),
    Row(.flock, "on_flock", "operation owner handle", .act, .isAnswered),
    Row(.fallocate, "on_fallocate", "mode offset length handle", .act, .succeeds),
    Row(.lseek, "on_lseek", "offset whence handle", .offset, .isAnswered),
    Row(
      .copyFileRange, "on_copy_file_range", "offset path to_offset length flags handle to_handle",
      .count, .fails(EOPNOTSUPP)),
    Row(.ioctl, "on_ioctl", "command data flags handle", .ioctl, .fails(ENOTTY)),
    Row(.poll, "on_poll", "events handle", .events, .isAnswered),
    Row(.bmap, "on_bmap", "block_size index", .offset, .fails(ENOSYS)),
  ]

  /// This hook's line.
  package var row: Row { Hook.table[rawValue] }
  /// The method's name.
  package var name: String { row.name }

  /// What `FUSE.help` says.
  package static var help: String {
    let hooks = table.map { row in
      "  \(row.name)\(row.arguments.isEmpty ? "" : "(\(row.arguments.joined(separator: ", ")))")"
    }
    return "Hooks, all optional, handed as many of their arguments as they accept:\n"
      + hooks.joined(separator: "\n") + "\n"
  }
}
