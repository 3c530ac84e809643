# Turns: every hook runs in a fiber, and a hook that waits gives its turn away.
#
# Natives used: FUSE.__raised(exception) -> exception (marks what is yielded next as an exception),
# FUSE.__park(kind, args) -> PARKED, or the outcome where nobody can be let in meanwhile,
# FUSE.__can_park -> bool, FUSE.__make(slot, path) and FUSE.__accepts(object, name).

module FUSE
  # A fiber that calls one method after another for as long as the mount lives. What it answers is
  # the method's value, or its exception, marked; nothing is ever raised out of it. It is resumed
  # with (receiver, name, arguments ...), and forgets them before it yields, so that an idle fiber
  # keeps no file's content alive.
  def self.__new_turn
    Fiber.new do |receiver, name, *args|
      while true
        result = begin
          receiver.__send__(name, *args)
        rescue Exception => error
          __raised(error)
        end
        error = receiver = args = nil
        receiver, name, *args = Fiber.yield(result)
        result = nil
      end
    end
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
    outcome = Fiber.yield(outcome) if outcome.equal?(PARKED)
    raise outcome if outcome.is_a?(Exception)
    outcome
  end

  # The first call on a path: makes its instance, hands it to the host, and calls the hook on it.
  def self.__call_new(slot, path, name, *args)
    instance = __make(slot, path)
    return instance if name.nil?
    count = __accepts(instance, name)
    return MISSING if count.nil?
    instance.__send__(name, *(count < args.size ? args[0, count] : args))
  end
end

# A script's own fibers pass a wait on: what is parked inside one parks the fiber that resumed it,
# and is told the outcome through it.
class Fiber
  alias __resume resume

  def resume(*args)
    value = __resume(*args)
    value = __resume(Fiber.yield(value)) while value.equal?(FUSE::PARKED)
    value
  end
end

# Source is evaluated from Ruby, not from C, so that FUSE.run and waits inside it can yield; here, at
# the top level, so that it is `main` and Object that it sees.
$__fusuma_eval = proc { |__source, __file| eval(__source, nil, __file) }

def FUSE.__eval(source, file)
  $__fusuma_eval.call(source, file)
end
