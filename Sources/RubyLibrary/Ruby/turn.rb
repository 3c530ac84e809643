# Turns: every hook runs in a fiber, and a hook that waits gives its turn away.
#
# Natives used: FUSE.__rest(result) (ends a turn; when it comes back, the next one's receiver and
# arguments stand in the parameters of the fiber's block, and all other variables are nil),
# FUSE.__raised(exception) -> exception (marks what the turn ends with as an exception),
# FUSE.__park(kind, args) -> PARKED, or the outcome where nobody can be let in meanwhile,
# FUSE.__at_turn? -> whether the fiber that runs is the host's, none of the script's own.

# The host's fibers yield to the host alone. A Fiber.yield of the script's outside of its own fibers
# would leave a hook unfinished and hand its value to nobody: it raises, as it does in Ruby.
class Fiber
  class << self
    alias __yield yield

    def yield(*values)
      raise FiberError, "can't yield from root fiber" if FUSE.__at_turn?
      __yield(*values)
    end
  end
end

module FUSE
  # Makes what makes fibers that call one method, with so many arguments, again and again for as long
  # as the mount lives. Its parameters are the receiver and the arguments, and it answers the method's
  # value, or its exception, marked; nothing is ever raised out of it.
  #
  # There is a kind of fiber for each method, because a call that stands in the source is the cheapest
  # one: no array of arguments, no name to look up.
  def self.__fiber_maker(method, count)
    __maker(count) { |arguments| "receiver.#{method}(#{arguments})" }
  end

  # The same for a path that has no instance yet: the receiver is the class, whose `new` takes the
  # arguments. Once the instance is made it takes the class's place: there the host finds it, also
  # while its hook waits.
  def self.__newcomer_maker(method, count)
    __maker(count) do |arguments|
      "(object = receiver.allocate; object.initialize(#{arguments}); receiver = object).#{method}"
    end
  end

  def self.__maker(count)
    arguments = (1..count).map { |i| "a#{i}" }
    eval(<<-RUBY, nil, "fusuma:turn.rb")
      host = FUSE
      proc do
        Fiber.new do |#{(["receiver"] + arguments).join(", ")}|
          while true
            begin
              result = #{yield arguments.join(", ")}
            rescue Exception => error
              result = host.__raised(error)
            end
            host.__rest(result)
          end
        end
      end
    RUBY
  end

  # The script itself runs in a turn, so that FUSE.run can return after the unmount.
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

# For a FUSE.run with more arguments than the host hands over one by one.
class Class
  def __new(path, arguments)
    new(path, *arguments)
  end
end

# A script's own fibers pass a wait on: what is parked inside one parks the fiber that resumed it,
# and is told the outcome through it.
class Fiber
  alias __resume resume

  def resume(*args)
    value = __resume(*args)
    value = __resume(Fiber.__yield(value)) while value.equal?(FUSE::PARKED)
    value
  end
end

# Source is evaluated from Ruby, not from C, so that FUSE.run and waits inside it can yield; here, at
# the top level, so that it is `main` and Object that it sees.
$__fusuma_eval = proc { |__source, __file| eval(__source, nil, __file) }

def FUSE.__eval(source, file)
  $__fusuma_eval.call(source, file)
end
