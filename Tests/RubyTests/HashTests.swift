import Testing

@testable import Ruby

@Suite struct HashTests {
  /// A Hash beside a list of its pairs, to which everything is done one key after the other.
  private static let source = """
    class Pairs
      def initialize(seed)
        @hash, @pairs, @random = {}, [], seed
      end

      def random(count)
        @random = (@random * 1103515245 + 12345) & 0x7fffffff
        (@random >> 8) % count
      end

      def place(key) = @pairs.index { |pair| pair[0] == key }

      def store(key, value)
        if here = place(key) then @pairs[here][1] = value else @pairs << [key, value] end
      end

      def step(key, value)
        case random(9)
        when 0, 1 then (@hash[key] = value; store(key, value))
        when 2 then (@hash.store(key, value); store(key, value))
        when 3 then (@hash.merge!({ key => value, 0 => value }); store(key, value); store(0, value))
        when 4 then (@hash = @hash.merge({ key => value }); store(key, value))
        when 5, 6 then (@hash.delete(key); @pairs.reject! { |pair| pair[0] == key })
        when 7
          @hash.shift unless @pairs.empty?
          @pairs.shift
        when 8
          @hash[key] ||= value
          store(key, value) unless place(key)
        end
      end

      def wrong(keys, steps)
        steps.times do |number|
          key = random(keys)
          key = "key #{key}" if key % 2 == 1
          step(key, number)
          return "after #{number}: #{@hash} instead of #{@pairs}" if @hash.to_a != @pairs
          return "#{key} after #{number}" if @hash[key] != ((here = place(key)) && @pairs[here][1])
        end
        nil
      end
    end
    """

  @Test(arguments: [10, 24, 40, 150]) func keysAreThereOnce(keys: Int) throws {
    let vm = try VM()
    _ = try vm.run(Self.source)
    for seed in 1...3 {
      try #expect(vm.run("Pairs.new(\(seed)).wrong(\(keys), 4000)").text == nil)
    }
  }
}
