/// The names of the options, and what each wants for a value.
extension MountOptions {
  mutating func add(_ option: MountOption) throws(MountOptionError) {
    if try addField(option) { return }
    if try addConnection(option) { return }
    switch option.name {
    // What FUSE 2 had to be asked for is how things are, or is the filesystem's own business.
    case "nonempty", "big_writes", "large_read", "intr", "nointr", "hard_remove":
      try option.flag()
    // Files are kept for as long as they have a path, and their inode numbers with them.
    case "noforget", "readdir_ino":
      try option.flag()
    case "remember":
      _ = try option.number()
    // One thread serves them all.
    case "clone_fd":
      try option.flag()
    case "max_threads", "max_idle_threads":
      _ = try option.number()
    case "modules":
      throw option.error("libfuse's modules do not work with this filesystem")
    case "ac_attr_timeout":
      throw option.error("auto_cache goes by attr_timeout")
    default:
      addToLibrary(option)
    }
  }

  private mutating func addField(_ option: MountOption) throws(MountOptionError) -> Bool {
    switch option.name {
    case "attr_timeout": attributeTimeout = try option.seconds()
    case "entry_timeout": entryTimeout = try option.seconds()
    case "negative_timeout": negativeTimeout = try option.seconds()
    case "uid": uid = try option.identity()
    case "gid": gid = try option.identity()
    case "umask": umask = try option.permissions()
    case "kernel_cache": kernelCache = try option.flag()
    case "auto_cache": autoCache = try option.flag()
    case "noauto_cache": autoCache = !(try option.flag())
    case "direct_io": directIO = try option.flag()
    case "use_ino": useInodes = try option.flag()
    case "adaptive_caching": adaptiveCaching = try option.flag()
    case "no_adaptive_caching": adaptiveCaching = !(try option.flag())
    case "no_rofd_flush": noReadOnlyFlush = try option.flag()
    default: return false
    }
    return true
  }

  private mutating func addConnection(_ option: MountOption) throws(MountOptionError) -> Bool {
    switch option.name {
    case "max_write":
      let bytes = try option.number()
      adjustments.append { $0.maxWrite = bytes }
    case "max_read":
      let bytes = try option.number()
      adjustments.append { $0.maxRead = bytes }
      addToLibrary(option)
    case "max_readahead":
      let bytes = try option.number()
      adjustments.append { $0.maxReadahead = bytes }
    case "max_background":
      let count = try option.number()
      adjustments.append { $0.maxBackground = count }
    case "congestion_threshold":
      let count = try option.number()
      adjustments.append { $0.congestionThreshold = count }
    case "time_gran":
      let nanoseconds = try option.number()
      adjustments.append { $0.timeGranularity = nanoseconds }
    case "readdirplus":
      guard let choice = option.value.flatMap(ConnectionSettings.ReaddirPlus.init) else {
        throw option.error("yes, no or auto is expected")
      }
      adjustments.append { $0.readdirplus = choice }
    default:
      return try addConnectionFlag(option)
    }
    return true
  }

  private mutating func addConnectionFlag(_ option: MountOption) throws(MountOptionError) -> Bool {
    switch option.name {
    case "async_read": adjustments.append { $0.asyncRead = true }
    case "sync_read": adjustments.append { $0.asyncRead = false }
    case "atomic_o_trunc": adjustments.append { $0.atomicTruncate = true }
    case "no_remote_lock":
      adjustments.append {
        $0.posixLocks = false
        $0.flockLocks = false
      }
    case "no_remote_posix_lock": adjustments.append { $0.posixLocks = false }
    case "no_remote_flock": adjustments.append { $0.flockLocks = false }
    case "auto_inval_data": adjustments.append { $0.autoInvalidateData = true }
    case "no_auto_inval_data": adjustments.append { $0.autoInvalidateData = false }
    case "async_dio": adjustments.append { $0.asyncDirectIO = true }
    case "no_async_dio": adjustments.append { $0.asyncDirectIO = false }
    case "writeback_cache": adjustments.append { $0.writebackCache = true }
    case "no_writeback_cache": adjustments.append { $0.writebackCache = false }
    // Messages are never spliced, which these may ask for but need not be granted.
    case "splice_read", "no_splice_read", "splice_write", "no_splice_write", "splice_move",
      "no_splice_move":
      break
    default: return false
    }
    try option.flag()
    return true
  }
}
