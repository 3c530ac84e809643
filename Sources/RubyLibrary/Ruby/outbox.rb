# FUSE::Outbox: delivery after the write has returned.
#
#   OUTBOX = FUSE::Outbox.new(file: "/var/lib/hook/outbox") { |text| Curl.post(URL, text) }
#   ...
#   def on_write_all(data) = OUTBOX.put(data)
#
# What was put is handed to the block, one item at a time and in order, by background work. An
# exception, or an HTTP status of 400 or more, is a failure: the item is tried again after a pause
# that doubles each time, and those behind it wait.
#
# With a file, an item is on disk when `put` returns, and noted there as delivered before the next one is
# begun: whatever ends the process, nothing is lost, and only what was being delivered is delivered again,
# with the same Idempotency-Key. Several processes may have one file: one of them delivers.
#
# Natives used: FUSE.__outbox(path) -> a log's number, nil while a script is only checked;
# FUSE.__outbox_status(log) -> [waiting, delivered, dead]; FUSE.__outbox_changes(log) -> a descriptor, or nil;
# FUSE.__outbox_notes(log) -> [text]; FUSE.__message_id -> a UUID; FUSE.__hmac_sha256(key, text) -> 32 bytes.
# In turn.rb: FUSE.__wait(:outbox, log, operation, arguments ...), see Outboxes in the host.

module FUSE
  class Outbox
    # What a block raises of an item that will never be taken: it is not tried again.
    class Rejected < StandardError; end

    # last_error: what the last attempt raised; nil where it did not fail.
    Status = Struct.new(:waiting, :delivered, :dead, :last_error)

    class Status
      def to_s
        text = "#{waiting} waiting\n#{delivered} delivered\n#{dead} dead\n"
        last_error ? text + "last attempt: #{last_error.message}\n" : text
      end
    end

    # An item that failed for good.
    Letter = Struct.new(:id, :item, :reason)

    # What the last failed attempt raised; nil where the last attempt did not fail.
    attr_reader :last_error

    # file: where items are kept; Strings of any bytes, and whatever JSON can hold.
    # url:, headers: instead of a block: each item is posted there, and a status of 400 to 499, save 408,
    #   425 and 429, means that it will never be taken.
    # secret: what HTTP requests are signed with, as standardwebhooks.com has it; an Array for several.
    # drain: seconds to go on for after the unmount.
    # pause:, longest_pause: seconds before an item is tried for the second time, and at most.
    # attempts: after so many failures an item is a dead letter; nil is never. give_up (a Proc) is handed
    #   the item, and what the last attempt raised; without it that is reported.
    # limit: `put` raises Errno::ENOSPC where so many items are waiting; 10,000, or a million in a file.
    def initialize(
      drain: 5, file: nil, pause: 1, longest_pause: 60, attempts: nil, give_up: nil, limit: nil,
      url: nil, headers: {}, secret: nil, &deliver
    )
      if deliver.nil? == url.nil?
        raise ArgumentError, "FUSE::Outbox.new needs a block that delivers an item, or url:"
      end
      @deliver = deliver || proc { |item| __post(url, headers, item) }
      @count = @deliver.arity < 0 ? 1 : [@deliver.arity, 2].min
      @give_up, @secret = give_up || method(:__report), secret
      @drain, @pause, @longest_pause, @attempts = drain, pause, longest_pause, attempts
      @store = file ? Log.at(File.expand_path(file)) : Memory.new
      @limit = limit || (@store.is_a?(Log) ? 1_000_000 : 10_000)
      @failures = 0
      @changed, @finished = Event.new, Event.new
      @works = true
      FUSE.spawn { __begin }
    end

    # Takes an item in; it is delivered after those that are there. With a file it is on disk then.
    def put(item)
      @store.put(item, @limit)
      @changed.wake
      __work_again
      nil
    end

    # How many items are not delivered yet.
    def size
      @store.counts[0]
    end

    def empty?
      size == 0
    end

    def status
      Status.new(*@store.counts, @last_error)
    end

    # The items that failed for good, oldest first.
    def dead
      @store.letters
    end

    # Lets dead letters wait again, behind all others: that of an id, or all. Returns how many.
    def redeliver(id = nil)
      count = @store.redeliver(id)
      @changed.wake
      __work_again
      count
    end

    # Another outbox of the same file delivers from now on.
    def __retire
      @closed = true
      @changed.wake
    end

    # One item on its way: the second argument of the block that delivers.
    class Message
      # id: the same at each attempt, and after a restart. attempts: which one this is, from 1.
      attr_reader :id, :item
      attr_accessor :attempts
      alias idempotency_key id

      def initialize(id, item, secret = nil)
        @id, @item, @secret = id, item, secret
        @attempts = 1
        @requests = 0
      end

      # Headers by which a server knows a message again, and, with a secret, that it comes from here:
      # webhook-signature has HMAC-SHA256 of "id.timestamp.body".
      def headers(secret: nil, body: nil, id: @id)
        found = { "Idempotency-Key" => id }
        secrets = [secret || @secret].flatten.compact
        return found if secrets.empty?
        time = Time.now.to_i
        text = "#{id}.#{time}.#{body || @item}"
        signatures = secrets.map { |each| "v1," + [FUSE.__hmac_sha256(__key(each), text)].pack("m0") }
        found["webhook-id"] = id
        found["webhook-timestamp"] = time.to_s
        found["webhook-signature"] = signatures.join(" ")
        found
      end

      # A secret as it is handed out, or any bytes.
      def __key(secret)
        secret.start_with?("whsec_") ? secret[6..-1].unpack("m")[0] : secret
      end

      def __begin_attempt
        @requests = 0
      end

      # Those of a request that delivers it, beside what the script gives: a further request for the same
      # item is another one to the server.
      def __request_headers(given, body)
        @requests += 1
        own = headers(body: body, id: @requests == 1 ? @id : "#{@id}-#{@requests}")
        names = given.keys.map { |name| name.to_s.downcase }
        own.reject { |name, _value| names.include?(name.downcase) }.merge(given)
      end
    end

    # The messages that are being delivered, each with the fiber that does so.
    DELIVERING = []

    # The headers of a request of Curl's: where it is made to deliver a message, with those of that.
    def self.__headers(method, headers, body)
      return headers if DELIVERING.empty? || method == "GET" || method == "HEAD"
      fiber = Fiber.current
      _, message = DELIVERING.find { |each| each[0].equal?(fiber) }
      message ? message.__request_headers(headers || {}, body || "") : headers
    end

    private

    def __begin
      FUSE.at_unmount { __close }
      @store.exclusively(self) do
        FUSE.spawn { @store.watch { @changed.wake } } if @store.is_a?(Log)
        __run
      end
    end

    def __run
      __work
    rescue Reloaded
      # What is left is still delivered, by the code that it was put for, unless there is other code.
      @replaced = true
      @settling = @store.is_a?(Log)
      retry
    ensure
      @store.release
    end

    # A replaced outbox that was empty has ended its work; code that still has it may put more.
    def __work_again
      return if @works || @closed
      @works = true
      FUSE.spawn { @store.exclusively(self) { __run } }
    end

    def __work
      until @closed
        if @settling
          @settling = false
          @changed.wait(1)
        elsif @verdict
          __write_down
        elsif (message = __next)
          @idle = false
          @verdict = __attempt(message)
          __wait_before_next_attempt unless @verdict
        else
          @idle = true
          @finished.wake
          return @works = false if @replaced && !@store.is_a?(Log)
          @changed.wait(@store.patience)
        end
      end
    end

    def __next
      id, item = @store.next
      return nil unless id
      return @message if @message && @message.id == id
      @failures = 0
      @message = Message.new(id, item, @secret)
    rescue SystemCallError => error
      __store_fails(error)
    end

    # Notes what has become of a message, before the next one is begun.
    def __write_down
      @store.settle(@message.id, @verdict)
      @message = nil
      @verdict = nil
    rescue SystemCallError => error
      __store_fails(error)
    end

    def __store_fails(error)
      @last_error = error
      @changed.wait(@longest_pause < 1 ? @longest_pause : 1)
      nil
    end

    # One attempt; returns what is to be noted: :delivered, a dead letter's reason, or nil.
    def __attempt(message)
      message.attempts = @failures + 1
      entry = [Fiber.current, message]
      DELIVERING << entry
      message.__begin_attempt
      answer = @count == 2 ? @deliver.call(message.item, message) : @deliver.call(message.item)
      raise answer.__status_line if answer.is_a?(HTTP::Response) && answer.status_code >= 400
      @last_error = nil
      :delivered
    rescue StandardError => error
      @last_error = error
      @failures += 1
      return nil unless error.is_a?(Rejected) || (@attempts && @failures >= @attempts)
      __give_up(message.item, error)
      "#{error.message} (#{error.class})"
    ensure
      DELIVERING.delete_if { |each| each.equal?(entry) }
    end

    def __give_up(item, error)
      @give_up.call(item, error)
    rescue StandardError => failure
      $stderr.puts "fusuma: give_up: #{failure.message} (#{failure.class})"
    end

    # An unmount cuts a pause short once: the rest is to be delivered before it ends.
    def __wait_before_next_attempt
      seconds = [@pause * 2.0**[@failures - 1, 32].min, @longest_pause].min
      deadline = FUSE.__uptime + seconds
      while !@closed && (left = deadline - FUSE.__uptime) > 0
        break if @changed.wait(left) && @hurry
      end
      @hurry = false
    end

    # Delivers for some more seconds; what is left then is kept.
    def __close
      @hurry = true
      @changed.wake
      deadline = FUSE.__uptime + @drain
      until @closed || (@idle && (@store.elsewhere || empty?)) || (left = deadline - FUSE.__uptime) <= 0
        @finished.wait(left)
      end
    ensure
      unless @closed
        @closed = true
        @changed.wake
        @store.close(@last_error)
      end
    end

    def __post(url, headers, item)
      body = item.is_a?(String) ? item : JSON.generate(item)
      type = item.is_a?(String) ? "application/octet-stream" : "application/json"
      answer = Curl.post(url, body, { "Content-Type" => type }.merge(headers))
      code = answer.status_code
      raise Rejected, answer.__status_line if code.between?(400, 499) && ![408, 425, 429].include?(code)
      answer
    end

    def __report(item, error)
      text = item.inspect
      text = text[0, 200] + "..." if text.size > 200
      $stderr.puts "fusuma: given up after #{@failures} attempts: #{text}: #{error.message} (#{error.class})"
    end

    # The items of an outbox without a file.
    class Memory
      attr_reader :letters, :patience, :elsewhere

      def initialize
        @items = []
        @letters = []
        @delivered = 0
      end

      def counts
        [@items.size, @delivered, @letters.size]
      end

      def put(item, limit)
        raise IOError, "the filesystem is unmounted: #{item.inspect} cannot be delivered" if @closed
        raise Errno::ENOSPC, "the outbox is full" if @items.size >= limit
        @items.push([FUSE.__message_id, item])
      end

      def next
        @items[0]
      end

      def settle(_id, verdict)
        id, item = @items.shift
        return @delivered += 1 if verdict == :delivered
        @letters << Letter.new(id, item, verdict)
        @letters.shift if @letters.size > 10_000
      end

      def redeliver(id)
        back = @letters.select { |letter| id.nil? || letter.id == id }
        @letters -= back
        back.each { |letter| @items.push([letter.id, letter.item]) }
        back.size
      end

      def exclusively(_outbox)
        yield
      end

      def release
      end

      def close(error)
        @closed = true
        $stderr.puts "fusuma: #{@items.size} items were not delivered: #{error}" unless @items.empty?
      end
    end

    # The items of an outbox with a file.
    class Log
      # By their paths: where a script was loaded again, the new outbox goes on where the old one is.
      OPEN = {}

      # Whether another process delivers, as was seen the last time.
      attr_reader :elsewhere

      # The log of a file, which is opened, locked and read now.
      def self.at(path)
        mountpoint = FUSE.mountpoint
        if mountpoint && (path + "/").start_with?(mountpoint + "/")
          raise Errno::EDEADLK, "#{path} is below the mount point of this process"
        end
        return OPEN[path] if OPEN[path]
        number = FUSE.__outbox(path)
        return Memory.new if number.nil?
        log = new(number)
        log.__do(:open)
        log.__tell
        OPEN[path] = log
      end

      def initialize(number)
        @number = number
        @lock = Mutex.new
      end

      def __do(operation, *arguments)
        FUSE.__wait(:outbox, @number, operation, *arguments)
      end

      def __tell
        FUSE.__outbox_notes(@number).each { |note| $stderr.puts "fusuma: #{note}" }
      end

      def counts
        FUSE.__outbox_status(@number)
      end

      def put(item, limit)
        json = !item.is_a?(String)
        __do(:put, json ? JSON.generate(item) : item, json, limit)
      end

      def next
        found = __do(:next)
        __tell
        @elsewhere = found == 0
        return nil unless found.is_a?(Array)
        [found[0], __item(found)]
      end

      def __item(parts)
        parts[1] == 1 ? JSON.parse(parts[2]) : parts[2]
      end

      def settle(id, verdict)
        verdict == :delivered ? __do(:delivered, id) : __do(:bury, id, verdict)
      end

      def letters
        __do(:letters).map { |parts| Letter.new(parts[0], __item(parts), parts[3]) }
      end

      def redeliver(id)
        __do(:redeliver, id)
      end

      # One outbox at a time delivers; the newest takes over.
      def exclusively(outbox)
        @outbox.__retire if @outbox && !@outbox.equal?(outbox)
        @outbox = outbox
        @lock.synchronize { yield }
      end

      # Seconds after which it is worth asking again whether there is something to deliver.
      def patience
        @elsewhere ? 0.2 : nil
      end

      # Yields whenever another process may have put something in.
      def watch
        return if @watched
        @watched = true
        changes = FUSE.__outbox_changes(@number)
        while true
          changes ? FUSE.__wait(:descriptors, [[changes, IO::READABLE]], nil) : sleep(1)
          __do(:refresh)
          yield
        end
      rescue SystemCallError
        # The next operation on the log meets the same error, and tells it.
        nil
      ensure
        @watched = false
      end

      def release
        __do(:release)
      end

      # All that is left is on disk.
      def close(_error)
      end
    end
  end
end

class HTTP::Response
  def __status_line
    "#{status_code} #{message}"
  end
end
