# FUSE::Outbox: delivery after the write has returned.
#
#   OUTBOX = FUSE::Outbox.new(file: "/var/lib/hook/outbox") { |text| Curl.post(URL, text) }
#   ...
#   def on_write_all(data) = OUTBOX.put(data)
#
# What was put is handed to the block, one item at a time and in order, by background work. An
# exception, or an HTTP answer of 400 or more, is a failure: the item is tried again after a pause
# that doubles each time, and those behind it wait. After the unmount the rest is delivered for some
# seconds; what is left then is saved, where there is a file, and delivered after the next start.
#
# An item is delivered at least once: again, where nobody can tell whether an attempt came through.

module FUSE
  class Outbox
    # What the last failed attempt raised; nil where the last attempt did not fail.
    attr_reader :last_error

    # drain: seconds to go on for after the unmount; 0 saves at once.
    # file: where what is left is kept; Strings of any bytes, and whatever JSON can hold.
    # pause:, longest_pause: seconds before an item is tried for the second time, and at most.
    # attempts: after so many failures an item is given up: it is reported, or handed to give_up (a
    #   Proc) with what the last attempt raised; nil is never.
    # limit: `put` raises Errno::ENOSPC where so many items are waiting.
    def initialize(
      drain: 5, file: nil, pause: 1, longest_pause: 60, attempts: nil, give_up: nil, limit: 10_000,
      &deliver
    )
      raise ArgumentError, "FUSE::Outbox.new needs a block that delivers an item" unless deliver
      @deliver, @give_up = deliver, give_up || method(:__report)
      @drain, @pause, @longest_pause, @attempts, @limit = drain, pause, longest_pause, attempts, limit
      @file = file && File.expand_path(file)
      @saved = @file && File.exist?(@file) ? __load : []
      @items = []
      @failures = 0
      @changed, @finished = Event.new, Event.new
      FUSE.spawn { __begin }
    end

    # Takes an item in; it is delivered after those that are there.
    def put(item)
      raise IOError, "the filesystem is unmounted: #{item.inspect} cannot be delivered" if @closed
      raise Errno::ENOSPC, "the outbox is full" if @items.size >= @limit
      @items.push(item)
      @changed.wake
      nil
    end

    # How many items are not delivered yet.
    def size
      @items.size
    end

    def empty?
      @items.empty?
    end

    # What is left, for the outbox that has taken this one's place.
    def __hand_over
      items, @items = @items, []
      @closed = true
      @changed.wake
      items
    end

    private

    # The outboxes of files. Where a script was loaded again, the new one goes on where the old one is.
    OPEN = {}

    def __begin
      FUSE.at_unmount { __close }
      if @file
        before = OPEN[@file]
        @items = (before ? before.__hand_over : @saved) + @items
        OPEN[@file] = self
      end
      __work
    end

    def __work
      until @closed
        if @items.empty? && @replaced
          return
        elsif @items.empty?
          @finished.wake
          @changed.wait
        elsif __deliver
          @items.shift
          @failures = 0
        else
          __wait_before_next_attempt
        end
      end
    rescue Reloaded
      # What is left is still delivered, by the code that it was put for.
      @replaced = true
      retry
    end

    # One attempt; answers whether the oldest item is done with.
    def __deliver
      answer = @deliver.call(@items[0])
      raise answer.__status_line if answer.is_a?(HTTP::Response) && answer.status_code >= 400
      @last_error = nil
      true
    rescue StandardError => error
      @last_error = error
      @failures += 1
      return false if @attempts.nil? || @failures < @attempts
      @give_up.call(@items[0], error)
      true
    end

    # An unmount cuts a pause short once: somebody waits for the rest to be delivered.
    def __wait_before_next_attempt
      seconds = [@pause * 2.0**[@failures - 1, 32].min, @longest_pause].min
      deadline = FUSE.__uptime + seconds
      while !@closed && (left = deadline - FUSE.__uptime) > 0
        break if @changed.wait(left) && @hurry
      end
      @hurry = false
    end

    # Delivers for some more seconds, then keeps what is left.
    def __close
      @hurry = true
      @changed.wake
      deadline = FUSE.__uptime + @drain
      while !@items.empty? && (left = deadline - FUSE.__uptime) > 0
        @finished.wait(left)
      end
    ensure
      unless @closed
        @closed = true
        @changed.wake
        __save
      end
    end

    # The file is replaced in one step, and a crash leaves the old one.
    def __save
      if @file.nil?
        $stderr.puts "fusuma: #{@items.size} items were not delivered: #{@last_error}" unless @items.empty?
      elsif !@items.empty?
        lines = @items.map { |item| __line(item) + "\n" }
        File.open(@file + ".new", "w") { |file| file.write(lines.join) }
        File.rename(@file + ".new", @file)
      elsif File.exist?(@file)
        File.delete(@file)
      end
    end

    # JSON holds no String of other bytes than UTF-8.
    def __line(item)
      item.is_a?(String) ? "bytes " + [item].pack("m0") : "json " + JSON.generate(item)
    end

    def __load
      number = 0
      File.read(@file).split("\n").map do |line|
        number += 1
        kind, text = line.split(" ", 2)
        case kind
        when "bytes" then text.to_s.unpack("m")[0]
        when "json" then JSON.parse(text.to_s)
        else raise ArgumentError, "#{@file}:#{number}: not saved by an outbox"
        end
      end
    end

    def __report(item, error)
      text = item.inspect
      text = text[0, 200] + "..." if text.size > 200
      $stderr.puts "fusuma: given up after #{@failures} attempts: #{text}: #{error.message} (#{error.class})"
    end
  end
end

class HTTP::Response
  def __status_line
    "#{status_code} #{message}"
  end
end
