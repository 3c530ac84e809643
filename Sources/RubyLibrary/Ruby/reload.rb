# Reload: what a script left behind when it was loaded, so that loading it again keeps what is alive.
#
# Methods and included modules are cleared by the host before the script is evaluated again. Here is
# what stays: a constant, a variable of a class, a global variable or an argument of FUSE.run keeps its
# object, with all that was done to it since, if the script still makes it exactly as it did before.

module FUSE
  # What the code of before is told where it waits in a block of FUSE.spawn that the script itself
  # began, and that has begun again.
  class Reloaded < Exception; end

  # Where a script leaves an object.
  class Place
    attr_reader :name, :value

    def initialize(kind, owner, name)
      @kind, @owner = kind, owner
      @name = kind == :argument ? "argument #{name + 1} of FUSE.run" : name.to_s
      @name = "#{owner}::#{@name}" if kind == :constant && owner != Object
      @name = "#{@name} of #{owner}" if kind == :variable || kind == :class_variable
      @key = name
      @value = get
    end

    def key
      [@kind, @owner, @key]
    end
    def get
      case @kind
      when :constant then @owner.const_get(@key)
      when :variable then @owner.instance_variable_get(@key)
      when :class_variable then @owner.class_variable_get(@key)
      when :global then eval(@key.to_s)
      when :argument then FUSE.args[@key]
      end
    end

    def value=(object)
      case @kind
      when :constant then @owner.const_set(@key, object)
      when :variable then @owner.instance_variable_set(@key, object)
      when :class_variable then @owner.class_variable_set(@key, object)
      when :global then eval("proc { |object| #{@key} = object }").call(object)
      when :argument then FUSE.args[@key] = object
      end
    end

    # What the object consists of, to be compared with what it consists of later; something that
    # equals nothing where that cannot be told.
    def shape
      Shape.new.of(@value)
    rescue StandardError
      Object.new
    end
  end

  # Takes an object apart into Arrays of numbers and Strings.
  class Shape
    # What cannot be looked into: two of these are never made the same.
    OPAQUE = [Proc, Method, UnboundMethod, Fiber, Enumerator, IO, Random, Exception]
    # How many objects, and 64 bytes of Strings, are looked at before an object is too large.
    LARGEST = 5000

    def initialize
      @seen = {}
      @count = 0
    end

    def of(object)
      count(1)
      case object
      when nil, true, false, Symbol, Module then return object
      when Numeric then return [object.class, object]
      when String
        count(object.size / 64)
        return object.dup
      when Time then return [Time, object.to_i, object.usec]
      when *OPAQUE then raise ArgumentError, "opaque"
      end
      again = @seen[object.__id__]
      return [:again, again] if again
      @seen[object.__id__] = @count
      [object.class, parts(object)]
    end

    def parts(object)
      case object
      when Array, Struct then object.to_a.map { |each| of(each) }
      when Hash then object.to_a.map { |key, value| [of(key), of(value)] }
      when Range then [of(object.first), of(object.last), object.exclude_end?]
      else
        object.instance_variables.map { |name| [name, of(object.instance_variable_get(name))] }
      end
    end

    def count(more)
      @count += more
      raise ArgumentError, "too large" if @count > LARGEST
    end
  end

  @structs = {}
  @spare_structs = {}

  class << self
    # To be called before the script is: what is there now does not belong to a script that is reloaded.
    def __begin_loading
      @base_constants = Object.constants(false)
      @base_globals = global_variables
      @is_loading = true
    end

    # To be called when it has been loaded.
    def __loaded
      @is_loading = false
      @spare_structs = {}
      @shapes = {}
      __places.each { |key, place| @shapes[key] = place.shape }
    end

    # To be called before it is evaluated again; `stranded` are paths of constants that cannot be used
    # again.
    def __begin_reload(stranded)
      @alive = __places
      @is_loading = true
      @spare_structs = {}
      @structs.each { |members, classes| @spare_structs[members] = classes.dup }
      @structs = {}
      @sources = []
      @at_exit = []
      $LOAD_PATH = []
      $: = $LOAD_PATH
      $LOADED_FEATURES = []
      $" = $LOADED_FEATURES
      @old_settings = __settings.to_h
      SETTINGS.each { |name| instance_variable_set("@#{name}", nil) }
      @klass = @args = nil
      stranded.each do |path|
        *modules, name = path.split("::")
        owner = modules.inject(Object) { |outer, inner| outer.const_get(inner) }
        owner.__send__(:remove_const, name.to_sym)
      end
    end

    # To be called when it has been evaluated again: puts back the objects that it made as before.
    # Returns what changed.
    def __end_reload
      changed = []
      shapes = {}
      __places.each do |key, place|
        shapes[key] = place.shape
        old = @alive[key]
        if old.nil?
          changed << [place.name, 1]
        elsif !old.value.equal?(place.value)
          if shapes[key] == @shapes[key]
            place.value = old.value
          else
            changed << [place.name, 0]
          end
        end
        @alive.delete(key)
      end
      @alive.each_value { |place| changed << [place.name, 2] }
      SETTINGS.each do |name|
        changed << ["FUSE.#{name}", 0] if __send__(name) != @old_settings[name]
      end
      @alive = @old_settings = nil
      @shapes = shapes
      @spare_structs = {}
      @is_loading = false
      changed
    end

    # Struct.new while a script is loaded: the nth one with these members is the same class again, so
    # that what inherits from it has the superclass that it had.
    def __struct(members, block)
      return Struct.__new(*members, &block) unless @is_loading
      klass = (@spare_structs[members] || []).shift
      if klass.nil?
        klass = Struct.__new(*members, &block)
      elsif block
        klass.class_eval(&block)
      end
      (@structs[members] ||= []) << klass
      klass
    end

    def __places
      places = {}
      add = proc do |kind, owner, name|
        place = Place.new(kind, owner, name)
        places[place.key] = place
      end
      __modules.each do |owner|
        __constants(owner).each { |name| add.call(:constant, owner, name) }
        next if owner == Object
        owner.instance_variables.each { |name| add.call(:variable, owner, name) }
        owner.class_variables.each { |name| add.call(:class_variable, owner, name) }
      end
      (global_variables - @base_globals).each do |name|
        add.call(:global, nil, name) if name.to_s[1].between?("A", "z")
      end
      (@args || []).size.times { |index| add.call(:argument, nil, index) }
      places
    end

    # Object and the classes and modules that the script has made and given a name.
    def __modules
      found = [Object]
      found.each do |owner|
        __constants(owner).each do |name|
          value = owner.const_get(name)
          found << value if value.is_a?(Module) && !found.include?(value)
        end
      end
      found
    end

    def __constants(owner)
      owner == Object ? Object.constants(false) - @base_constants : owner.constants(false)
    end
  end
end

class << Struct
  alias __new new

  def new(*members, &block)
    equal?(Struct) ? FUSE.__struct(members, block) : __new(*members, &block)
  end
end
