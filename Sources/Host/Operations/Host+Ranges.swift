// Parts of files: locks, room, holes and copies; and what devices do.

package import FUSE
import Glibc
import Ruby
import System

extension Host {
  // MARK: Locks

  package func getlk(
    _ request: consuming Request, node id: NodeID, file: OpenFile, lock: FileLock
  ) {
    let turn = begin(.getlk, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node)
    callLock(turn, node, F_GETLK, file, lock) { [self] answer throws(Errno) in
      let value = try value(of: answer)
      var found = lock
      found.kind = .none
      if value.kind == .array, value.count ?? 0 >= 1 {
        found = try self.lock(value, answer)
      } else if !value.isNil, value.integer != 0 {
        throw wrong(answer, value)
      }
      self.answer(turn) { $0.lock(found) }
    }
  }

  package func setlk(
    _ request: consuming Request, node id: NodeID, file: OpenFile, lock: FileLock, wait: Bool
  ) {
    let turn = begin(.setlk, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node)
    callLock(turn, node, wait ? F_SETLKW : F_SETLK, file, lock) { [self] answer throws(Errno) in
      if answer.isMissing { throw Errno(ENOSYS) }
      try accept(answer)
      succeed(turn)
    }
  }

  /// Calls on_lock with the lock as [type, start, length, pid].
  private func callLock(
    _ turn: Turn, _ node: Node, _ command: Int32, _ file: OpenFile, _ lock: FileLock,
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
        turn, .lock, on: node,
        [
          .integer(command), .value(array), .integer(file.lockOwner),
          object(handles[file.handle]?.object),
        ], next: next)
    } catch {
      fail(turn, errno(of: error, in: Hook.lock.name, node: node))
    }
  }

  private func lock(_ value: Value, _ answer: Answer) throws(Errno) -> FileLock {
    let numbers = (value.elements ?? []).map { $0.integer }
    guard let type = numbers.first ?? nil, let type = Int32(exactly: type) else {
      throw wrong(answer, value)
    }
    func number(_ index: Int) -> Int { index < numbers.count ? numbers[index] ?? 0 : 0 }
    let kind: FileLock.Kind
    switch type {
    case F_RDLCK: kind = .read
    case F_WRLCK: kind = .write
    case F_UNLCK: kind = .none
    default: throw wrong(answer, value)
    }
    guard number(1) >= 0, number(2) >= 0 else { throw wrong(answer, value) }
    return FileLock(
      kind, start: Int64(number(1)), length: Int64(number(2)), pid: Int32(clamping: number(3)))
  }

  package func flock(
    _ request: consuming Request, node id: NodeID, file: OpenFile, operation: Int32
  ) {
    let turn = begin(.flock, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node)
    let object = object(handles[file.handle]?.object)
    call(
      turn, .flock, on: node, [.integer(operation), .integer(file.lockOwner), object]
    ) { [self] answer throws(Errno) in
      if answer.isMissing { throw Errno(ENOSYS) }
      try accept(answer)
      succeed(turn)
    }
  }

  // MARK: Room, holes, copies

  package func fallocate(
    _ request: consuming Request, node id: NodeID, mode: Int32, offset: Int64, length: Int64,
    file: OpenFile
  ) {
    let turn = begin(.fallocate, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node, .range(Int(length), offset))
    call(
      turn, .fallocate, on: node,
      [
        .integer(mode), .integer(offset), .integer(length),
        object(handles[file.handle]?.object),
      ]
    ) { [self] answer throws(Errno) in
      // Without the hook room is granted, as the original did; what would change content is not.
      if answer.isMissing, mode & ~Linux.fallocateKeepSize != 0 { throw Errno(EOPNOTSUPP) }
      try accept(answer)
      changed(node)
      succeed(turn)
    }
  }

  package func lseek(
    _ request: consuming Request, node id: NodeID, offset: Int64, whence: Int32, file: OpenFile
  ) {
    let turn = begin(.lseek, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node, .range(Int(whence), offset))
    let object = object(handles[file.handle]?.object)
    call(
      turn, .lseek, on: node, [.integer(offset), .integer(whence), object]
    ) { [self] answer throws(Errno) in
      guard answer.isMissing else {
        let found = try self.offset(of: answer)
        self.answer(turn, result: .success(Int(found))) { $0.offset(found) }
        return
      }
      // Without the hook a file is all data, with the one hole that every file has at its end.
      attributes(of: node, in: turn) { [self] attributes throws(Errno) in
        guard let attributes else { throw Errno(ENOENT) }
        guard offset >= 0, offset < attributes.size else { throw Errno(ENXIO) }
        let found = whence == Linux.seekHole ? attributes.size : offset
        self.answer(turn, result: .success(Int(found))) { $0.offset(found) }
      }
    }
  }

  package func copyFileRange(
    _ request: consuming Request, node id: NodeID, offset: Int64, file: OpenFile,
    toNode: NodeID, toOffset: Int64, toFile: OpenFile, length: Int, flags: Int32
  ) {
    let turn = begin(.copyFileRange, request)
    guard let node = node(id, for: turn),
      let target = self.node(toNode, for: turn)
    else { return }
    note(turn, node, .range(length, offset))
    // The target is named by its path; one that was unlinked has none, and is copied to by writing.
    guard let path = target.path else { return fail(turn, Errno(EOPNOTSUPP)) }
    path.withUnsafeBytes {
      call(
        turn, .copyFileRange, on: node,
        [
          .integer(offset), .bytes($0), .integer(toOffset), .integer(length), .integer(flags),
          object(handles[file.handle]?.object), object(handles[toFile.handle]?.object),
        ]
      ) { [self] answer throws(Errno) in
        let count = try count(of: answer, total: length)
        changed(target)
        self.answer(turn, written: count)
      }
    }
  }

  // MARK: Devices

  package func ioctl(
    _ request: consuming Request, node id: NodeID, command: UInt32, argument: UInt,
    file: OpenFile, flags: UInt32, input: UnsafeRawBufferPointer, outputSize: Int
  ) {
    let turn = begin(.ioctl, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node, .number(Int(command)))
    let data: Argument = input.isEmpty ? .integer(argument) : .bytes(input)
    call(
      turn, .ioctl, on: node,
      [.integer(command), data, .integer(flags), object(handles[file.handle]?.object)]
    ) { [self] answer throws(Errno) in
      let value = try value(of: answer)
      let number = value.kind == .array ? value[0].integer : value.integer ?? 0
      let output = value.kind == .array ? value[1] : value
      let bytes = output.bytes ?? []
      guard let number, let result = Int32(exactly: number), bytes.count <= outputSize,
        value.isNil || value.integer != nil || output.kind == .string || output.isNil
      else {
        throw wrong(
          answer, value,
          "\(AnswerKind.ioctl.expectation), of at most \(outputSize) bytes")
      }
      bytes.withUnsafeBytes { bytes in
        self.answer(turn) { $0.ioctl(result: result, bytes: bytes) }
      }
    }
  }

  package func poll(
    _ request: consuming Request, node id: NodeID, file: OpenFile, events: UInt32,
    handle: consuming PollHandle?
  ) {
    let turn = begin(.poll, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node)
    // The last one who wants to be told is told for all: the kernel wakes everybody who waits.
    if let handle { node.pollHandle = consume handle }
    call(
      turn, .poll, on: node,
      [.integer(events), object(handles[file.handle]?.object)]
    ) { [self] answer throws(Errno) in
      let value = try value(of: answer)
      let ready: UInt32
      if answer.isMissing {
        // What the kernel takes a file to be that cannot tell: always ready.
        ready = UInt32(POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)
      } else if value.isNil {
        ready = 0
      } else if let bits = value.integer.flatMap({ UInt32(exactly: $0) }) {
        ready = bits
      } else {
        throw wrong(answer, value)
      }
      self.answer(turn) { $0.polled(ready) }
    }
  }

  package func bmap(
    _ request: consuming Request, node id: NodeID, blockSize: Int, index: UInt64
  ) {
    let turn = begin(.bmap, request)
    guard let node = node(id, for: turn) else { return }
    note(turn, node)
    call(turn, .bmap, on: node, [.integer(blockSize), .integer(index)]) {
      [self] answer throws(Errno) in
      let found = try offset(of: answer)
      self.answer(turn) { $0.block(UInt64(found)) }
    }
  }
}
