# SystemCallError and Errno: system errors as Ruby has them. mruby itself raises through
# SystemCallError._sys_fail wherever a system call of its own fails, so File and sockets raise
# Errno classes too.
#
# Natives used: FUSE.__errnos -> [[name, number, message], ...], every error of this system.

# mruby since 3.2 has the gem mruby-errno, whose classes differ in what they say and have no numbers where
# ours do. Its place is taken, not shared: mruby finds SystemCallError by its name.
if Object.const_defined?(:SystemCallError)
  [:SystemCallError, :Errno].each { |name| Object.send(:remove_const, name) }
end

class SystemCallError < StandardError
  # With a number that has a name, an instance of that name's class.
  def self.new(message = nil, errno = nil)
    return super unless equal?(SystemCallError)
    message, errno = nil, message if errno.nil? && message.is_a?(Integer)
    named = errno && Errno.__class_of(errno)
    named ? named.new(message) : super(message, errno)
  end

  # What libmruby calls where a system call of its own failed.
  def self._sys_fail(errno, message = nil)
    raise new(message, errno)
  end

  # Two classes with one number are one error.
  def self.===(other)
    return true if super
    number = __errno
    !number.nil? && other.is_a?(SystemCallError) && other.errno == number
  end

  # The class's own number. Seen from SystemCallError, Errno is the module.
  def self.__errno
    number = self::Errno
    number if number.is_a?(Integer)
  rescue NameError # mruby 3.3, as Ruby does, looks no further than the ancestors
    nil
  end

  attr_reader :errno

  def initialize(message = nil, errno = nil)
    @errno = errno || self.class.__errno
    text = Errno.__message(@errno)
    super(message.nil? ? text : "#{text} - #{message}")
  end
end

# A class is made when it is first named: a script uses few of them.
module Errno
  ALIASES = { EWOULDBLOCK: :EAGAIN, EDEADLOCK: :EDEADLK, ENOTSUP: :EOPNOTSUPP }

  def self.const_missing(name)
    return const_set(name, const_get(ALIASES[name])) if ALIASES.key?(name)
    number = __numbers[name]
    return super unless number
    named = Class.new(SystemCallError)
    named.const_set(:Errno, number)
    const_set(name, named)
  end

  def self.constants
    (super + __numbers.keys + ALIASES.keys).uniq
  end

  def self.const_defined?(name, inherit = true)
    super || __numbers.key?(name.to_sym) || ALIASES.key?(name.to_sym)
  end

  def self.__class_of(errno)
    __load
    name = @names[errno]
    name && const_get(name)
  end

  def self.__message(errno)
    return "unknown error" if errno.nil?
    __load
    @messages[errno] || "Unknown error #{errno}"
  end

  def self.__numbers
    __load
    @numbers
  end

  def self.__load
    return if @numbers
    @numbers = { NOERROR: 0 }
    @names = { 0 => :NOERROR }
    @messages = { 0 => "Success" }
    FUSE.__errnos.each do |name, number, message|
      name = name.to_sym
      @numbers[name] = number
      @names[number] = name
      @messages[number] = message
    end
  end
end
