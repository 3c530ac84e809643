# A write becomes a POST: what is written to `notify` is sent to a webhook, as {"text": ...}.
#
#   fusuma Examples/webhook.rb /tmp/hook -- https://hooks.example.com/services/T0/B0/secret
#   uptime > /tmp/hook/notify
#   cat /tmp/hook/answer
#
# The URL may stand in $WEBHOOK_URL instead. Who writes is told by close(2) whether the message was
# delivered, so cp, tee and /bin/echo report it; a shell's own echo never looks.

class Webhook
  # What the last message was answered with.
  @answer = ""
  class << self
    attr_accessor :answer
  end

  def initialize(path, url)
    @path = path
    @url = url
  end

  def on_getattr
    case @path
    when "/" then FUSE::Stat.directory
    when "/notify" then FUSE::Stat.file(0, 0222)
    when "/answer" then FUSE::Stat.file(nil, 0444)
    end
  end

  def on_readdir
    ["notify", "answer"]
  end

  def on_read_all
    @path == "/answer" ? Webhook.answer : ""
  end

  # Called once, with everything that was written between open and close. Other programs go on using
  # the filesystem while the server takes its time.
  def on_write_all(text)
    return if text.empty?
    response = post(JSON.generate("text" => text))
    Webhook.answer = "#{response.status_code} #{response.message}\n#{response.body}\n"
    error = errno(response.status_code)
    raise error if error
  end

  private

  def post(json)
    Curl.post(@url, json, "Content-Type" => "application/json")
  rescue RuntimeError => error
    warn "webhook: #{error.message}"
    raise Errno::EHOSTUNREACH
  end

  # The error that tells most about a status; nil for success.
  def errno(status)
    case status
    when 200..299 then nil
    when 401, 403 then Errno::EACCES
    when 404, 410 then Errno::ENXIO
    when 413 then Errno::EFBIG
    when 429, 503 then Errno::EBUSY
    when 400..499 then Errno::EINVAL
    else Errno::EIO
    end
  end
end

url = ARGV[0] || ENV["WEBHOOK_URL"]
abort "webhook.rb: give the URL behind --, or in $WEBHOOK_URL" unless url

FUSE.fsname = "webhook"
FUSE.run Webhook, url
