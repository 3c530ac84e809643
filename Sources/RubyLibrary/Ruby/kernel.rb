# Kernel: require and load, the ways to end, and output in whole lines.
#
# Natives used: FUSE.__read_source(path) -> String (raises Errno, and SyntaxError with file:line:column
# where it is not Ruby). In turn.rb: FUSE.__eval(source, file) and FUSE.__wait.

class LoadError < ScriptError
  attr_accessor :path
end

class SystemExit < Exception
  attr_reader :status

  def initialize(status = true, message = "exit")
    status, message = true, status if status.is_a?(String)
    @status = status == true ? 0 : status == false ? 1 : status
    super(message)
  end

  def success?
    @status == 0
  end
end

# `case @path when "/"` is how many a hook begins: Kernel's === would look == up for each of them.
class String
  alias === ==
end

$LOAD_PATH = []
$: = $LOAD_PATH
$LOADED_FEATURES = []
$" = $LOADED_FEATURES

module FUSE
  # What needs no file, because it is here already; `require` of one returns false.
  BUILT_IN = ["json", "env", "errno", "curl", "http", "socket", "io", "process", "fiber", "enumerator",
    "rational", "complex", "time"]

  @at_exit = []
  @sources = []

  class << self
    # The files that were required or loaded, beside the script itself.
    def __sources
      @sources
    end

    # Reads a file that is to be evaluated, and remembers that it belongs to the script.
    def __source(path)
      @sources << path unless @sources.include?(path)
      __read_source(path)
    end

    # Evaluates a file once; a feature that raised may be required again.
    def __require(path)
      return false if $LOADED_FEATURES.include?(path)
      source = __source(path)
      $LOADED_FEATURES << path
      begin
        __eval(source, path)
      rescue Exception => error
        $LOADED_FEATURES.delete(path)
        raise error
      end
      true
    end

    # The absolute path that `feature` stands for, or nil; without its .rb where `exact` is false.
    def __find_source(feature, directories, exact = false)
      names = exact || feature.end_with?(".rb") ? [feature] : [feature + ".rb"]
      if feature.start_with?("/", "~", "./", "../")
        directories = ["."]
      end
      directories.each do |directory|
        names.each do |name|
          path = File.expand_path(name, directory)
          return path if File.file?(path)
        end
      end
      nil
    end

    def __load_error(feature)
      error = LoadError.new("cannot load such file -- #{feature}")
      error.path = feature
      raise error
    end

    # The directory of the file that a frame of `caller` is in.
    def __directory_of(frame)
      # "file:12" or "file:12:in name"; the file's name may have colons of its own.
      file = frame.to_s.split(":in ")[0].to_s
      colon = file.rindex(":")
      File.dirname(File.expand_path(colon ? file[0, colon] : file))
    end

    def __at_exit(block)
      @at_exit << block
      block
    end

    def __forget_at_exit
      @at_exit.clear
    end

    # Runs what at_exit was given, the last first. What a block raises is reported and stops no
    # other. Returns the status that a block's own exit asked for, or nil.
    def __run_at_exit
      status = nil
      while (block = @at_exit.pop)
        begin
          block.call
        rescue SystemExit => exit
          status = exit.status
        rescue Exception => error
          $stderr.puts "#{(error.backtrace || [])[0]}: #{error.message} (#{error.class})"
        end
      end
      status
    end
  end
end

module Kernel
  def require(feature)
    feature = feature.to_s
    path = FUSE.__find_source(feature, $LOAD_PATH)
    return FUSE.__require(path) if path
    return false if FUSE::BUILT_IN.include?(feature)
    FUSE.__load_error(feature)
  end

  def require_relative(feature)
    path = FUSE.__find_source(
      File.expand_path(feature.to_s, FUSE.__directory_of(caller(1, 1)[0])), ["/"])
    path ? FUSE.__require(path) : FUSE.__load_error(feature)
  end

  # Evaluates a file each time it is called; the name is taken as it stands.
  def load(file, _wrap = false)
    path = FUSE.__find_source(file.to_s, ["."] + $LOAD_PATH, true)
    FUSE.__load_error(file) unless path
    FUSE.__eval(FUSE.__source(path), path)
    true
  end

  def __dir__
    FUSE.__directory_of(caller(1, 1)[0])
  end

  # Waits, for ever without an argument, and returns the whole seconds that it took.
  def sleep(seconds = nil)
    unless seconds.nil?
      raise TypeError, "can't convert #{seconds.class} into time interval" unless seconds.is_a?(Numeric)
      raise ArgumentError, "time interval must not be negative" if seconds < 0
      seconds = seconds.to_f
    end
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    FUSE.__wait(:sleep, seconds)
    (Process.clock_gettime(Process::CLOCK_MONOTONIC) - start).round
  end

  def exit(status = true)
    raise SystemExit.new(status)
  end

  # As exit, without what at_exit was given. It does not leave a dead mount behind either.
  def exit!(status = false)
    FUSE.__forget_at_exit
    raise SystemExit.new(status)
  end

  def abort(message = nil)
    $stderr.puts message unless message.nil?
    raise SystemExit.new(1, message.nil? ? "exit" : message.to_s)
  end

  def at_exit(&block)
    raise ArgumentError, "called without a block" unless block
    FUSE.__at_exit(block)
  end

  def warn(*messages, **_options)
    $stderr.puts(*messages) unless messages.empty?
    nil
  end

  # Through $stdout, as Ruby has it, so that it may be another IO; mruby's own write past it.
  def puts(*objects)
    $stdout.puts(*objects)
  end

  def print(*objects)
    $stdout.print(*objects)
  end

  def p(*objects)
    objects.each { |object| $stdout.puts object.inspect }
    objects.size > 1 ? objects : objects[0]
  end
end

# There is one object for all of these, and since 3.2 a collection takes its message away.
class SystemStackError
  def message
    "stack level too deep"
  end
  alias to_s message
end
