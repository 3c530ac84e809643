// Parts of files: locks, room, holes and copies; and what devices do.

import FUSE
import Glibc
import Ruby
import System

extension Filesystem {
  // MARK: Locks

  func getlk(
    _ request: consuming Request, node id: NodeID, file: OpenFile, lock: FileLock
  ) {
    let task = begin(.getlk, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    callLock(task, node, F_GETLK, file, lock) { [self] result throws(Errno) in
      let value = try results.value(of: result)
      var found = lock
      found.kind = .none
      if value.kind == .array, value.count ?? 0 >= 1 {
        found = try results.lock(value, result)
      } else if !value.isNil, value.integer != 0 {
        throw results.wrong(result, value)
      }
      self.reply(task) { $0.lock(found) }
    }
  }

  func setlk(
    _ request: consuming Request, node id: NodeID, file: OpenFile, lock: FileLock, wait: Bool
  ) {
    let task = begin(.setlk, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    callLock(task, node, wait ? F_SETLKW : F_SETLK, file, lock) { [self] result throws(Errno) in
      if result.isMissing { throw Errno(ENOSYS) }
      try results.accept(result)
      succeed(task)
    }
  }

  /// Calls on_lock with the lock as [type, start, length, pid].
  private func callLock(
    _ task: ScriptTask, _ node: Node, _ command: Int32, _ file: OpenFile, _ lock: FileLock,
    next: @escaping Continuation
  ) {
    let type =
      switch lock.kind {
      case .read: F_RDLCK
      case .write: F_WRLCK
      case .none: F_UNLCK
      }
    let arena = vm.openScope()
    defer { vm.closeScope(arena) }
    do throws(RubyException) {
      let numbers = [Int(type), Int(lock.start), Int(lock.length), Int(lock.pid)]
      var values: [Value] = []
      for number in numbers { values.append(try vm.integer(number)) }
      let array = try vm.array(values)
      call(
        task, .lock, on: node,
        [
          .integer(command), .value(array), .integer(file.lockOwner),
          object(handles[file.handle]?.object),
        ], next: next)
    } catch {
      fail(task, results.errno(of: error, in: Hook.lock.name, node: node))
    }
  }

  func flock(
    _ request: consuming Request, node id: NodeID, file: OpenFile, operation: Int32
  ) {
    let task = begin(.flock, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    let object = object(handles[file.handle]?.object)
    call(
      task, .flock, on: node, [.integer(operation), .integer(file.lockOwner), object]
    ) { [self] result throws(Errno) in
      if result.isMissing { throw Errno(ENOSYS) }
      try results.accept(result)
      succeed(task)
    }
  }

  // MARK: Room, holes, copies

  func fallocate(
    _ request: consuming Request, node id: NodeID, mode: Int32, offset: Int64, length: Int64,
    file: OpenFile
  ) {
    let task = begin(.fallocate, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .range(Int(length), offset))
    call(
      task, .fallocate, on: node,
      [
        .integer(mode), .integer(offset), .integer(length),
        object(handles[file.handle]?.object),
      ]
    ) { [self] result throws(Errno) in
      // Without the hook room is granted, as the original did; what would change content is not.
      if result.isMissing, mode & ~Linux.fallocateKeepSize != 0 { throw Errno(EOPNOTSUPP) }
      try results.accept(result)
      changed(node)
      succeed(task)
    }
  }

  func lseek(
    _ request: consuming Request, node id: NodeID, offset: Int64, whence: Int32, file: OpenFile
  ) {
    let task = begin(.lseek, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .range(Int(whence), offset))
    let object = object(handles[file.handle]?.object)
    call(
      task, .lseek, on: node, [.integer(offset), .integer(whence), object]
    ) { [self] result throws(Errno) in
      guard result.isMissing else {
        let found = try results.offset(of: result)
        self.reply(task, result: .success(Int(found))) { $0.offset(found) }
        return
      }
      // Without the hook a file is all data, with the one hole that every file has at its end.
      attributes(of: node, in: task) { [self] attributes throws(Errno) in
        guard let attributes else { throw Errno(ENOENT) }
        guard offset >= 0, offset < attributes.size else { throw Errno(ENXIO) }
        let found = whence == Linux.seekHole ? attributes.size : offset
        self.reply(task, result: .success(Int(found))) { $0.offset(found) }
      }
    }
  }

  func copyFileRange(
    _ request: consuming Request, node id: NodeID, offset: Int64, file: OpenFile,
    toNode: NodeID, toOffset: Int64, toFile: OpenFile, length: Int, flags: Int32
  ) {
    let task = begin(.copyFileRange, request)
    guard let node = node(id, for: task),
      let target = self.node(toNode, for: task)
    else { return }
    task.note(node, .range(length, offset))
    // The target is named by its path; one that was unlinked has none, and is copied to by writing.
    guard let path = target.path else { return fail(task, Errno(EOPNOTSUPP)) }
    path.withUnsafeBytes {
      call(
        task, .copyFileRange, on: node,
        [
          .integer(offset), .bytes($0), .integer(toOffset), .integer(length), .integer(flags),
          object(handles[file.handle]?.object), object(handles[toFile.handle]?.object),
        ]
      ) { [self] result throws(Errno) in
        let count = try results.count(of: result, total: length)
        changed(target)
        self.reply(task, written: count)
      }
    }
  }

  // MARK: Devices

  func ioctl(
    _ request: consuming Request, node id: NodeID, command: UInt32, argument: UInt,
    file: OpenFile, flags: UInt32, input: UnsafeRawBufferPointer, outputSize: Int
  ) {
    let task = begin(.ioctl, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .number(Int(command)))
    let data: Argument = input.isEmpty ? .integer(argument) : .bytes(input)
    call(
      task, .ioctl, on: node,
      [.integer(command), data, .integer(flags), object(handles[file.handle]?.object)]
    ) { [self] result throws(Errno) in
      let value = try results.value(of: result)
      let number = value.kind == .array ? value[0].integer : value.integer ?? 0
      let output = value.kind == .array ? value[1] : value
      let bytes = output.bytes ?? []
      guard let number, let result = Int32(exactly: number), bytes.count <= outputSize,
        value.isNil || value.integer != nil || output.kind == .string || output.isNil
      else {
        throw results.wrong(
          result, value,
          "\(ResultKind.ioctl.expectation), of at most \(outputSize) bytes")
      }
      bytes.withUnsafeBytes { bytes in
        self.reply(task) { $0.ioctl(result: result, bytes: bytes) }
      }
    }
  }

  func poll(
    _ request: consuming Request, node id: NodeID, file: OpenFile, events: UInt32,
    handle: PollHandle?
  ) {
    let task = begin(.poll, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    // The kernel takes such a file to be ready at all times, and asks no more.
    guard mayReload || scheduler.lifecycle.isInBackground || definesPoll() else {
      return fail(task, Errno(ENOSYS))
    }
    // A notification wakes the callers that wait for one open file.
    if let handle { node.pollHandles[file.handle] = handle }
    call(
      task, .poll, on: node,
      [.integer(events), object(handles[file.handle]?.object)]
    ) { [self] result throws(Errno) in
      let value = try results.value(of: result)
      let ready: UInt32
      if result.isMissing {
        // What the kernel takes a file to be that cannot tell: always ready.
        ready = UInt32(POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)
      } else if value.isNil {
        ready = 0
      } else if let bits = value.integer.flatMap({ UInt32(exactly: $0) }) {
        ready = bits
      } else {
        throw results.wrong(result, value)
      }
      self.reply(task) { $0.polled(ready) }
    }
  }

  /// Whether any class has on_poll. One that comes later is not seen, save where the script may be
  /// loaded again: to the kernel it is no for ever.
  private func definesPoll() -> Bool {
    if let isPollDefined { return isPollDefined }
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    let name = interpreter.hookNames[Hook.poll.rawValue].value
    let isDefined = (try? vm.send(vm[interpreter.fuse], "__defined?", [name]))?.isTruthy ?? true
    isPollDefined = isDefined
    return isDefined
  }

  func bmap(
    _ request: consuming Request, node id: NodeID, blockSize: Int, index: UInt64
  ) {
    let task = begin(.bmap, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    call(task, .bmap, on: node, [.integer(blockSize), .integer(index)]) {
      [self] result throws(Errno) in
      let found = try results.offset(of: result)
      self.reply(task) { $0.block(UInt64(found)) }
    }
  }
}
