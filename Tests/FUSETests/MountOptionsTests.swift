import Testing

@testable import FUSE

@Suite struct MountOptionsTests {
  private func parse(_ list: String) throws -> MountOptions {
    var options = MountOptions()
    try options.add(list)
    return options
  }

  @Test func theHighLevelLibrarysOptionsBecomeFields() throws {
    let options = try parse(
      "attr_timeout=1.5,entry_timeout=0,negative_timeout=3,uid=1000,gid=0,umask=022,kernel_cache,"
        + "auto_cache,direct_io,use_ino,no_rofd_flush")
    #expect(options.attributeTimeout == 1.5)
    #expect(options.entryTimeout == 0)
    #expect(options.negativeTimeout == 3)
    #expect(options.uid == 1000 && options.gid == 0 && options.umask == 0o22)
    #expect(options.kernelCache == true && options.autoCache == true && options.directIO == true)
    #expect(options.useInodes == true)
    #expect(options.noReadOnlyFlush == true)
    #expect(options.libraryOptions.isEmpty)
  }

  @Test func cachingMayBeLeftToTheKernel() throws {
    #expect(try parse("ro").adaptiveCaching == nil)
    #expect(try parse("no_adaptive_caching").adaptiveCaching == false)
    #expect(try parse("no_adaptive_caching,adaptive_caching").adaptiveCaching == true)
  }

  @Test func whatHoldsAnywayIsTaken() throws {
    let options = try parse(
      "noforget,remember=60,readdir_ino,max_threads=5,max_idle_threads=2,clone_fd,hard_remove,intr,"
        + "nonempty")
    #expect(options.libraryOptions.isEmpty)
  }

  @Test func theRestGoesToTheLibraryAsItIs() throws {
    let options = try parse(
      #"fsname=a\,b\\c,subtype=x,allow_other,,ro,default_permissions,foo=\054"#)
    #expect(
      options.libraryOptions == [
        #"fsname=a\,b\\c"#, "subtype=x", "allow_other", "ro", "default_permissions", #"foo=\054"#,
      ])
    #expect(options.hasLibraryOption("fsname") && options.hasLibraryOption("ro"))
    #expect(!options.hasLibraryOption("rw"))
    #expect(MountOption(raw: #"fsname=a\,b\\c\054d\"#).value == #"a,b\c,d\"#)
  }

  @Test func aValueMayHaveAnyCharacters() throws {
    var options = MountOptions()
    try options.add("fsname", value: #"a,b\c=d"#)
    #expect(options.libraryOptions == [#"fsname=a\,b\\c=d"#])
    #expect(MountOption(raw: options.libraryOptions[0]).value == #"a,b\c=d"#)
  }

  @Test func theLastOneCounts() throws {
    var options = try parse("auto_cache,uid=1,fsname=a,ro,rw,ro")
    try options.add("noauto_cache,uid=2,fsname=b")
    #expect(options.autoCache == false)
    #expect(options.uid == 2)
    #expect(options.libraryOptions == ["rw", "ro", "fsname=b"])
  }

  @Test func theConnectionsOptionsChangeItsSettings() throws {
    var settings = ConnectionSettings()
    settings.posixLocks = true
    settings.flockLocks = true
    try parse(
      "max_write=4096,max_read=8192,max_readahead=0,max_background=9,congestion_threshold=3,"
        + "time_gran=1000,readdirplus=auto,sync_read,atomic_o_trunc,no_remote_lock,"
        + "no_auto_inval_data,no_async_dio,writeback_cache,no_splice_read"
    ).apply(to: &settings)
    #expect(settings.maxWrite == 4096 && settings.maxRead == 8192 && settings.maxReadahead == 0)
    #expect(settings.maxBackground == 9 && settings.congestionThreshold == 3)
    #expect(settings.timeGranularity == 1000 && settings.readdirplus == .auto)
    #expect(!settings.asyncRead && settings.atomicTruncate && !settings.posixLocks)
    #expect(!settings.flockLocks && !settings.autoInvalidateData && !settings.asyncDirectIO)
    #expect(settings.writebackCache)
    #expect(try parse("max_read=8192").libraryOptions == ["max_read=8192"])
  }

  @Test(arguments: [
    "attr_timeout", "attr_timeout=", "attr_timeout=abc", "attr_timeout=-1", "entry_timeout=inf",
    "entry_timeout=nan", "uid=root", "uid=-1", "uid=4294967295", "gid=4294967296", "umask=8",
    "umask=1000", "kernel_cache=1", "remember=x", "max_threads=-1", "readdirplus=maybe",
    "readdirplus", "max_write=1k", "sync_read=yes", "modules=iconv", "nonempty=1",
    "ac_attr_timeout=2", "noforget=1", "max_idle_threads=x", "clone_fd=1",
  ])
  func aWrongOptionIsNamed(option: String) throws {
    let error = #expect(throws: MountOptionError.self) { _ = try parse("ro,\(option),rw") }
    #expect(error?.option == option)
    #expect(error?.description.hasPrefix("mount option \(option): ") == true)
  }
}
