# The filesystem of floor.c as a script; the two must answer alike.

FUSE.fsname = FUSE.subtype = "bench"
FUSE.attr_timeout = FUSE.entry_timeout = FUSE.negative_timeout = 0

class Bench
  Stat = Struct.new(:st_mode, :st_nlink, :st_size)

  HELLO = "Hello World!\n"
  BLOCK = "x" * (1 << 20)
  LARGE = 64 << 20
  MANY = Array.new(1000) { |i| ["name-%04d" % i, Stat.new(S_IFREG | 0444, 1, HELLO.size)] }
  NAMES = MANY.map { |name, _| "/many/" + name }
  BELOW_MANY = Hash[NAMES.zip(MANY.map { |_, stat| stat })]

  def initialize(path)
    @path = path
    @stat =
      case path
      when "/", "/many" then Stat.new(S_IFDIR | 0755, 2, nil)
      when "/hello" then Stat.new(S_IFREG | 0444, 1, HELLO.size)
      when "/large" then Stat.new(S_IFREG | 0444, 1, LARGE)
      when "/sink" then Stat.new(S_IFREG | 0644, 1, 0)
      else BELOW_MANY[path]
      end
  end

  def on_getattr
    @stat
  end

  def on_readdir
    case @path
    when "/" then ["hello", "large", "sink", "many"]
    when "/many" then MANY
    end
  end

  def on_open
    0
  end

  def on_read(size, offset)
    return HELLO[offset, size] || "" if @stat.st_size == HELLO.size
    size = LARGE - offset if size > LARGE - offset
    size < BLOCK.size ? BLOCK[0, size] : BLOCK
  end

  def on_write(data, offset)
    written = offset + data.size
    @stat.st_size = written if written > @stat.st_size
    data.size
  end

  def on_truncate(size)
    @stat.st_size = size
    0
  end
end

FUSE.run Bench
