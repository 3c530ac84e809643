# Module FUSE: what a script says of its filesystem, and what it can ask of the mount.
#
# Natives used: FUSE.__context -> [uid, gid, pid, umask], FUSE.__find(path) -> [slot, instance or
# nil], FUSE.__adopt(slot, instance) -> instance, FUSE.__pool -> [[path, instance], ...],
# FUSE.__invalidate(path), FUSE.__notify_poll(path), FUSE.__unmount, FUSE.__mountpoint,
# FUSE.__spawn_turn(block), FUSE.__at_unmount(block), FUSE.__help. In turn.rb: FUSE.__wait.

module FUSE
  # Every setting of the mount. Each is a method of FUSE, with a writer, and nil where it was not set.
  SETTINGS = [
    :program_name, :path, :fsname, :subtype, :uid, :gid, :umask, :allow_other, :allow_root,
    :read_only, :default_permissions, :multithread, :daemonize, :extra_fuse_options, :attr_timeout,
    :entry_timeout, :negative_timeout, :kernel_cache, :auto_cache, :auto_inval_data, :direct_io,
    :writeback_cache, :adaptive_caching, :readdirplus, :use_ino, :max_threads, :max_read, :max_write,
    :max_readahead, :max_content
  ]

  # A stat-like that is ready made; any object or Hash with some of these will do as well. What is
  # left out has a good default.
  Stat = Struct.new(
    :st_mode, :st_nlink, :st_size, :st_uid, :st_gid, :st_ino, :st_rdev, :st_blocks, :st_blksize,
    :st_atime, :st_mtime, :st_ctime
  )

  class Stat
    # A regular file of so many bytes; nil is a size that is not known before it is read.
    def self.file(size, mode = 0644)
      new(S_IFREG | mode, 1, size)
    end

    def self.directory(mode = 0755)
      new(S_IFDIR | mode, 2)
    end

    def self.symlink(target)
      new(S_IFLNK | 0777, 1, target.size)
    end
  end

  # What a hook that waits is told when the mount ends. It is no StandardError: a loop that rescues
  # those and goes on would never end.
  class Unmounted < Exception; end

  Context = Struct.new(:uid, :gid, :pid, :umask)

  class << self
    SETTINGS.each { |name| attr_accessor name }
    attr_reader :klass, :args

    # Mounts the filesystem that `klass` describes and returns, with the exit status, once it is
    # unmounted. An instance is made with klass.new(path, *args) for each path.
    def run(klass, *args)
      unless klass.is_a?(Class)
        raise TypeError, "FUSE.run needs the class that describes the filesystem, not #{klass.inspect}"
      end
      unless __takes_path?(klass)
        raise ArgumentError, "#{klass}.new is handed a path, so the class needs: def initialize(path)"
      end
      raise "FUSE.run was called a second time: one process serves one mount" if @klass
      @klass, @args = klass, args
      __wait(:mount)
    end

    # The instance of each path that has one.
    def pool
      __pool.to_h
    end

    def find_or_create_instance_by_path(path)
      slot, instance = __find(path)
      instance.nil? ? __adopt(slot, @klass.new(path, *@args)) : instance
    end

    # The process that asked for the operation that is being served.
    def context
      Context.new(*__context)
    end

    # Lets the kernel forget what it has cached of a path: its attributes, its content, its name.
    def invalidate(path)
      __invalidate(path)
      nil
    end

    # Wakes the processes that wait for a file with poll(2) or select(2).
    def notify_poll(path)
      __notify_poll(path)
      nil
    end

    # Ends the mount; FUSE.run then returns.
    def unmount
      __unmount
      nil
    end

    # The absolute path of the live mount; nil before and after.
    def mountpoint
      __mountpoint
    end

    # Runs a block beside the mount, for as long as it likes to: at once, or, where nothing is mounted
    # yet, from when on_init is through. Its errors are reported. Where it waits when the mount has
    # ended, FUSE::Unmounted is raised.
    def spawn(&block)
      raise ArgumentError, "FUSE.spawn needs a block" unless block
      __spawn_turn(block)
      nil
    end

    # Runs a block after the unmount, before background work is told of it and on_destroy is called.
    # It may take its time, to send what is still to be sent; a signal cuts it short.
    def at_unmount(&block)
      raise ArgumentError, "FUSE.at_unmount needs a block" unless block
      __at_unmount(block)
      nil
    end

    def help
      __help
    end

    # Whether any class or module has a method of that name.
    def __defined?(name)
      found = false
      ObjectSpace.each_object(Module) { |owner| found ||= owner.method_defined?(name) }
      found
    end

    # Whether klass.new accepts a path, as far as can be told; a `new` of its own is taken to.
    def __takes_path?(klass)
      return true unless klass.method(:new).owner == Class
      initialize = klass.instance_method(:initialize)
      initialize.owner != BasicObject && initialize.arity != 0
    end

    # A moment as hooks are handed it: it is a number of seconds, and loses no nanosecond (save some
    # three centuries from 1970 and farther, where nanoseconds exceed an Integer).
    def __time(seconds, nanoseconds)
      return Rational(seconds, 1) if seconds.abs > 9_000_000_000
      Rational(seconds * 1_000_000_000 + nanoseconds, 1_000_000_000)
    end

    def __begin_script(script)
      $0 = script
      $PROGRAM_NAME = script
    end

    def __settings
      SETTINGS.map { |name| [name, __send__(name)] }.reject { |_name, value| value.nil? }
    end
  end
end

# Two moments, to the nanosecond, multiply to more than an Integer holds: mruby cannot compare them.
class Rational
  alias __compare <=>

  def <=>(other)
    return __compare(other) unless other.is_a?(Rational)
    whole = numerator.div(denominator) <=> other.numerator.div(other.denominator)
    return whole unless whole == 0
    numerator % denominator * other.denominator <=> other.numerator % other.denominator * denominator
  end
end
