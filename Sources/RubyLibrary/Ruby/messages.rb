# Messages: what an error says of itself, beyond what mruby does.

class NameError
  attr_accessor :__receiver
end

module FUSE
  class << self
    def __no_method(receiver, name, args)
      error = NoMethodError.new("undefined method '#{name}' for #{__sort_of(receiver)}", name, args)
      error.__receiver = receiver
      raise error
    end

    # What an object is, in a message that should not show all that is in it.
    def __sort_of(object)
      case object
      when nil then "nil"
      when true then "true"
      when false then "false"
      when Class then "class #{object}"
      when Module then "module #{object}"
      else "an instance of #{object.class}"
      end
    end

    # The name that an error is about and the names that there are instead, or the one that was meant;
    # nil where it is about none.
    def __misspelt(error)
      return nil unless error.is_a?(NameError) && error.name
      return [error.name, error.__receiver.methods] if error.is_a?(NoMethodError)
      return "FUSE::#{error.name}" if FUSE.constants.include?(error.name)
      [error.name, Object.constants + FUSE.constants]
    end
  end
end

module Kernel
  # mruby's own message does not say what the method was called on, which is mostly the point.
  def method_missing(name, *args)
    FUSE.__no_method(self, name, args)
  end
end
