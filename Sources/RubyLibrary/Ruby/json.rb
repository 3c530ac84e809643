# JSON, as Ruby has it. Reading, and writing strings, is Jansson's work.
#
# Natives used:
#   FUSE.__json_parse(string, symbolize names?, depth) -> an object; raises JSON::ParserError or
#     JSON::NestingError. Of two equal names the last wins; an Integer over 64 bits is a Float
#   FUSE.__json_string(string) -> it in quotes, or nil where it is not UTF-8
#   FUSE.__json_number(float) -> the shortest text that reads back the same

module JSON
  class JSONError < StandardError; end
  class ParserError < JSONError; end
  class NestingError < ParserError; end
  class GeneratorError < JSONError; end

  # How to write, and how deep the writer is; what `to_json` is handed.
  class State
    def initialize(options = nil)
      options ||= {}
      @indent = options[:indent] || ""
      @space = options[:space] || ""
      @object_nl = options[:object_nl] || ""
      @array_nl = options[:array_nl] || ""
      @limit = options.fetch(:max_nesting, 100) || 0
      @allow_nan = options[:allow_nan]
      @depth = 0
    end

    # What `to_json` was called with, which may be nothing or anything.
    def self.from(argument)
      argument.is_a?(State) ? argument : new(argument.is_a?(Hash) ? argument : nil)
    end

    # A method for each kind and loops instead of blocks: mruby allows some 700 frames.
    def generate(object)
      kind = object.class
      if kind.equal?(String) || kind.equal?(Integer) || object.nil? || object == true || object == false
        object.to_json
      elsif kind.equal?(Hash)
        object(object)
      elsif kind.equal?(Array)
        array(object)
      elsif kind.equal?(Float)
        float(object)
      else
        other(object)
      end
    end

    def array(list)
      return "[]" if list.empty?
      deeper
      margin = @indent * @depth
      text = "[" + @array_nl
      index = 0
      size = list.size
      while index < size
        text << "," << @array_nl if index > 0
        text << margin << generate(list[index])
        index += 1
      end
      text << @array_nl << @indent * (@depth - 1) << "]"
    ensure
      @depth -= 1 unless list.empty?
    end

    def object(hash)
      return "{}" if hash.empty?
      deeper
      margin = @indent * @depth
      text = "{" + @object_nl
      names = hash.keys
      index = 0
      size = names.size
      while index < size
        name = names[index]
        text << "," << @object_nl if index > 0
        text << margin << name.to_s.to_json << ":" << @space << generate(hash[name])
        index += 1
      end
      text << @object_nl << @indent * (@depth - 1) << "}"
    ensure
      @depth -= 1 unless hash.empty?
    end

    def float(number)
      return FUSE.__json_number(number) unless number.nan? || number.infinite?
      raise GeneratorError, "#{number} not allowed in JSON" unless @allow_nan
      number.to_s
    end

    private

    # Of a script's own class. Its to_json may take nothing.
    def other(object)
      text = object.method(:to_json).arity == 0 ? object.to_json : object.to_json(self)
      return text if text.is_a?(String)
      raise GeneratorError, "#{object.class}#to_json answered #{text.inspect}"
    end

    def deeper
      @depth += 1
      raise NestingError, "nesting of #{@depth} is too deep" if @limit > 0 && @depth > @limit
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
      FUSE.__json_parse(source, options[:symbolize_names] ? true : false, depth)
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

    # As generate, written to `io` where there is one, which is then answered.
    def dump(object, io = nil)
      text = generate(object, { max_nesting: 0, allow_nan: true })
      return text if io.nil?
      io.write(text)
      io
    end

    # What a native calls to raise one of the errors above.
    def __fail(kind, message)
      raise const_get(kind), message
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

class String
  def to_json(*)
    FUSE.__json_string(self) or
      raise JSON::GeneratorError, "source sequence is illegal/malformed utf-8"
  end
end

class Integer
  def to_json(*)
    to_s
  end
end

class Float
  def to_json(state = nil, *)
    JSON::State.from(state).float(self)
  end
end

class Array
  def to_json(state = nil, *)
    JSON::State.from(state).array(self)
  end
end

class Hash
  def to_json(state = nil, *)
    JSON::State.from(state).object(self)
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
