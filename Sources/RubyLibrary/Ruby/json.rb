# JSON, as Ruby has it. Reading and writing are natives' work, in short stretches: in between it is others'
# turn.
#
# Natives used:
#   FUSE.__json_read(string, symbolize names?, depth), FUSE.__json_build(box) -> an object, or a box: there is
#     something to wait for, and then more to build; raises JSON::ParserError or JSON::NestingError. Of two
#     equal names the last wins; an Integer over 64 bits is a Float
#   FUSE.__json_write(object, depth, greatest depth, allow NaN?, layout or nil, of any class?),
#     FUSE.__json_go_on(box, string or nil) -> a String, or a box: there is more to write; or [box, object,
#     depth] and [box, name]: only Ruby can say what is written there. Raises JSON::NestingError or
#     JSON::GeneratorError
# In turn.rb: FUSE.__wait(:work, box), FUSE.__wait(:sleep, seconds).

module JSON
  class JSONError < StandardError; end
  class ParserError < JSONError; end
  class NestingError < ParserError; end
  class GeneratorError < JSONError; end

  # How to write, and how deep the writer is; what `to_json` is handed.
  class State
    def initialize(options = nil)
      options ||= {}
      layout = [options[:indent], options[:space], options[:object_nl], options[:array_nl]]
      @layout = layout.any? ? layout : nil
      @limit = options.fetch(:max_nesting, 100) || 0
      @allow_nan = options[:allow_nan]
      @depth = 0
    end

    # What `to_json` was called with, which may be nothing or anything.
    def self.from(argument)
      argument.is_a?(State) ? argument : new(argument.is_a?(Hash) ? argument : nil)
    end

    # A String, Array or Hash that is given here itself is written as one, whatever its class says where
    # `any_class` is true.
    def generate(object, any_class = false)
      text = FUSE.__json_write(object, @depth, @limit, @allow_nan, @layout, any_class)
      until text.is_a?(String)
        box, object, depth = text
        if text.is_a?(FUSE::Box)
          FUSE.__wait(:sleep, 0)
          text = FUSE.__json_go_on(text, nil)
        else
          text = FUSE.__json_go_on(box, depth ? other(object, depth) : object.to_s)
        end
      end
      text
    end

    private

    # Of a script's own class. Its to_json may take nothing.
    def other(object, depth)
      outer = @depth
      @depth = depth
      text = object.method(:to_json).arity == 0 ? object.to_json : object.to_json(self)
      return text if text.is_a?(String)
      raise GeneratorError, "#{object.class}#to_json answered #{text.inspect}"
    ensure
      @depth = outer
    end
  end

  PRETTY = { indent: "  ", space: " ", object_nl: "\n", array_nl: "\n" }

  class << self
    # Options: symbolize_names (false), max_nesting (100; false is none).
    def parse(source, options = nil)
      options ||= {}
      source = source.to_str if !source.is_a?(String) && source.respond_to?(:to_str)
      raise TypeError, "no implicit conversion of #{source.inspect} into String" unless source.is_a?(String)
      depth = options.fetch(:max_nesting, 100) || 0
      read = FUSE.__json_read(source, options[:symbolize_names] ? true : false, depth)
      while read.is_a?(FUSE::Box)
        FUSE.__wait(:work, read)
        read = FUSE.__json_build(read)
      end
      read
    end

    def generate(object, options = nil)
      State.from(options).generate(object)
    end
    alias stringify generate

    def pretty_generate(object, options = nil)
      State.new(options ? PRETTY.merge(options) : PRETTY).generate(object)
    end

    # As parse, from a String or anything that can be read; nothing is nil.
    def load(source, options = nil)
      source = source.read if source.respond_to?(:read)
      source.nil? || source.empty? ? nil : parse(source, options)
    end

    # As generate, written to `io` where there is one, which is then returned.
    def dump(object, io = nil)
      text = generate(object, { max_nesting: 0, allow_nan: true })
      return text if io.nil?
      io.write(text)
      io
    end

    def [](object, options = nil)
      object.is_a?(String) ? parse(object, options) : generate(object, options)
    end
  end
end

class Object
  def to_json(*)
    to_s.to_json
  end
end

[String, Array, Hash, Float].each do |klass|
  klass.class_eval do
    def to_json(state = nil, *)
      JSON::State.from(state).generate(self, true)
    end
  end
end

class Integer
  def to_json(*)
    to_s
  end
end

class NilClass
  def to_json(*)
    "null"
  end
end

class TrueClass
  def to_json(*)
    "true"
  end
end

class FalseClass
  def to_json(*)
    "false"
  end
end
