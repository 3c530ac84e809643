# What tasks do for each other while they wait: hooks and background work run one at a time, but each
# that waits lets others in.
#
#   FUSE::Event   something that one waits for and another brings about
#   Queue, Mutex  as in Ruby
#
# Natives used: FUSE.__ticket -> the name of one wait; FUSE.__wake(ticket) ends that wait, if it goes
# on. In turn.rb: FUSE.__wait(:event, ticket, seconds or nil) -> true where it was woken, else nil.

module FUSE
  # Something that happens now and then.
  class Event
    def initialize
      @waiting = []
    end

    # Waits until a task calls `wake`: true; false where the seconds were over before.
    def wait(seconds = nil)
      ticket = FUSE.__ticket
      @waiting << ticket
      FUSE.__wait(:event, ticket, seconds) ? true : false
    ensure
      @waiting.delete(ticket)
    end

    # Wakes every task that waits now.
    def wake
      @waiting.each { |ticket| FUSE.__wake(ticket) }
      nil
    end

    # How many wait now.
    def waiting
      @waiting.size
    end
  end
end

class ClosedQueueError < StopIteration; end
class ThreadError < StandardError; end

# Hands objects from one task to another, in order.
class Queue
  def initialize(items = [])
    @items = items.to_a.dup
    @closed = false
    @changed = FUSE::Event.new
  end

  def push(item)
    raise ClosedQueueError, "queue closed" if @closed
    @items.push(item)
    @changed.wake
    self
  end
  alias << push
  alias enq push

  # The oldest object, waited for where there is none; nil where the queue is closed and empty, or
  # where so many seconds are over.
  def pop(non_block = false, timeout: nil)
    deadline = timeout && FUSE.__uptime + timeout
    while @items.empty?
      raise ThreadError, "queue empty" if non_block
      return nil if @closed
      left = deadline && deadline - FUSE.__uptime
      return nil if left && left <= 0
      @changed.wait(left)
    end
    @items.shift
  end
  alias shift pop
  alias deq pop

  # No more objects are taken, and no task waits any more.
  def close
    @closed = true
    @changed.wake
    self
  end

  def closed?
    @closed
  end

  def empty?
    @items.empty?
  end

  def size
    @items.size
  end
  alias length size

  def clear
    @items.clear
    self
  end

  def num_waiting
    @changed.waiting
  end
end

# Keeps others out of what one task does, also while that waits.
class Mutex
  def initialize
    @locked = false
    @unlocked = FUSE::Event.new
  end

  def lock
    @unlocked.wait while @locked
    @locked = true
    self
  end

  def try_lock
    !@locked && @locked = true
  end

  def unlock
    raise ThreadError, "the mutex is not locked" unless @locked
    @locked = false
    @unlocked.wake
    self
  end

  def locked?
    @locked
  end

  def synchronize
    lock
    begin
      yield
    ensure
      unlock
    end
  end
end

# Seconds on a clock that is never set.
def FUSE.__uptime
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end
