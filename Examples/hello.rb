# The shortest good filesystem: one file.
#
#   fusuma Examples/hello.rb /tmp/hello
#   cat /tmp/hello/hello

class Hello
  TEXT = "Hello from Ruby!\n"

  def initialize(path)
    @path = path
  end

  def on_getattr
    case @path
    when "/" then FUSE::Stat.directory
    when "/hello" then FUSE::Stat.file(TEXT.size, 0444)
    end
  end

  def on_readdir
    ["hello"]
  end

  def on_read_all
    TEXT
  end
end

FUSE.run Hello
