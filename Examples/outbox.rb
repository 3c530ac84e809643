# A webhook whose write returns at once: what is written to `notify` is delivered later, in order.
#
#   fusuma Examples/outbox.rb /tmp/hook -- https://hooks.example.com/services/T0/B0/secret
#   uptime > /tmp/hook/notify
#   cat /tmp/hook/status
#
# While the server is away messages wait, and are tried again after 1, 2, 4, ... 60 seconds. What is
# left at the unmount is delivered for up to five seconds more; the rest is kept in the file that is
# named behind the URL, until the next start.

class Notifier
  def initialize(path, outbox)
    @path = path
    @outbox = outbox
  end

  def on_getattr
    case @path
    when "/" then FUSE::Stat.directory
    when "/notify" then FUSE::Stat.file(0, 0222)
    when "/status" then FUSE::Stat.file(nil, 0444)
    end
  end

  def on_readdir
    ["notify", "status"]
  end

  def on_read_all
    return "" unless @path == "/status"
    error = @outbox.last_error
    "#{@outbox.size} waiting\n" + (error ? "last attempt: #{error.message}\n" : "")
  end

  def on_write_all(text)
    @outbox.put(text) unless text.empty?
  end
end

url, file = ARGV
abort "outbox.rb: give the URL behind --, and then a file to keep what is left in" unless url

outbox = FUSE::Outbox.new(file: file, attempts: 50) do |text|
  Curl.post(url, JSON.generate("text" => text), "Content-Type" => "application/json")
end

FUSE.fsname = "outbox"
FUSE.run Notifier, outbox
