import Glibc
import Testing

/// A listing is what the script answers as it begins.
@Suite struct ListingTests {
  /// The names of /d are what was written to /ctl last, as Ruby; each call of on_readdir says so.
  private static let script: Script = """
    $names = ["a", "b", "c"]

    class Names
      def initialize(path) = @path = path

      def on_getattr
        return FUSE::Stat.directory if %w[/ /d].include?(@path)
        FUSE::Stat.file(@path.size, 0666) if @path == "/ctl" || $names.include?(@path[3..-1])
      end

      def on_readdir
        return %w[d ctl] unless @path == "/d"
        $refuses ? raise(Errno::EACCES) : $names
      end

      def on_write(data, offset)
        eval(data)
        data.size
      end

      def on_mknod(mode, device)
        $names << @path[3..-1]
        0
      end
    end
    FUSE.run Names
    """

  /// Lists until the kernel asks for names only.
  private func getUsed(to mount: Mount) throws {
    for _ in 0..<8 { try #expect(mount.list("d") == ["a", "b", "c"]) }
  }

  private func change(_ mount: Mount, _ ruby: String) throws { try mount.write("ctl", ruby) }

  @Test func aListingIsAlwaysWhatTheScriptAnswersNow() throws {
    let changes = [
      ("$names << 'e'", ["a", "b", "c", "e"]),
      ("$names.delete('a')", ["b", "c", "e"]),
      ("$names[0] << 'x'", ["bx", "c", "e"]),
      ("$names.reverse!", ["e", "c", "bx"]),
      ("$names = []", []),
      ("$names = (1..3000).map { |i| 'n%04d' % i }", (1...3000).map(name)),
      ("$names.pop", (1...2999).map(name)),
      ("$names = $names.map(&:to_sym)", (1...2999).map(name)),
    ]
    func name(_ number: Int) -> String { "n" + String(10000 + number).dropFirst() }
    try withMount(Self.script) { mount in
      try getUsed(to: mount)
      for (ruby, names) in changes {
        try change(mount, ruby)
        for _ in 0..<3 { try #expect(mount.list("d") == names, "\(ruby)") }
      }
    }
  }

  @Test func whoLooksAtTheFilesSeesThem() throws {
    try withMount(Self.script) { mount in
      try getUsed(to: mount)
      try #expect(mount.sh("ls -l d | awk '{ print $5, $9 }'").output == " \n4 a\n4 b\n4 c\n")
      try change(mount, "$names << 'longer'")
      try #expect(mount.sh("ls -l d | grep -c ' 9 .*longer'").output == "1\n")
    }
  }

  @Test func severalMayListAtOnce() throws {
    try withMount(Self.script) { mount in
      try getUsed(to: mount)
      let first = try Listing(mount.path + "/d")
      defer { first.close() }
      try change(mount, "$names << 'e'")
      let second = try Listing(mount.path + "/d")
      defer { second.close() }
      #expect(second.names() == ["a", "b", "c", "e"])
      // It is listed when it is read, not when it is opened.
      #expect(first.names() == ["a", "b", "c", "e"])
      for _ in 0..<3 { try #expect(mount.list("d") == ["a", "b", "c", "e"]) }
    }
  }

  @Test func whoBeginsAgainLeavesNothingOldBehind() throws {
    try withMount(Self.script) { mount in
      try getUsed(to: mount)
      let listing = try Listing(mount.path + "/d")
      #expect(listing.names() == ["a", "b", "c"])
      try change(mount, "$names = ['x']; FUSE.invalidate('/d')")
      #expect(eventually { listing.names() == ["x"] })
      listing.close()
      // Those that the kernel had first, and not those that it has.
      try change(mount, "$names = ['a', 'b', 'c']")
      for _ in 0..<8 { try #expect(mount.list("d") == ["a", "b", "c"]) }
    }
  }

  @Test func whatIsMadeIsSeenByWhoeverBeginsAgain() throws {
    try withMount(Self.script) { mount in
      try getUsed(to: mount)
      let listing = try Listing(mount.path + "/d")
      #expect(listing.names() == ["a", "b", "c"])
      try mount.open("d/e", O_WRONLY | O_CREAT).close()
      #expect(listing.names() == ["a", "b", "c", "e"])
      listing.close()
      try #expect(mount.list("d") == ["a", "b", "c", "e"])
    }
  }

  @Test func whatTheKernelHasIsOneListing() throws {
    func become(_ letter: String) -> String { "$names = (1..3000).map { |i| '\(letter)%04d' % i }" }
    try withMount(Self.script) { mount in
      try getUsed(to: mount)
      try change(mount, become("n"))
      let listing = try Listing(mount.path + "/d")
      // Of these names the kernel has some, and then the rest of others.
      #expect(listing.next() != nil)
      try change(mount, become("m"))
      #expect(listing.names()?.first == "m0001")
      listing.close()
      try change(mount, become("n"))
      try #expect(mount.list("d").allSatisfy { $0.hasPrefix("n") })
    }
  }

  @Test func anErrorIsTheListings() throws {
    try withMount(Self.script) { mount in
      try getUsed(to: mount)
      try change(mount, "$refuses = true")
      let listing = try Listing(mount.path + "/d")
      defer { listing.close() }
      #expect(listing.names() == nil)
      try change(mount, "$refuses = false")
      try #expect(mount.list("d") == ["a", "b", "c"])
    }
  }

  /// Also where the kernel asks for names only: it does so while nobody looks at the files.
  @Test func numbersAndTypesStay() throws {
    let script: Script = """
      class Numbers
        FILES = (1..400).to_h { |i| ["n%03d" % i, i % 2 == 0 ? FUSE::Stat.directory : FUSE::Stat.file(i)] }
        def initialize(path) = @path = path
        def on_getattr = @path == "/" ? FUSE::Stat.directory : FILES[@path[1..-1]]
        def on_readdir = FILES
      end
      FUSE.run Numbers
      """
    try withMount(script) { mount in
      try #expect(mount.sh("ls -l | wc -l").output == "401\n")
      var listings: [[String]] = []
      for _ in 0..<4 {
        let listing = try Listing(mount.path)
        defer { listing.close() }
        listings.append(listing.entries())
      }
      #expect(listings[0].filter { $0.hasSuffix(" \(DT_DIR)") }.count == 202)
      #expect(listings.allSatisfy { $0 == listings[0] })
    }
  }
}

/// An open directory.
private struct Listing {
  private let stream: OpaquePointer

  init(_ path: String) throws {
    guard let stream = opendir(path) else { throw SystemError() }
    self.stream = stream
  }

  /// All names, from the beginning; nil where they cannot be had.
  func names() -> [String]? {
    rewinddir(stream)
    var names: [String] = []
    while let name = next() { names.append(name) }
    return errno == 0 ? names.filter { $0 != "." && $0 != ".." } : nil
  }

  /// The next name.
  func next() -> String? {
    errno = 0
    guard let entry = readdir(stream) else { return nil }
    return withUnsafeBytes(of: entry.pointee.d_name) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  /// All entries: name, number and type.
  func entries() -> [String] {
    var entries: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      entries.append("\(name) \(entry.pointee.d_ino) \(entry.pointee.d_type)")
    }
    return entries
  }

  func close() { closedir(stream) }
}
