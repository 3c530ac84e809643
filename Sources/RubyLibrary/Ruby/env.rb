# ENV: the environment of this process, and of the children that it starts.
#
# Natives used: FUSE.__getenv(name) -> String or nil, FUSE.__setenv(name, value or nil) (nil unsets),
# FUSE.__environ -> ["NAME=value", ...].

ENV = Object.new

class << ENV
  include Enumerable

  def [](name)
    FUSE.__getenv(__string(name))
  end

  def []=(name, value)
    FUSE.__setenv(__name(name), value.nil? ? nil : __string(value))
    value
  end
  alias store []=

  def fetch(name, *default)
    value = self[name]
    return value unless value.nil?
    return yield(name) if block_given?
    raise KeyError, "key not found: #{name.inspect}" if default.empty?
    default[0]
  end

  # The value that was there; where there was none, nil or what the block returns.
  def delete(name)
    value = self[name]
    return block_given? ? yield(name) : nil if value.nil?
    FUSE.__setenv(__name(name), nil)
    value
  end

  def key?(name)
    !self[name].nil?
  end
  alias has_key? key?
  alias include? key?
  alias member? key?

  def to_hash
    hash = {}
    FUSE.__environ.each do |entry|
      name, value = entry.split("=", 2)
      hash[name] = value || ""
    end
    hash
  end

  def to_h(&block)
    block ? to_hash.to_h(&block) : to_hash
  end

  def each(&block)
    return to_enum(:each) unless block
    to_hash.each { |name, value| block.call([name, value]) }
    self
  end
  alias each_pair each

  def each_key(&block)
    keys.each(&block)
    self
  end

  def each_value(&block)
    values.each(&block)
    self
  end

  def keys
    to_hash.keys
  end

  def values
    to_hash.values
  end

  def values_at(*names)
    names.map { |name| self[name] }
  end

  def value?(value)
    values.include?(value)
  end
  alias has_value? value?

  def key(value)
    to_hash.key(value)
  end

  def size
    to_hash.size
  end
  alias length size

  def empty?
    to_hash.empty?
  end

  def select(&block)
    to_hash.select(&block)
  end
  alias filter select

  def reject(&block)
    to_hash.reject(&block)
  end

  def delete_if
    to_hash.each { |name, value| delete(name) if yield(name, value) }
    self
  end

  def update(other)
    other.each { |name, value| self[name] = value }
    self
  end
  alias merge! update

  def replace(other)
    (keys - other.keys).each { |name| delete(name) }
    update(other)
  end

  def clear
    keys.each { |name| delete(name) }
    self
  end

  def to_a
    to_hash.to_a
  end

  def to_s
    "ENV"
  end

  def inspect
    to_hash.inspect
  end

  # Only setting needs a name that can be set: asking for any other finds nothing.
  def __name(name)
    name = __string(name)
    raise Errno::EINVAL, name.inspect if name.empty? || name.include?("=")
    name
  end

  def __string(value)
    return value if value.is_a?(String) && !value.include?("\0")
    raise ArgumentError, "bad environment variable: contains a null byte" if value.is_a?(String)
    raise TypeError, "no implicit conversion of #{value.class} into String"
  end
end
