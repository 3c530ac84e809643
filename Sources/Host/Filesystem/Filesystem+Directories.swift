// Directories: a listing is asked for once, and handed to the kernel in pieces with stable offsets.

import FUSE
import Glibc
import Ruby
import System

extension Filesystem {
  func opendir(_ request: consuming Request, node id: NodeID, file: OpenFile) {
    let task = begin(.opendir, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    let flags = file.flags & ~O_ACCMODE
    call(task, .opendir, on: node, [.integer(file.flags)]) { [self] result throws(Errno) in
      var reply = try register(try opened(by: result), node, flags, result)
      reply.directIO = false
      reply.noFlush = false
      self.reply(task) { if !$0.opened(reply) { forget(handle: reply.handle) } }
    }
  }

  func releasedir(_ request: consuming Request, node id: NodeID, file: OpenFile) {
    let task = begin(.releasedir, request)
    guard let node = node(id, for: task) else { return }
    task.note(node)
    let number = file.handle
    call(task, .releasedir, on: node, [object(handles[number]?.object)]) {
      [self] result throws(Errno) in
      forget(handle: number)
      try results.accept(result)
      succeed(task)
    }
  }

  func fsyncdir(
    _ request: consuming Request, node id: NodeID, dataOnly: Bool, file: OpenFile
  ) {
    sync(.fsyncdir, request, .fsyncdir, id, dataOnly, file)
  }

  func readdir(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) {
    list(request, node, size, offset, file, withEntries: false)
  }

  func readdirplus(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) {
    list(request, node, size, offset, file, withEntries: true)
  }

  private func list(
    _ request: consuming Request, _ id: NodeID, _ size: Int, _ offset: Int64, _ file: OpenFile,
    withEntries: Bool
  ) {
    let task = begin(.readdir, request)
    guard let node = node(id, for: task) else { return }
    task.note(node, .range(size, offset))
    guard let handle = handles[file.handle] else { return fail(task, Errno(EBADF)) }
    if offset > 0, handle.listing != nil {
      return list(Listing(task, node, handle, size, offset, withEntries))
    }
    handle.listedAt = changes
    call(task, .readdir, on: node, [object(handle.object)]) { [self] result throws(Errno) in
      try keep(result, in: handle)
      list(Listing(task, node, handle, size, offset, withEntries))
    }
  }

  /// Keeps what on_readdir returned, names, [name, stat] pairs or a Hash of them, as an Array of its
  /// own: what the script does to its list later does not move the names that are still to come.
  private func keep(_ result: HookResult, in handle: OpenHandle) throws(Errno) {
    let value = try results.value(of: result)
    if value.isNil { throw Errno(ENOENT) }
    guard value.kind == .array || value.kind == .hash else { throw results.wrong(result, value) }
    do throws(RubyException) {
      let copy = try vm.send(
        value, value.kind == .hash ? interpreter.names.toArray : interpreter.names.dup)
      if let old = handle.listing.take() { vm.release(old) }
      handle.listing = try vm.retain(copy)
    } catch {
      throw results.errno(of: error, in: result.hook.name, node: result.node)
    }
  }

  /// One request for a piece of a listing. Offset 0 is ".", 1 is "..", and then come the names.
  private struct Listing {
    let task: ScriptTask
    let node: Node
    let handle: OpenHandle
    let size: Int
    let offset: Int
    let withEntries: Bool
    /// The nodes that the kernel is handed, each of which is a look-up.
    var entered: [Node] = []

    init(
      _ task: ScriptTask, _ node: Node, _ handle: OpenHandle, _ size: Int, _ offset: Int64,
      _ withEntries: Bool
    ) {
      self.task = task
      self.node = node
      self.handle = handle
      self.size = size
      self.offset = Int(clamping: max(offset, 0))
      self.withEntries = withEntries
    }
  }

  /// Replies with as much of a listing as fits.
  ///
  /// A name is read from the script's own Array when it is handed over: a directory of a million
  /// names is not copied first.
  private func list(_ request: Listing) {
    guard let root = request.handle.listing else { return fail(request.task, Errno(EBADF)) }
    var listing = request
    directoryBuffer.removeAll(limit: listing.size)
    do throws(Errno) {
      let names = vm[root]
      let count = (names.count ?? 0) + Filesystem.dots
      var index = listing.offset
      while index < count {
        let fits =
          index < Filesystem.dots
          ? try addDots(index, in: listing)
          : try add(
            vm.listed(in: names, at: index - Filesystem.dots), next: index + 1, to: &listing)
        if !fits { break }
        index += 1
      }
    } catch {
      forgetLookups(of: listing.entered)
      return fail(listing.task, error)
    }
    reply(listing.task) {
      if !directoryBuffer.reply(to: $0) { forgetLookups(of: listing.entered) }
    }
  }

  private func forgetLookups(of nodes: [Node]) {
    for node in nodes {
      node.lookupCount -= 1
      tree.discardIfUnused(node)
    }
  }

  private func addDots(_ index: Int, in listing: Listing) throws(Errno) -> Bool {
    let parent = listing.node.dentries.first?.parent ?? listing.node
    let name: StaticString = index == 0 ? "." : ".."
    return try addName(
      UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount),
      ino: index == 0 ? listing.node.id : parent.id, type: S_IFDIR, to: listing, next: index + 1)
  }

  /// Adds one element of what on_readdir returned, a name or [name, stat]; false where it does not fit
  /// any more.
  private func add(_ element: Listed, next: Int, to listing: inout Listing) throws(Errno) -> Bool {
    // What is held for each name must not add up.
    let scope = vm.openScope()
    defer { vm.closeScope(scope) }
    guard let bytes = element.name else {
      throw results.wrong(result(element, listing), element.value, ResultKind.names.expectation)
    }
    let name = EntryName(borrowing: bytes)
    func misnamed() -> Errno {
      results.wrong(
        result(element, listing), element.value,
        "names of 1 to \(EntryName.longest) bytes without a slash or NUL")
    }
    // The kernel is given "." and ".." by the host.
    if name.isDots { return true }
    guard name.isValid else { throw misnamed() }
    guard !element.stat.isNil else { return try addName(bytes, to: listing, next: next) }
    // An accessor of the script's may change the name, or make a node of it.
    let kept = name.kept
    let stat = try results.statLike(element.stat, result(element, listing))
    let parent = listing.node
    let known = tree.child(of: parent, named: kept)
    func withName(_ add: (UnsafeRawBufferPointer) throws(Errno) -> Bool) throws(Errno) -> Bool {
      try kept.withBytes { bytes in Result { () throws(Errno) in try add(bytes) } }.get()
    }
    guard listing.withEntries else {
      let ino = stat.ino ?? known?.id ?? Filesystem.unknownInode
      return try withName { bytes throws(Errno) in
        try addName(bytes, ino: ino, type: stat.mode, to: listing, next: next)
      }
    }
    // A name that may have gone since the script listed it must not be handed over as one that leads
    // to a file, and attributes that may have changed are for the kernel to ask for.
    guard max(parent.lastChange, known?.lastChange ?? 0) <= listing.handle.listedAt else {
      return try withName { bytes throws(Errno) in try addName(bytes, to: listing, next: next) }
    }
    let node = known ?? tree.add(kept, under: parent)
    var entry = entry(node, attributes(from: stat, of: node))
    entry.attributeTimeout = max(entry.attributeTimeout, options.listingTimeout)
    entry.entryTimeout = max(entry.entryTimeout, options.listingTimeout)
    let fits = try withName { bytes throws(Errno) in
      try directoryBuffer.addPlus(bytes, entry, next: Int64(next))
    }
    guard fits else {
      tree.discardIfUnused(node)
      return false
    }
    node.lookupCount += 1
    listing.entered.append(node)
    return true
  }

  /// For the report of an element that is none.
  private func result(_ element: Listed, _ listing: Listing) -> HookResult {
    HookResult(
      task: listing.task, hook: .readdir, node: listing.node, content: .value(element.value))
  }

  /// Adds a name that is no look-up: with a number and a type only.
  private func addName(
    _ name: UnsafeRawBufferPointer, ino: UInt64 = Filesystem.unknownInode, type: UInt32 = 0,
    to listing: Listing, next: Int
  ) throws(Errno) -> Bool {
    listing.withEntries
      ? try directoryBuffer.addPlus(name, ino: ino, mode: type, next: Int64(next))
      : try directoryBuffer.add(name, ino: ino, mode: type, next: Int64(next))
  }

  /// How many names come before those of the script.
  private static let dots = 2

  /// What a listing says of a name that goes without attributes; 0 would hide it from some programs.
  private static let unknownInode: UInt64 = 0xffff_ffff
}
