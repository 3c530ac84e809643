# Check: what is probably wrong with a filesystem, found without mounting it.
#
# Natives used: FUSE.__nearest_hook(name) -> name or nil. Evaluated only when a script is checked.

module FUSE
  class Check
    # Hooks of the class itself.
    CLASS_HOOKS = [:on_init, :on_destroy, :on_reload]
    # How much is looked at: files, directories within each other, and bytes of one file.
    MOST_FILES = 200
    DEEPEST = 6
    LARGEST = 1 << 20
    # How many seconds hooks may wait for in all, so that one that waits for ever ends the check.
    PATIENCE = 20

    # Raised in a hook that is not waited for any longer. No StandardError: a script that retries
    # whatever fails would go on.
    class OutOfPatience < Exception
    end

    # Pairs of a place, "file:line" or nil, and what is wrong there.
    attr_reader :warnings

    # `table` is a Hash of the hooks' names and the names of their arguments.
    def initialize(klass, table)
      @klass = klass
      @table = table
      @warnings = []
      @visited = 0
      # What on_getattr says of regular files with a permission to write.
      @writable_sizes = []
    end

    # The hooks that the class defines, in the order of the table, with their places.
    def hooks
      @table.keys.select { |name| defined_hook?(name) }.map { |name| [name, place(name)] }
    end

    def look_at_methods
      @klass.instance_methods.each { |name| look_at_name(name) }
      CLASS_HOOKS.each do |name|
        warn(place(name), "#{name} is called on the class: def self.#{name}") if defined_hook?(name)
        next unless @klass.respond_to?(name)
        look_at_parameters(@klass, @klass.method(name), "self.#{name}", [])
      end
      (@klass.methods & @table.keys).each do |name|
        warn(nil, "self.#{name} is never called: hooks are methods of the instances: def #{name}")
      end
      hooks.each do |name, _place|
        look_at_parameters(nil, @klass.instance_method(name), name.to_s, @table[name])
      end
      look_at_combinations
      ([$0] + FUSE.__sources).each { |file| look_at_source(file) if File.file?(file) }
    end

    # Calls hooks, beginning with the root directory, as `find` and `cat` would.
    def look_at_files
      Check.limit_waits(PATIENCE) { visit("/", 0) }
      # Where all that can be written to says that it is empty, '>' has nothing to do.
      return if @writable_sizes.empty? || @writable_sizes.any? { |size| size != 0 }
      @warnings.reject! { |warning| warning.equal?(@unemptied) }
    end

    # Raises OutOfPatience in what waits when so many seconds are over. Requests have a time-out of
    # their own.
    def self.limit_waits(seconds)
      @deadline = Time.now + seconds
      singleton = class << FUSE; self; end
      singleton.__send__(:alias_method, :__wait_patiently, :__wait)
      singleton.__send__(:define_method, :__wait) do |kind, *args|
        left = Check.time_left
        # The place of the time-out; nil is none.
        index = { sleep: 0, event: 1, descriptors: 1 }[kind]
        cut = index && (args[index].nil? || args[index] > left)
        # What is woken by other hooks comes to nothing here: no other hook runs.
        raise OutOfPatience if left <= 0 || (kind == :event && args[1].nil?)
        args[index] = left if cut
        outcome = __wait_patiently(kind, *args)
        raise OutOfPatience if cut && outcome.nil?
        outcome
      end
      yield
    end

    def self.time_left
      @deadline - Time.now
    end

    private

    # What mruby 3.1 does otherwise than Ruby without a word, as far as lines and their indentation tell.
    def look_at_source(file)
      lines = File.read(file).split("\n")
      lines.each_with_index do |line, index|
        text = line.lstrip
        place = "#{file}:#{index + 1}"
        if text.start_with?("end while ", "end until ") && begun(lines, index) == "begin"
          warn(place, "mruby 3.1 tests the condition of begin ... end while before the first time")
        elsif text == "ensure" && broken_loop?(lines, index)
          warn(place, "mruby 3.1 runs this ensure twice where break leaves the while in it; loop do is safe")
        elsif text == "super" || text.start_with?("super if ", "super unless ")
          warn(place, "in mruby 3.1 super without arguments loses the keywords") if keywords_around?(lines, index)
        elsif text.include?("block_given?") && !text.start_with?("#") && keywords_around?(lines, index)
          warn(place, "in mruby 3.1 block_given? is true in a method with keywords; ask &block instead")
        end
      end
    end

    def indent(line)
      line.size - line.lstrip.size
    end

    # What the block is that ends in a line: the line above it that is indented as it is.
    def begun(lines, index)
      found = lines.first(index).reverse.find { |line| !line.strip.empty? && indent(line) <= indent(lines[index]) }
      found && indent(found) == indent(lines[index]) ? found.strip : nil
    end

    # Whether there is a loop, other than that of a block, between an ensure and its end that break leaves.
    def broken_loop?(lines, index)
      inside = false
      lines.drop(index + 1).each do |line|
        text = line.strip
        return false if text == "end" && indent(line) <= indent(lines[index])
        inside = true if text.start_with?("while ", "until ")
        return true if inside && (text == "break" || text.start_with?("break ") || text.include?(" break "))
      end
      false
    end

    # Whether the method around a line has keywords.
    def keywords_around?(lines, index)
      method = lines.first(index).reverse.find { |line| line.lstrip.start_with?("def ") }
      return false unless method && indent(method) < indent(lines[index])
      parameters = method.split("(", 2)[1].to_s
      parameters.split(",").any? do |each|
        name = each.split(":", 2)[0].to_s.strip
        each.include?(":") && !each.include?("=") && !name.empty? && name.start_with?(*("a".."z").to_a)
      end
    end

    def warn(place, text)
      @warnings << [place, text]
    end

    def defined_hook?(name)
      @klass.method_defined?(name)
    end

    def place(name)
      location = @klass.instance_method(name).source_location
      location && location.join(":")
    end

    def look_at_name(name)
      text = name.to_s
      return if @table.key?(name) || CLASS_HOOKS.include?(name)
      if text.start_with?("on")
        meant = FUSE.__nearest_hook(text)
        return if meant.nil? || called?(name)
        warn(place(name), "#{name} is not a hook; did you mean #{meant}?")
      elsif [:getattr, :readdir].include?(name) && !defined_hook?("on_#{name}".to_sym)
        warn(place(name), "#{name} is not a hook; did you mean on_#{name}?")
      end
    end

    # Whether the file that a method stands in has its name elsewhere, too: a helper, then, that only
    # happens to be called nearly like a hook.
    def called?(name)
      file, defined_at = @klass.instance_method(name).source_location
      return false unless file && File.file?(file)
      lines = File.read(file).split("\n")
      lines.each_with_index.any? do |line, index|
        index + 1 != defined_at && !line.lstrip.start_with?("#") && line.include?(name.to_s) &&
          !line.include?("def #{name}")
      end
    end

    # Whether a method can be called with as many of the arguments, from the left, as it accepts. The
    # receiver is nil for a method of the instances.
    def look_at_parameters(receiver, method, name, handed)
      location = method.source_location && method.source_location.join(":")
      needed = method.parameters.count { |kind, _name| kind == :req }
      all = handed.empty? ? "none" : "at most #{handed.size}: #{handed.join(", ")}"
      if needed > handed.size
        many = needed == 1 ? "1 argument" : "#{needed} arguments"
        warn(location, "#{name} needs #{many}, but is handed #{all}")
      end
      keyword = needed_keyword(receiver, method)
      warn(location, "#{name} needs the keyword #{keyword}:, but is handed no keywords") if keyword
    end

    # The first keyword that a method cannot do without; nil where there is none.
    #
    # mruby does not tell the needed keywords from the others. It tells of a missing one before one that
    # is unknown, and of that before the method's body is run: so it is called with one.
    def needed_keyword(receiver, method)
      kinds = method.parameters.map { |kind, _name| kind }
      return nil if !kinds.include?(:key) || kinds.include?(:keyrest)
      values = [nil] * kinds.count { |kind| [:req, :opt].include?(kind) }
      receiver ||= @klass.allocate
      receiver.__send__(method.name, *values, __fusuma_check: nil)
      nil
    rescue Exception => error
      start = "missing keyword: "
      error.message.start_with?(start) ? error.message[start.size..-1] : nil
    end

    def look_at_combinations
      unless defined_hook?(:on_getattr)
        warn(nil, "without on_getattr there is nothing but an empty root directory")
      end
      if defined_hook?(:on_write) && !defined_hook?(:on_truncate)
        @unemptied = warn(
          place(:on_write),
          "on_write without on_truncate: '>' cannot empty a file, so what was in it stays")[-1]
      end
    end

    def visit(path, depth)
      return if (@visited += 1) > MOST_FILES || Check.time_left <= 0
      instance = make(path) { return }
      stat = call(instance, path, :on_getattr) { return }
      if denied?(stat)
        return warn(place(:on_getattr), denial(path, stat))
      end
      mode = member(stat, :st_mode)
      unless mode.is_a?(Integer) && mode & S_IFMT != 0
        return warn(place(:on_getattr), "on_getattr answers no st_mode with a type for #{path}")
      end
      case mode & S_IFMT
      when S_IFDIR then list(instance, path, depth)
      when S_IFREG
        size = member(stat, :st_size)
        @writable_sizes << size if mode & 0222 != 0
        read(instance, path, size)
      end
    end

    # The instance for a path; the block is called where there is none to be had.
    def make(path)
      FUSE.find_or_create_instance_by_path(path)
    rescue SystemCallError, OutOfPatience
      yield
    rescue Exception => error
      failed("#{@klass}.new", path, error)
      yield
    end

    # A member of a stat-like, by a Hash's key or an object's method; nil where it is left out.
    def member(stat, name)
      return stat.fetch(name) { stat[name.to_s] } if stat.is_a?(Hash)
      stat.respond_to?(name) ? stat.__send__(name) : nil
    end

    def denied?(answer)
      answer.nil? || answer.is_a?(Integer) || answer.is_a?(SystemCallError)
    end

    def denial(path, answer)
      said = answer.is_a?(SystemCallError) ? "raises #{answer.class}" : "answers #{answer.inspect}"
      return "on_getattr #{said} for /, so there is no root directory" if path == "/"
      "on_readdir lists #{path}, but on_getattr #{said} for it"
    end

    def list(instance, path, depth)
      return if depth >= DEEPEST || !defined_hook?(:on_readdir)
      handle = open(instance, path, :on_opendir) { return }
      names = call(instance, path, :on_readdir, handle) { return }
      unless names.is_a?(Array) || names.is_a?(Hash)
        return if denied?(names) && !names.nil?
        return warn(place(:on_readdir), "on_readdir answers #{names.inspect} for #{path}")
      end
      names.to_a.each do |name|
        name = name[0] if name.is_a?(Array) && name.size == 2
        unless name.is_a?(String) || name.is_a?(Symbol)
          warn(place(:on_readdir), "on_readdir lists #{name.inspect} in #{path}, which is no String")
          next
        end
        name = name.to_s
        next if name == "." || name == ".."
        if name.empty? || name.include?("/")
          warn(place(:on_readdir), "on_readdir lists #{name.inspect} in #{path}, which is no name")
        else
          visit(path == "/" ? "/#{name}" : "#{path}/#{name}", depth + 1)
        end
      end
    end

    def read(instance, path, size)
      return if !size.is_a?(Integer) || size > LARGEST
      name = [:on_read, :on_read_all].find { |hook| defined_hook?(hook) }
      return unless name
      handle = open(instance, path, :on_open) { return }
      arguments = name == :on_read ? [size + 1, 0, handle] : [handle]
      content = call(instance, path, name, *arguments) { return }
      length = content.is_a?(Array) ? content[1] : nil
      content = content[0] if content.is_a?(Array)
      return unless content.is_a?(String)
      length = content.size unless length.is_a?(Integer)
      return if length == size
      # What cannot be told from one read: a hook that returns less than is asked for.
      return if name == :on_read && length < size && length > 0
      warn(place(:on_getattr), "st_size of #{path} is #{size}, but #{name} answers #{length} bytes")
    end

    # The handle that a hook which opens returns; the block is called where it cannot be opened.
    def open(instance, path, hook)
      handle = call(instance, path, hook, O_RDONLY) { return yield }
      return yield if denied?(handle) && !handle.nil? && handle != 0
      handle == 0 ? nil : handle.is_a?(Hash) ? handle[:handle] : handle
    end

    # What a hook returns: the exception where it is an errno. The block is called where it is any
    # other, which is a warning, and where it waits for too long.
    def call(instance, path, name, *arguments)
      return nil unless defined_hook?(name)
      instance.__send__(name, *arguments.first(accepted(name)))
    rescue SystemCallError => error
      error
    rescue OutOfPatience
      # It may be what the hook is there for: no mistake.
      yield
    rescue Exception => error
      failed(name, path, error)
      yield
    end

    # How many arguments a hook takes at most.
    def accepted(name)
      kinds = @klass.instance_method(name).parameters.map { |kind, _name| kind }
      kinds.include?(:rest) ? @table[name].size : kinds.count { |kind| [:req, :opt].include?(kind) }
    end

    def failed(name, path, error)
      frame = (error.backtrace || []).find { |each| !each.start_with?("fusuma:", "(") }
      warn(frame && frame.split(":in ")[0], "#{name} #{path}: #{error.message} (#{error.class})")
    end
  end
end
