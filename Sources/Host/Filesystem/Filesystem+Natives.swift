// What a script can ask of the mount, beneath module FUSE (RubyLibrary/Ruby/fuse.rb).

import FUSE
import Glibc
import Ruby
import System

extension Filesystem {
  func defineNatives() throws(RubyException) {
    try vm.define("FUSE", "__context") { [unowned self] _ throws(RubyException) in
      let context =
        scheduler.running?.context ?? Context(uid: getuid(), gid: getgid(), pid: getpid())
      return try vm.array([
        try vm.integer(Int(context.uid)), try vm.integer(Int(context.gid)),
        try vm.integer(Int(context.pid)), try vm.integer(Int(context.umask)),
      ])
    }
    try vm.define("FUSE", "now") { [unowned self] _ throws(RubyException) in
      try interpreter.value(of: .now)
    }
    try vm.define("FUSE", "__find") { [unowned self] call throws(RubyException) in
      guard let path = call[0].bytes else { throw vm.exception("TypeError", "a path is a String") }
      let node = tree.makeNode(at: path)
      return try vm.array([
        try vm.integer(Int(node.id)), node.instance.map { vm[$0] } ?? .nil,
      ])
    }
    try vm.define("FUSE", "__adopt") { [unowned self] call throws(RubyException) in
      guard let id = call[0].integer.flatMap({ NodeID(exactly: $0) }), let node = tree[id] else {
        return call[1]
      }
      // Another task was faster while this one's initialize waited: one path, one instance.
      if let instance = node.instance { return vm[instance] }
      node.instance = try vm.retain(call[1])
      return call[1]
    }
    try vm.define("FUSE", "__pool") { [unowned self] _ throws(RubyException) in
      let pairs = try vm.array([])
      for node in tree.all {
        guard let instance = node.instance else { continue }
        for dentry in node.isRoot ? [node.path] : node.dentries.map(\.path) {
          guard let dentry else { continue }
          try vm.push(try vm.array([try vm.string(dentry), vm[instance]]), onto: pairs)
        }
      }
      return pairs
    }
    try vm.define("FUSE", "__invalidate") { [unowned self] call throws(RubyException) in
      guard let path = call[0].bytes else { throw vm.exception("TypeError", "a path is a String") }
      invalidate(path)
      return .nil
    }
    try vm.define("FUSE", "__notify_poll") { [unowned self] call in
      guard let path = call[0].bytes, let node = tree.node(at: path) else { return .nil }
      for handle in node.pollHandles.values {
        notifications.post(about: node.id) { _ in
          Filesystem.tolerate { () throws(Errno) in try handle.notify() }
        }
      }
      node.pollHandles = [:]
      return .nil
    }
  }

  /// Lets the kernel forget what it has cached of a path.
  func invalidate(_ path: [UInt8]) {
    guard let node = tree.node(at: path) else {
      // A path without a node can still be one that the kernel believes to be absent.
      guard let slash = path.lastIndex(of: UInt8(ascii: "/")),
        let parent = tree.node(at: Array(path[..<slash]))
      else { return }
      return invalidate(name: Array(path[(slash + 1)...]), in: parent.id)
    }
    // What the host has in hand of it is forgotten too.
    node.measuredSize = nil
    changedAttributes(node)
    let id = node.id
    notifications.post(about: id) { notifier in
      Filesystem.tolerate { () throws(Errno) in try notifier.invalidate(id) }
    }
    for dentry in node.dentries { invalidate(name: dentry.name.bytes, in: dentry.parent.id) }
  }

  /// Lets the kernel forget everything that it has cached.
  func invalidateAll() {
    for node in tree.all where node.lookupCount > 0 {
      if let path = node.path { invalidate(path) }
    }
    for absent in negativeDentries.take() { invalidate(name: absent.name, in: absent.parent) }
  }

  private func invalidate(name: [UInt8], in parent: NodeID) {
    guard !name.isEmpty else { return }
    notifications.post(about: parent) { notifier in
      Filesystem.tolerate { () throws(Errno) in
        // withUnsafeBytes of an Array forgets what type is thrown.
        try name.withUnsafeBytes { bytes in
          Result { () throws(Errno) in try notifier.invalidateEntry(parent: parent, name: bytes) }
        }.get()
      }
    }
  }

  /// What the kernel does not know needs no forgetting, and an unmounted filesystem has no cache.
  private static func tolerate(_ body: () throws(Errno) -> Void) {
    do throws(Errno) { try body() } catch {
      // ENOENT, ENOTDIR, ENODEV, ENOTCONN, EBUSY: there is nothing to forget (any more).
    }
  }
}
