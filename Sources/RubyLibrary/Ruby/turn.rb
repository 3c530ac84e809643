# Waiting: every hook runs in a fiber, and a hook that waits lets others run meanwhile.
#
# Natives used: FUSE.__park(kind, args) -> PARKED, or the outcome where nothing else can run meanwhile;
# Fiber.__yield (Fiber.yield, which raises where the fiber is the host's). What is called in a fiber of
# the host's is VM.makerOfFibers' affair.

module FUSE
  # The script itself runs in a task, so that FUSE.run can return after the unmount.
  def self.__run_script(source, file)
    __eval(source, file)
    nil
  end

  # Waits for something (`kind` and its arguments) while every other operation goes on. An exception
  # that comes instead of an outcome is raised here, in the code that waits.
  def self.__wait(kind, *args)
    outcome = __park(kind, args)
    outcome = Fiber.__yield(outcome) if outcome.equal?(PARKED)
    raise outcome if outcome.is_a?(Exception)
    outcome
  end
end

# mruby calls these blocks from C, where nothing can wait.
class Class
  class << self
    alias __make new

    def new(superclass = Object, &block)
      made = __make(superclass)
      made.class_exec(made, &block) if block
      made
    end
  end
end

class Module
  class << self
    alias __make new

    def new(&block)
      made = __make
      made.module_exec(made, &block) if block
      made
    end
  end
end

module ObjectSpace
  class << self
    alias __each_object each_object

    def each_object(*kind, &block)
      raise ArgumentError, "no block given" unless block
      objects = []
      __each_object(*kind) { |object| objects << object unless object.equal?(objects) }
      objects.each(&block)
      objects.size
    end
  end
end

# For a FUSE.run with more arguments than the host hands over one by one.
class Class
  def __new(path, arguments)
    new(path, *arguments)
  end
end

# A script's own fibers pass a wait on: what is parked inside one parks the fiber that resumed it,
# and is told the outcome through it. Another fiber that resumes it meanwhile waits for that to be over.
class Fiber
  alias __resume resume

  def resume(*args)
    FUSE.__wait_for_fiber(self)
    value = __resume(*args)
    value.equal?(FUSE::PARKED) ? FUSE.__pass_on(self, value) : value
  end

  # As in Ruby, a fiber that ends comes back to where the first one was transferred from. All of them are
  # resumed there: mruby would come back to the host, which is beneath every hook.
  def transfer(*args)
    here = Fiber.current
    return args.size > 1 ? args : args[0] if equal?(here)
    return Fiber.__yield(FUSE::Transfer.new(self, args)) if FUSE::Transfer.reached?(here)
    FUSE::Transfer.new(self, args).make(here)
  end
end

module FUSE
  # Fibers of the script's own in which something waits, and what is woken when it is over.
  @waiting_inside = {}

  def self.__wait_for_fiber(fiber)
    while (over = @waiting_inside[fiber])
      over.wait
    end
  end

  def self.__pass_on(fiber, value)
    over = @waiting_inside[fiber] = Event.new
    value = fiber.__resume(Fiber.__yield(value)) while value.equal?(PARKED)
    value
  ensure
    @waiting_inside.delete(fiber)
    over.wake
  end

  # That another fiber is to go on.
  class Transfer
    attr_reader :fiber, :args

    def initialize(fiber, args)
      @fiber, @args = fiber, args
    end

    # Fibers that were transferred to and have not come back.
    @reached = {}

    class << self
      def reached?(fiber)
        @reached[fiber]
      end

      def reach(fiber)
        @reached[fiber] = true
        yield
      ensure
        @reached.delete(fiber)
      end
    end

    # Resumes one fiber after the other until one ends, yields, or wants `here` to go on.
    def make(here)
      transfer = self
      while true
        fiber, args = transfer.fiber, transfer.args
        return args.size > 1 ? args : args[0] if fiber.equal?(here)
        value = Transfer.reach(fiber) { fiber.resume(*args) }
        return value unless value.is_a?(Transfer)
        transfer = value
      end
    end
  end
end

# Source is evaluated from Ruby, not from C, so that FUSE.run and waits inside it can yield; here, at
# the top level, so that it is `main` and Object that it sees.
$__fusuma_eval = proc { |__source, __file| eval(__source, nil, __file) }

def FUSE.__eval(source, file)
  $__fusuma_eval.call(source, file)
end
