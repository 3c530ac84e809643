# The filesystem of floor.c as a script; the two must answer alike.

FUSE.fsname = FUSE.subtype = "bench"
FUSE.attr_timeout = FUSE.entry_timeout = FUSE.negative_timeout = 0

class Bench
  Stat = Struct.new(:st_mode, :st_nlink, :st_size)

  HELLO = "Hello World!\n"
  BLOCK = "x" * (1 << 20)
  LARGE = 64 << 20
  MANY = Array.new(1000) { |i| ["name-%04d" % i, Stat.new(S_IFREG | 0444, 1, HELLO.size)] }
  STATS = {
    "/" => Stat.new(S_IFDIR | 0755, 2, nil),
    "/many" => Stat.new(S_IFDIR | 0755, 2, nil),
    "/hello" => Stat.new(S_IFREG | 0444, 1, HELLO.size),
    "/large" => Stat.new(S_IFREG | 0444, 1, LARGE),
    "/sink" => Stat.new(S_IFREG | 0644, 1, 0),
  }
  MANY.each { |name, stat| STATS["/many/" + name] = stat }

  def initialize(path)
    @path = path
    @stat = STATS[path]
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
