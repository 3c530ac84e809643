// From the library's callbacks to the methods of Operations: nothing is stored here, copied or
// allocated. libfuse hands out no null request, name or file information, save where its manual
// says so: hence unsafelyUnwrapped.

import CFuse
import Glibc

/// The table that every session hands to libfuse; it is built once.
enum OperationsTable {
  static let operations: fuse_lowlevel_ops = {
    var table = fuse_lowlevel_ops()
    addConnection(to: &table)
    addNames(to: &table)
    addFiles(to: &table)
    addDirectories(to: &table)
    addAttributes(to: &table)
    addLocks(to: &table)
    return table
  }()

  /// What came after 3.14; the shim adds it where the library has it.
  static let newer: cfuse_newer_operations = {
    var table = cfuse_newer_operations()
    table.tmpfile = { raw, parent, mode, file in
      raw.serve { $0.operations.tmpfile($1, parent: parent, mode: mode, file: OpenFile(file)) }
    }
    return table
  }()

  private static func addConnection(to table: inout fuse_lowlevel_ops) {
    table.`init` = { userdata, connection in
      guard let userdata, let connection else { return }
      Unmanaged<Session>.fromOpaque(userdata)._withUnsafeGuaranteedRef { $0.connected(connection) }
    }
    table.destroy = { userdata in
      guard let userdata else { return }
      Unmanaged<Session>.fromOpaque(userdata)._withUnsafeGuaranteedRef { $0.operations.destroyed() }
    }
    table.forget = { raw, node, lookups in
      raw.served.forget(node, lookups: lookups)
      fuse_reply_none(raw)
    }
    table.forget_multi = { raw, count, list in
      let operations = raw.served
      for item in UnsafeBufferPointer(start: list, count: count) {
        operations.forget(item.ino, lookups: item.nlookup)
      }
      fuse_reply_none(raw)
    }
    table.statfs = { raw, node in raw.serve { $0.operations.statfs($1, node: node) } }
  }

  private static func addNames(to table: inout fuse_lowlevel_ops) {
    table.lookup = { raw, parent, name in
      raw.serve { $0.operations.lookup($1, parent: parent, name: name.unsafelyUnwrapped) }
    }
    table.mknod = { raw, parent, name, mode, device in
      raw.serve {
        $0.operations.mknod(
          $1, parent: parent, name: name.unsafelyUnwrapped, mode: mode, device: UInt64(device))
      }
    }
    table.mkdir = { raw, parent, name, mode in
      raw.serve {
        $0.operations.mkdir($1, parent: parent, name: name.unsafelyUnwrapped, mode: mode)
      }
    }
    table.unlink = { raw, parent, name in
      raw.serve { $0.operations.unlink($1, parent: parent, name: name.unsafelyUnwrapped) }
    }
    table.rmdir = { raw, parent, name in
      raw.serve { $0.operations.rmdir($1, parent: parent, name: name.unsafelyUnwrapped) }
    }
    table.readlink = { raw, node in raw.serve { $0.operations.readlink($1, node: node) } }
    table.symlink = { raw, target, parent, name in
      raw.serve {
        $0.operations.symlink(
          $1, target: target.unsafelyUnwrapped, parent: parent, name: name.unsafelyUnwrapped)
      }
    }
    table.rename = { raw, parent, name, newParent, newName, flags in
      raw.serve {
        $0.operations.rename(
          $1, parent: parent, name: name.unsafelyUnwrapped, newParent: newParent,
          newName: newName.unsafelyUnwrapped, flags: flags)
      }
    }
    table.link = { raw, node, newParent, newName in
      raw.serve {
        $0.operations.link(
          $1, node: node, newParent: newParent, newName: newName.unsafelyUnwrapped)
      }
    }
  }

  private static func addFiles(to table: inout fuse_lowlevel_ops) {
    table.create = { raw, parent, name, mode, info in
      raw.serve { session, request in
        var file = OpenFile(info.unsafelyUnwrapped)
        file.clearsSetID = session.createClearsSetID
        session.operations.create(
          request, parent: parent, name: name.unsafelyUnwrapped, mode: mode, file: file)
      }
    }
    table.open = { raw, node, info in
      raw.serve { session, request in
        var file = OpenFile(info.unsafelyUnwrapped)
        file.clearsSetID = session.openClearsSetID
        session.operations.open(request, node: node, file: file)
      }
    }
    table.read = { raw, node, size, offset, info in
      raw.serve {
        $0.operations.read(
          $1, node: node, size: size, offset: Int64(offset), file: OpenFile(info.unsafelyUnwrapped))
      }
    }
    table.write = { raw, node, data, size, offset, info in
      raw.serve { session, request in
        var file = OpenFile(info.unsafelyUnwrapped)
        file.clearsSetID = session.writeClearsSetID
        session.operations.write(
          request, node: node, data: UnsafeRawBufferPointer(start: data, count: size),
          offset: Int64(offset), file: file)
      }
    }
    table.flush = { raw, node, info in
      raw.serve { $0.operations.flush($1, node: node, file: OpenFile(info.unsafelyUnwrapped)) }
    }
    table.release = { raw, node, info in
      raw.serve { $0.operations.release($1, node: node, file: OpenFile(info.unsafelyUnwrapped)) }
    }
    table.fsync = { raw, node, dataOnly, info in
      raw.serve {
        $0.operations.fsync(
          $1, node: node, dataOnly: dataOnly != 0, file: OpenFile(info.unsafelyUnwrapped))
      }
    }
    table.fallocate = { raw, node, mode, offset, length, info in
      raw.serve {
        $0.operations.fallocate(
          $1, node: node, mode: mode, offset: Int64(offset), length: Int64(length),
          file: OpenFile(info.unsafelyUnwrapped))
      }
    }
    table.copy_file_range = { raw, node, offset, info, toNode, toOffset, toInfo, length, flags in
      raw.serve {
        $0.operations.copyFileRange(
          $1, node: node, offset: Int64(offset), file: OpenFile(info.unsafelyUnwrapped),
          toNode: toNode, toOffset: Int64(toOffset), toFile: OpenFile(toInfo.unsafelyUnwrapped),
          length: length, flags: flags)
      }
    }
    table.lseek = { raw, node, offset, whence, info in
      raw.serve {
        $0.operations.lseek(
          $1, node: node, offset: Int64(offset), whence: whence,
          file: OpenFile(info.unsafelyUnwrapped))
      }
    }
    table.bmap = { raw, node, blockSize, index in
      raw.serve { $0.operations.bmap($1, node: node, blockSize: blockSize, index: index) }
    }
    table.ioctl = { raw, node, command, argument, info, flags, input, inputSize, outputSize in
      raw.serve {
        $0.operations.ioctl(
          $1, node: node, command: command, argument: UInt(bitPattern: argument),
          file: OpenFile(info.unsafelyUnwrapped), flags: flags,
          input: UnsafeRawBufferPointer(start: input, count: input == nil ? 0 : inputSize),
          outputSize: outputSize)
      }
    }
    table.poll = { raw, node, info, handle in
      raw.serve { session, request in
        let file = info.unsafelyUnwrapped
        session.operations.poll(
          request, node: node, file: OpenFile(file), events: file.pointee.poll_events,
          handle: PollHandle.taking(handle, for: session))
      }
    }
  }

  private static func addDirectories(to table: inout fuse_lowlevel_ops) {
    table.opendir = { raw, node, info in
      raw.serve { $0.operations.opendir($1, node: node, file: OpenFile(info.unsafelyUnwrapped)) }
    }
    table.readdir = { raw, node, size, offset, info in
      raw.serve {
        $0.operations.readdir(
          $1, node: node, size: size, offset: Int64(offset), file: OpenFile(info.unsafelyUnwrapped))
      }
    }
    table.readdirplus = { raw, node, size, offset, info in
      raw.serve {
        $0.operations.readdirplus(
          $1, node: node, size: size, offset: Int64(offset), file: OpenFile(info.unsafelyUnwrapped))
      }
    }
    table.releasedir = { raw, node, info in
      raw.serve {
        $0.operations.releasedir($1, node: node, file: OpenFile(info.unsafelyUnwrapped))
      }
    }
    table.fsyncdir = { raw, node, dataOnly, info in
      raw.serve {
        $0.operations.fsyncdir(
          $1, node: node, dataOnly: dataOnly != 0, file: OpenFile(info.unsafelyUnwrapped))
      }
    }
  }

  private static func addAttributes(to table: inout fuse_lowlevel_ops) {
    table.getattr = { raw, node, info in
      raw.serve { $0.operations.getattr($1, node: node, handle: info?.pointee.fh) }
    }
    table.setattr = { raw, node, attributes, mask, info in
      raw.serve {
        $0.operations.setattr(
          $1, node: node,
          changes: AttributeChanges(attributes.unsafelyUnwrapped.pointee, mask: mask),
          handle: info?.pointee.fh)
      }
    }
    table.access = { raw, node, mask in
      raw.serve { $0.operations.access($1, node: node, mask: mask) }
    }
    table.setxattr = { raw, node, name, value, size, flags in
      raw.serve {
        $0.operations.setxattr(
          $1, node: node, name: name.unsafelyUnwrapped,
          value: UnsafeRawBufferPointer(start: value, count: size), flags: flags)
      }
    }
    table.getxattr = { raw, node, name, size in
      raw.serve {
        $0.operations.getxattr($1, node: node, name: name.unsafelyUnwrapped, size: size)
      }
    }
    table.listxattr = { raw, node, size in
      raw.serve { $0.operations.listxattr($1, node: node, size: size) }
    }
    table.removexattr = { raw, node, name in
      raw.serve { $0.operations.removexattr($1, node: node, name: name.unsafelyUnwrapped) }
    }
  }

  private static func addLocks(to table: inout fuse_lowlevel_ops) {
    table.getlk = { raw, node, info, lock in
      raw.serve {
        $0.operations.getlk(
          $1, node: node, file: OpenFile(info.unsafelyUnwrapped),
          lock: FileLock(lock.unsafelyUnwrapped.pointee))
      }
    }
    table.setlk = { raw, node, info, lock, wait in
      raw.serve {
        $0.operations.setlk(
          $1, node: node, file: OpenFile(info.unsafelyUnwrapped),
          lock: FileLock(lock.unsafelyUnwrapped.pointee), wait: wait != 0)
      }
    }
    table.flock = { raw, node, info, operation in
      raw.serve {
        $0.operations.flock(
          $1, node: node, file: OpenFile(info.unsafelyUnwrapped), operation: operation)
      }
    }
  }
}

extension fuse_req_t? {
  /// Hands the request, as a value that has to be replied to, to its session's operations.
  @inline(__always)
  fileprivate func serve(_ body: (Session, consuming Request) -> Void) {
    unsafelyUnwrapped.serve(body)
  }

  @inline(__always)
  fileprivate var served: any Operations {
    Request.session(of: unsafelyUnwrapped)._withUnsafeGuaranteedRef { $0.operations }
  }
}

extension fuse_req_t {
  @inline(__always)
  fileprivate func serve(_ body: (Session, consuming Request) -> Void) {
    Request.session(of: self)._withUnsafeGuaranteedRef {
      body($0, Request(self))
    }
  }
}
