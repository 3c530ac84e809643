# A webhook whose write returns once the message is on disk, and is delivered later, in order.
#
#   fusuma Examples/outbox.rb /tmp/hook -- https://hooks.example.com/services/T0/B0/secret /var/lib/hook
#   uptime > /tmp/hook/notify
#   cat /tmp/hook/status
#
# While the server is away messages wait, and are tried again after 1, 2, 4, ... 60 seconds; after 50
# attempts a message is a dead letter. `cat dead` shows them, `echo > redeliver` lets them wait again.
# Without the file that is named behind the URL, what is left five seconds after the unmount is lost.

class Notifier
  FILES = { "/notify" => 0222, "/status" => 0444, "/dead" => 0444, "/redeliver" => 0222 }

  def initialize(path, outbox)
    @path = path
    @outbox = outbox
  end

  def on_getattr
    return FUSE::Stat.directory if @path == "/"
    mode = FILES[@path]
    mode && FUSE::Stat.file(mode == 0444 ? nil : 0, mode)
  end

  def on_readdir
    FILES.keys.map { |path| path[1..-1] }
  end

  def on_read_all
    case @path
    when "/status" then @outbox.status.to_s
    when "/dead" then @outbox.dead.map { |letter| "#{letter.id} #{letter.reason}: #{letter.item}\n" }.join
    else ""
    end
  end

  def on_write_all(text)
    return if text.empty?
    @path == "/redeliver" ? @outbox.redeliver : @outbox.put(text)
    nil
  end
end

url, file = ARGV
abort "outbox.rb: give the URL behind --, and then a file to keep messages in" unless url

outbox = FUSE::Outbox.new(file: file, attempts: 50) do |text|
  Curl.post(url, JSON.generate("text" => text), "Content-Type" => "application/json")
end

FUSE.fsname = "outbox"
FUSE.run Notifier, outbox
