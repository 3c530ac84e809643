# The console: lines that are evaluated one by one in a scope that lasts.
#
# Natives used: FUSE.__print(descriptor, string) -> whether it was taken. The host also hands over
# which local variables a line sets, because only a parser knows that.

# What a line is told that was interrupted by Ctrl-C.
class Interrupt < Exception
  def initialize(message = "interrupted")
    super
  end
end

# What a console's line prints goes to its console: the host says so.
def FUSE.__print(_descriptor, _string)
  false
end

class IO
  alias __syswrite syswrite

  def syswrite(string)
    return string.bytesize if fileno < 3 && FUSE.__print(fileno, string)
    __syswrite(string)
  end
end

module FUSE
  class Console
    NAME = "(console)"

    # A block that evaluates in the scope which it was made in. New variables of an eval die with it,
    # so a line that has some is evaluated in a new scope, inside the last one, that declares them.
    SCOPE = "proc { |__source| eval(__source, nil, #{NAME.inspect}) }"

    # mruby looks through 255 blocks, and each scope is two of them; and a block has so many variables.
    DEEPEST = 100
    WIDEST = 100

    KEYWORDS = %w[
      alias and begin break case class def do else elsif end ensure false for if in module next nil not
      or redo rescue retry return self super then true undef unless until when while yield
    ]

    def initialize
      @names = [:_]
      @depth = 0
      @scope = $__fusuma_eval.call("_ = nil; #{SCOPE}", NAME)
    end

    # Evaluates a line, in which these local variables are set; returns its value as text.
    def evaluate(source, names)
      declare(names - @names)
      value = @scope.call(source)
      @scope.call("proc { |__value| _ = __value }").call(value)
      value.inspect.to_s
    end

    # What the word at the end of a line may become.
    def complete(line)
      start = line.size
      start -= 1 while start > 0 && word?(line[start - 1])
      word = line[start..-1]
      found = candidates(word)
      found.map { |each| each.to_s }.select { |each| each.start_with?(word) && !hidden?(each, word) }.uniq.sort
    end

    private

    def declare(names)
      return if names.empty?
      flatten if @depth >= DEEPEST
      @scope = @scope.call("#{names.join(' = ')} = nil; #{SCOPE}")
      @depth += 1
      @names += names
    end

    # Few scopes in the place of many: blocks that were made earlier keep the variables they had.
    def flatten
      groups = []
      @names.each_slice(WIDEST) { |names| groups << [names, @scope.call("[#{names.join(", ")}]")] }
      @scope = $__fusuma_eval.call(SCOPE, NAME)
      groups.each do |names, values|
        @scope = @scope.call("proc { |__values| #{names.join(", ")}, = __values; #{SCOPE} }").call(values)
      end
      @depth = groups.size * 2
    end

    def word?(character)
      character.bytesize > 1 || "_?!.:@$".include?(character) ||
        ("a".."z").include?(character) || ("A".."Z").include?(character) || ("0".."9").include?(character)
    end

    # The host's own names are completed only after their underscores.
    def hidden?(name, word)
      mark = name.rindex(".") || name.rindex(":") || -1
      name[mark + 1, 2] == "__" && word[mark + 1, 2] != "__"
    end

    def candidates(word)
      dot = word.rindex(".")
      colons = word.rindex("::")
      if dot && (colons.nil? || dot > colons)
        prefix = word[0..dot]
        methods_of(value_of(word[0...dot]), prefix == word).map { |name| prefix + name.to_s }
      elsif colons && colons > 0
        prefix = word[0..colons + 1]
        owner = value_of(word[0...colons])
        owner.is_a?(Module) ? owner.constants.map { |name| prefix + name.to_s } : []
      elsif word.start_with?("$")
        global_variables
      else
        @names + Object.constants + KEYWORDS + methods_of(TOPLEVEL)
      end
    end

    TOPLEVEL = $__fusuma_eval.call("self", NAME)

    # With `own` those that every object has are left out.
    def methods_of(object, own = false)
      return [] if object.nil?
      names = object.methods
      names -= (object.is_a?(Module) ? Module : Object).instance_methods if own
      names.select { |name| word?(name.to_s[0]) }
    rescue NoMethodError
      []
    end

    # The value of a variable or constant; what would call a method is not looked at here.
    def value_of(text)
      return nil if text.empty? || text.include?(".")
      first = text.split("::")[0].to_s
      known = @names.include?(first.to_sym) || ("A".."Z").include?(first[0]) || text.start_with?("$", "@")
      known ? @scope.call(text) : nil
    rescue NameError
      nil
    end
  end
end
