// Directories: a listing is asked for once, and handed to the kernel in pieces with stable offsets.

package import FUSE
import Glibc
import Ruby

extension Host {
  package func opendir(_ request: consuming Request, node id: NodeID, file: OpenFile) {
    guard let turn = begin(.opendir, request), let node = node(id, for: turn) else { return }
    note(turn, node)
    let flags = file.flags & ~O_ACCMODE
    call(turn, .opendir, on: node, [.integer(file.flags)]) { [self] answer throws(Errno) in
      var reply = try register(try opened(by: answer), node, flags, answer)
      reply.directIO = false
      reply.noFlush = false
      if !self.answer(turn, { $0.opened(reply) }) { forget(handle: reply.handle) }
    }
  }

  package func releasedir(_ request: consuming Request, node id: NodeID, file: OpenFile) {
    guard let turn = begin(.releasedir, request), let node = node(id, for: turn) else { return }
    note(turn, node)
    let number = file.handle
    call(turn, .releasedir, on: node, [object(handles[number]?.object)]) {
      [self] answer throws(Errno) in
      forget(handle: number)
      try accept(answer)
      succeed(turn)
    }
  }

  package func fsyncdir(
    _ request: consuming Request, node id: NodeID, dataOnly: Bool, file: OpenFile
  ) {
    guard let turn = begin(.fsyncdir, request), let node = node(id, for: turn) else { return }
    note(turn, node)
    act(
      turn, .fsyncdir, on: node,
      [.value(Value(dataOnly)), object(handles[file.handle]?.object)])
  }

  package func readdir(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) {
    list(request, node, size, offset, file, withEntries: false)
  }

  package func readdirplus(
    _ request: consuming Request, node: NodeID, size: Int, offset: Int64, file: OpenFile
  ) {
    list(request, node, size, offset, file, withEntries: true)
  }

  private func list(
    _ request: consuming Request, _ id: NodeID, _ size: Int, _ offset: Int64, _ file: OpenFile,
    withEntries: Bool
  ) {
    guard let turn = begin(.readdir, request), let node = node(id, for: turn) else { return }
    note(turn, node, .range(size, offset))
    guard let handle = handles[file.handle] else { return fail(turn, Errno(EBADF)) }
    if offset > 0, let listing = handle.listing {
      return list(turn, node, listing, size, offset, withEntries)
    }
    call(turn, .readdir, on: node, [object(handle.object)]) { [self] answer throws(Errno) in
      let listing = try listing(of: answer)
      handle.listing = listing
      list(turn, node, listing, size, offset, withEntries)
    }
  }

  /// Reads what on_readdir answered: names, [name, stat] pairs, or a Hash of them.
  private func listing(of answer: Answer) throws(Errno) -> [ListedName] {
    let value = try value(of: answer)
    if value.isNil { throw Errno(ENOENT) }
    var listing: [ListedName] = []
    switch value.kind {
    case .array:
      listing.reserveCapacity(value.count ?? 0)
      for element in value.elements ?? [] {
        if element.kind == .array, element.count == 2 {
          try add(element[0], element[1], to: &listing, answer)
        } else {
          try add(element, .nil, to: &listing, answer)
        }
      }
    case .hash:
      var pairs: [(Value, Value)] = []
      do throws(RubyException) {
        for key in try vm.keys(of: value) { pairs.append((key, try vm.get(key, from: value))) }
      } catch {
        throw errno(of: error, in: answer.hook.name, node: answer.node)
      }
      for (name, stat) in pairs { try add(name, stat, to: &listing, answer) }
    default:
      throw wrong(answer, value)
    }
    return listing
  }

  private func add(
    _ name: Value, _ stat: Value, to listing: inout [ListedName], _ answer: Answer
  ) throws(Errno) {
    guard let bytes = name.symbol.map({ [UInt8](vm.text($0).utf8) }) ?? name.bytes,
      (1...FileName.longest).contains(bytes.count), !bytes.contains(0),
      !bytes.contains(UInt8(ascii: "/"))
    else {
      throw wrong(
        answer, name, "names of 1 to \(FileName.longest) bytes without a slash or NUL")
    }
    // The kernel is given these two by the host.
    if bytes == [UInt8(ascii: ".")] || bytes == Array("..".utf8) { return }
    let stat: StatLike? = stat.isNil ? nil : try statLike(stat, answer)
    listing.append(ListedName(name: FileName(bytes), stat: stat))
  }

  /// Answers with as much of a listing as fits from an offset on. Offset 0 is ".", 1 is "..".
  private func list(
    _ turn: Turn, _ node: Node, _ listing: [ListedName], _ size: Int, _ offset: Int64,
    _ withEntries: Bool
  ) {
    directoryBuffer.removeAll(limit: size)
    var entered: [Node] = []
    let dots: [FileName] = [FileName([UInt8(ascii: ".")]), FileName(Array("..".utf8))]
    var index = Int(clamping: max(offset, 0))
    do throws(Errno) {
      listing: while index < listing.count + dots.count {
        let next = Int64(index + 1)
        let fits: Bool
        if index < dots.count {
          var attributes = Attributes()
          attributes.ino = index == 0 ? node.id : node.places.first?.parent.id ?? node.id
          attributes.mode = S_IFDIR
          fits = try add(dots[index], Entry(node: 0, attributes: attributes), next, withEntries)
        } else {
          let listed = listing[index - dots.count]
          let (entry, child) = entry(for: listed, under: node, withEntries: withEntries)
          fits = try add(listed.name, entry, next, withEntries)
          if let child {
            if fits {
              child.lookups += 1
              entered.append(child)
            } else {
              tree.discardIfUnused(child)
            }
          }
        }
        if !fits { break listing }
        index += 1
      }
    } catch {
      forgetLookups(of: entered)
      return fail(turn, error)
    }
    let taken = answer(turn) { directoryBuffer.answer($0) }
    if !taken { forgetLookups(of: entered) }
  }

  private func forgetLookups(of nodes: [Node]) {
    for node in nodes {
      node.lookups -= 1
      tree.discardIfUnused(node)
    }
  }

  private func add(
    _ name: FileName, _ entry: Entry, _ next: Int64, _ withEntries: Bool
  ) throws(Errno) -> Bool {
    // withUnsafeBytes of an Array forgets what type is thrown.
    let result: Result<Bool, Errno> = name.bytes.withUnsafeBytes { bytes in
      Result { () throws(Errno) in
        withEntries
          ? try directoryBuffer.addPlus(bytes, entry, next: next)
          : try directoryBuffer.add(
            bytes, ino: entry.attributes.ino, mode: entry.attributes.mode, next: next)
      }
    }
    return try result.get()
  }

  /// The entry of a listed name; a look-up of the node that it comes with, where the script handed
  /// over attributes and the kernel asked for them.
  private func entry(
    for listed: ListedName, under parent: Node, withEntries: Bool
  ) -> (Entry, Node?) {
    let known = tree.child(of: parent, named: listed.name)
    guard let stat = listed.stat else {
      var attributes = Attributes()
      attributes.ino = known?.id ?? Host.unknownInode
      attributes.mode = (known?.attributes?.mode ?? 0) & S_IFMT
      return (Entry(node: 0, attributes: attributes), nil)
    }
    guard withEntries else {
      var attributes = Attributes()
      attributes.ino = stat.ino ?? known?.id ?? Host.unknownInode
      attributes.mode = stat.mode & S_IFMT
      return (Entry(node: 0, attributes: attributes), nil)
    }
    let node = known ?? tree.add(listed.name, under: parent)
    return (entry(node, attributes(from: stat, of: node)), node)
  }

  /// What a listing says of a name that has no node yet; 0 would hide it from some programs.
  private static let unknownInode: UInt64 = 0xffff_ffff
}
