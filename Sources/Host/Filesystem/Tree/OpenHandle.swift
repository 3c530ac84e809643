// Open files and directories: what is kept between open and release.

import FUSE
import Glibc
import Ruby
import System

/// One open file or directory; the kernel knows it by its number.
final class OpenHandle {
  let node: Node
  let flags: Int32
  /// The object that on_open, on_create or on_opendir returned, to be passed back.
  let object: VM.Root?
  /// How it is read; and, where that is past the kernel's cache by the host's own choice, that it is the
  /// host that has to find the end of the file.
  var reading = ReadingHabit.Signs()
  /// The thread that opened it.
  let opener: pid_t
  /// What was written through it and has not been handed over to on_write_all.
  var pending = PendingContent()
  /// What a read through it shows of them: kept until the next write.
  var shown: [UInt8]?
  /// The largest piece that was written through it, in bytes.
  var largestPiece = 0
  /// The content that on_read_all returned when the file was last read from its beginning: one read
  /// of a whole file sees one content, whatever the script returns next.
  var snapshot: VM.Root?
  /// A directory's names as on_readdir returned them when it was last read from its beginning.
  var listing: VM.Root?
  /// How many changes there had been by then, as `Filesystem.changes` counts.
  var listedAt: UInt64 = 0

  init(node: Node, flags: Int32, object: VM.Root?, opener: pid_t) {
    self.node = node
    self.opener = opener
    self.flags = flags
    self.object = object
    reading.isDirect = flags & Linux.direct != 0
  }

  /// Whether it may be written through.
  var mayWrite: Bool { flags & O_ACCMODE != O_RDONLY }
}
