# Child processes: Process, $?, system, spawn, backticks and IO.popen. A task that waits for a child, or
# for what it says, gives the VM back meanwhile.
#
# Natives used:
#   FUSE.__spawn(words, ["NAME=value", ...] or nil, [in, out, err], directory or nil) -> pid;
#     raises Errno
#   FUSE.__pipe -> [descriptor to read, descriptor to write]
#   FUSE.__pidfd(pid) -> a descriptor that is readable once the child has ended; raises Errno
#   FUSE.__bury(pid), which reaps the child whenever it ends
#   FUSE.__reap(pid) -> the child's wait status, or nil while it runs; raises Errno
#   FUSE.__kill(pid, signal), raises Errno; FUSE.__signals -> { "TERM" => 15, ... }
#   FUSE.__pid, FUSE.__ppid -> Integer; FUSE.__clock(id) -> nanoseconds, raises Errno
# In turn.rb: FUSE.__wait.

module Process
  CLOCK_REALTIME = 0
  CLOCK_MONOTONIC = 1
  CLOCK_PROCESS_CPUTIME_ID = 2
  CLOCK_THREAD_CPUTIME_ID = 3
  WNOHANG = 1
  WUNTRACED = 2

  # How a child ended, as wait(2) tells it.
  class Status
    attr_reader :pid, :to_i

    def initialize(pid, status)
      @pid = pid
      @to_i = status
    end

    def exited?
      termsig.nil?
    end

    def exitstatus
      exited? ? @to_i >> 8 & 0xff : nil
    end

    def success?
      exited? ? exitstatus == 0 : nil
    end

    def signaled?
      !termsig.nil?
    end

    def termsig
      signal = @to_i & 0x7f
      signal == 0 ? nil : signal
    end

    def coredump?
      @to_i & 0x80 != 0
    end

    def stopped?
      false
    end

    def ==(other)
      other.is_a?(Status) ? @to_i == other.to_i : @to_i == other
    end

    def to_s
      return "pid #{@pid} exit #{exitstatus}" if exited?
      "pid #{@pid} SIG#{Process.__signal_name(termsig)} (signal #{termsig})"
    end

    def inspect
      "#<Process::Status: #{self}>"
    end
  end

  # What only a shell understands; a command's own name may have no "=".
  SHELL_BYTES = {}
  "*?{}[]<>()~&|\\$;'`\"\n\t#=%".each_byte { |byte| SHELL_BYTES[byte] = true }
  SHELL_WORDS = [
    ".", ":", "!", "alias", "bg", "break", "case", "cd", "command", "continue", "eval", "exec", "exit",
    "export", "fg", "for", "hash", "if", "jobs", "local", "read", "readonly", "return", "set", "shift",
    "time", "times", "trap", "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while"
  ]

  # Children of `spawn` that have not been waited for.
  @children = []

  class << self
    def pid
      FUSE.__pid
    end

    def ppid
      FUSE.__ppid
    end

    def clock_gettime(clock, unit = :float_second)
      nanoseconds = FUSE.__clock(clock)
      case unit
      when :nanosecond then nanoseconds
      when :microsecond then nanoseconds.div(1_000)
      when :millisecond then nanoseconds.div(1_000_000)
      when :second then nanoseconds.div(1_000_000_000)
      when :float_second then nanoseconds / 1e9
      when :float_millisecond then nanoseconds / 1e6
      when :float_microsecond then nanoseconds / 1e3
      else raise ArgumentError, "unexpected unit: #{unit}"
      end
    end

    # Sends a signal, by number or by name ("TERM", "SIGTERM", :TERM), and counts the processes.
    def kill(signal, *pids)
      unless signal.is_a?(Integer)
        name = signal.to_s
        name = name[3..-1] if name.start_with?("SIG")
        signal = FUSE.__signals[name]
        raise ArgumentError, "unsupported signal 'SIG#{name}'" unless signal
      end
      pids.each { |pid| FUSE.__kill(pid, signal) }
      pids.size
    end

    # Waits for one child, or for whichever of spawn's ends first. Returns its pid and sets $?.
    def wait(pid = -1, flags = 0)
      pids = pid > 0 ? [pid] : @children.dup
      raise Errno::ECHILD if pids.empty?
      while true
        pids.each do |each|
          status = FUSE.__reap(each)
          next if status.nil?
          @children.delete(each)
          $? = Status.new(each, status)
          return each
        end
        return nil if flags & WNOHANG != 0
        __wait_for_one(pids)
      end
    end
    alias waitpid wait

    def wait2(pid = -1, flags = 0)
      pid = wait(pid, flags)
      pid && [pid, $?]
    end
    alias waitpid2 wait2

    # Lets a child go: it is buried when it has ended.
    def detach(pid)
      @children.delete(pid)
      __abandon(pid, nil)
      nil
    end

    # Starts a command as system and spawn are given it: maybe a Hash of variables, and then a line
    # for the shell or several words.
    def __command(words, options)
      changes = words.shift if words[0].is_a?(Hash)
      __spawn(words.size == 1 ? __shell(words[0]) : words, options, changes)
    end

    # A line in which there is nothing for a shell is started without one, so that a command that is
    # not there is an error, and a signal reaches the command itself.
    def __shell(line)
      words = line.split(" ")
      if words.empty? || SHELL_WORDS.include?(words[0]) || line.bytes.any? { |byte| SHELL_BYTES[byte] }
        ["/bin/sh", "-c", line]
      else
        words
      end
    end

    def __spawn(words, options, changes = nil)
      environment = changes && __environment(changes)
      opened = []
      begin
        input = __descriptor(options[:in], 0, "r", opened)
        output = __descriptor(options[:out], 1, "w", opened)
        error = options[:err] == :out ? output : __descriptor(options[:err], 2, "w", opened)
        FUSE.__spawn(words, environment, [input, output, error], options[:chdir])
      ensure
        opened.each { |file| file.close }
      end
    end

    def __spawned(pid)
      @children << pid
      pid
    end

    # As wait, for a child that only its starter knows of. Where the wait is interrupted the child is
    # sent `signal`, where there is one, and is buried when it has ended.
    def __finish(pid, signal = nil)
      wait(pid)
      $?
    rescue Exception => error
      __abandon(pid, signal) unless error.is_a?(Errno::ECHILD)
      raise error
    end

    # Lets a child end by itself, with a signal where that is not nil; it is buried when it has ended.
    def __abandon(pid, signal)
      FUSE.__kill(pid, signal) if signal
    ensure
      FUSE.__bury(pid)
    end

    def __signal_name(signal)
      FUSE.__signals.key(signal) || signal.to_s
    end

    private

    def __environment(changes)
      environment = ENV.to_h
      changes.each { |name, value| value.nil? ? environment.delete(name) : environment[name] = value }
      environment.map { |name, value| "#{name}=#{value}" }
    end

    def __wait_for_one(pids)
      descriptors = []
      pids.each { |pid| descriptors << FUSE.__pidfd(pid) }
      FUSE.__wait(:descriptors, descriptors.map { |descriptor| [descriptor, IO::READABLE] }, nil)
    ensure
      descriptors.each { |descriptor| IO._sysclose(descriptor) }
    end

    # The descriptor that a redirection names: an IO, a number, a path, or [path, mode].
    def __descriptor(target, default, mode, opened)
      case target
      when nil then default
      when Integer then target
      when IO then target.fileno
      when String, Array
        opened << File.open(*(target.is_a?(Array) ? target : [target, mode]))
        opened[-1].fileno
      else raise ArgumentError, "wrong exec redirect action"
      end
    end
  end
end

class IO
  # What IO.popen returns: a pipe from a child process, to it, or both.
  class Child < IO
    attr_reader :pid

    # `writer` is the descriptor to write to where it is not the one to read from.
    def __start(pid, writer)
      @pid = pid
      @writer = writer && IO.for_fd(writer, "w")
      self
    end

    def __writer
      @writer || self
    end

    def syswrite(string)
      @writer ? @writer.syswrite(string) : super
    end

    def close_write
      raise IOError, "not opened for writing" unless @writer
      @writer.close
      nil
    end

    # Waits for the child to end, and sets $?.
    def close
      @writer.close if @writer && !@writer.closed?
      super
      Process.__finish(@pid) if @pid
      nil
    end

    # As close, for when there is no time to wait: the child is told to end.
    def __leave
      Process.__abandon(@pid, 15)
      @pid = nil
      close
    end
  end

  class << self
    # Starts `command` (a line for the shell, or an array of words).
    def popen(command, mode = "r", **options, &block)
      reading = mode.include?("r") || mode.include?("+")
      writing = !mode.start_with?("r") || mode.include?("+")
      child_input, own_output = writing ? FUSE.__pipe : nil
      own_input, child_output = reading ? FUSE.__pipe : nil
      begin
        redirections = options.dup
        redirections[:in] = child_input if writing
        redirections[:out] = child_output if reading
        pid = Process.__spawn(command.is_a?(Array) ? command : Process.__shell(command), redirections)
      rescue Exception => error
        [own_input, own_output].each { |descriptor| _sysclose(descriptor) if descriptor }
        raise error
      ensure
        [child_input, child_output].each { |descriptor| _sysclose(descriptor) if descriptor }
      end
      io = Child.for_fd(own_input || own_output, reading ? "r" : "w")
      io.__start(pid, reading && writing ? own_output : nil)
      # Not block_given?, which is wrong in mruby 3.1 where there are keywords.
      return io unless block
      begin
        block.call(io)
      rescue Errno::EINTR, FUSE::Unmounted, FUSE::Reloaded => interruption
        io.__leave unless io.closed?
        raise interruption
      ensure
        io.close unless io.closed?
      end
    end
  end
end

module Kernel
  # Runs a command with this process's own input and output: true where its status is 0, false where
  # it did not, nil where there is no such command.
  def system(*command, **options)
    pid = Process.__command(command, options)
    status = Process.__finish(pid, 15)
    status.exitstatus == 127 ? nil : status.success? || false
  rescue Errno::ENOENT
    $? = Process::Status.new(0, 127 << 8)
    nil
  end

  def spawn(*command, **options)
    Process.__spawned(Process.__command(command, options))
  end

  def `(command)
    IO.popen(command) { |io| io.read }
  end
end
