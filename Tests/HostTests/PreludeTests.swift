import Testing

/// Errno, ENV, and Kernel's require, exit and the like, as a script sees them.
@Suite struct PreludeTests {
  let ruby: PreludeVM

  init() throws { ruby = try PreludeVM() }

  // MARK: Errno

  @Test func errnoClassesCarryTheirNumberAndMessage() throws {
    #expect(try ruby("Errno::EACCES::Errno") == "13")
    #expect(try ruby("Errno::EACCES.new.message") == #""Permission denied""#)
    #expect(try ruby("Errno::EACCES.new('x').message") == #""Permission denied - x""#)
    #expect(try ruby("Errno::EACCES.new('x').errno") == "13")
    #expect(try ruby("raise Errno::ENOENT, 'x'") == "Errno::ENOENT: No such file or directory - x")
    #expect(try ruby("begin; raise Errno::EPERM; rescue SystemCallError => e; e.errno; end") == "1")
    #expect(try ruby("class Mine < Errno::EACCES; end; Mine.new.errno") == "13")
    #expect(try ruby("Errno::ENOENT.new.is_a?(StandardError)") == "true")
  }

  @Test func systemCallErrorFindsTheClassOfANumber() throws {
    #expect(try ruby("SystemCallError.new('m', 2).class") == "Errno::ENOENT")
    #expect(try ruby("SystemCallError.new(2).message") == #""No such file or directory""#)
    #expect(try ruby("SystemCallError.new('m', 9999).message") == #""Unknown error 9999 - m""#)
    #expect(try ruby("SystemCallError.new('m').message") == #""unknown error - m""#)
    #expect(try ruby("SystemCallError.new('m').errno") == "nil")
    #expect(try ruby("Errno::ENOENT === SystemCallError.new('m', 2)") == "true")
    #expect(try ruby("SystemCallError === Errno::ENOENT.new") == "true")
    #expect(try ruby("Errno::EPERM === Errno::ENOENT.new") == "false")
  }

  @Test func errnoKnowsEveryNameAndNoOther() throws {
    #expect(try ruby("Errno::EWOULDBLOCK.equal?(Errno::EAGAIN)") == "true")
    #expect(try ruby("Errno.constants.size > 130") == "true")
    #expect(try ruby("Errno.const_defined?(:EXDEV)") == "true")
    #expect(try ruby("Errno::ENONE") == "NameError: uninitialized constant Errno::ENONE")
  }

  @Test func mrubysOwnFailuresAreErrnos() throws {
    #expect(try ruby("File.open('/nope')").hasPrefix("Errno::ENOENT: "))
    #expect(try ruby("File.open('/') { |f| f.read }").hasPrefix("Errno::EISDIR: "))
  }

  // MARK: ENV

  @Test func environmentIsReadAndChanged() throws {
    #expect(try ruby("ENV['FT_A'] = 'v'; [ENV['FT_A'], ENV.fetch('FT_A')]") == #"["v", "v"]"#)
    #expect(try ruby("`echo $FT_A`") == #""v\n""#)
    #expect(
      try ruby("[ENV.delete('FT_A'), ENV['FT_A'], ENV.delete('FT_A')]") == #"["v", nil, nil]"#)
    #expect(try ruby("ENV['FT_A'] = 'v'; ENV['FT_A'] = nil; ENV.key?('FT_A')") == "false")
    #expect(
      try ruby("[ENV.fetch('FT_B', 5), ENV.fetch('FT_B') { |n| n + '!' }]") == #"[5, "FT_B!"]"#)
    #expect(try ruby("ENV.fetch('FT_B')") == #"KeyError: key not found: "FT_B""#)
    #expect(
      try ruby("ENV.update('FT_C' => '1'); ENV.select { |n, _| n == 'FT_C' }") == #"{"FT_C"=>"1"}"#)
    #expect(try ruby("ENV.map { |n, v| n }.sort == ENV.keys.sort") == "true")
    #expect(try ruby("ENV.to_h.size == ENV.size && ENV.to_h['PATH'] == ENV['PATH']") == "true")
    #expect(try ruby("ENV.delete('FT_C')") == #""1""#)
  }

  @Test func environmentRefusesWhatIsNoName() throws {
    #expect(try ruby("ENV[:x]") == "TypeError: no implicit conversion of Symbol into String")
    #expect(try ruby("ENV['x'] = 1") == "TypeError: no implicit conversion of Integer into String")
    #expect(try ruby("ENV['a=b'] = ''").hasPrefix("Errno::EINVAL: "))
    #expect(try ruby(#"ENV["a\0"]"#).hasPrefix("ArgumentError: "))
    #expect(try ruby("ENV['a=b']") == "nil")
  }

  // MARK: Files of source

  @Test func requireEvaluatesAFileOnce() throws {
    let folder = try TemporaryFolder()
    try folder.write("$n = ($n || 0) + 1; WHERE = [__FILE__, __dir__]", to: "one.rb")
    try folder.write("require_relative 'one'; require_relative '../top'", to: "sub/two.rb")
    try folder.write("TOP = 1", to: "top.rb")
    let one = folder.path + "/one.rb"
    #expect(try ruby("require '\(one)'", file: "/x.rb") == "true")
    #expect(try ruby("require '\(folder.path)/one'", file: "/x.rb") == "false")
    #expect(try ruby("WHERE") == #"["\#(one)", "\#(folder.path)"]"#)
    #expect(try ruby("require_relative 'one'", file: folder.path + "/main.rb") == "false")
    try folder.write("require_relative '../one'; require_relative '../top'", to: "sub/two.rb")
    #expect(try ruby("$LOAD_PATH << '\(folder.path)/sub'; require 'two'") == "true")
    #expect(try ruby("[TOP, $n, $LOADED_FEATURES.size]") == "[1, 1, 3]")
    #expect(try ruby("load '\(one)'; load '\(one)'; $n") == "3")
    #expect(try ruby("[require('json'), require('socket')]") == "[false, false]")
  }

  @Test func requireSaysWhatIsWrong() throws {
    let folder = try TemporaryFolder()
    try folder.write("x = 1\ny = (\n", to: "bad.rb")
    try folder.write("\nraise 'inside'\n", to: "raises.rb")
    let main = folder.path + "/main.rb"
    #expect(try ruby("require 'nope'") == "LoadError: cannot load such file -- nope")
    #expect(try ruby("require_relative 'nope'", file: main).hasPrefix("LoadError: "))
    #expect(
      try ruby("require_relative 'bad'", file: main)
        .hasPrefix("SyntaxError: \(folder.path)/bad.rb:3:"))
    #expect(
      try ruby("begin; require_relative 'raises'; rescue => e; e.backtrace[0]; end", file: main)
        .hasPrefix("\"\(folder.path)/raises.rb:2"))
    #expect(try ruby("$LOADED_FEATURES") == "[]")
  }

  @Test func filesOfSourceMayWait() throws {
    let folder = try TemporaryFolder()
    try folder.write("sleep 0.01; SLEPT = 1", to: "sleepy.rb")
    #expect(try ruby("require '\(folder.path)/sleepy'; SLEPT") == "1")
    #expect(ruby.parkings == 1)
  }

  // MARK: Kernel

  @Test func exitIsAnException() throws {
    let status = "rescue SystemExit => e; [e.status, e.success?, e.message]; end"
    #expect(try ruby("begin; exit; \(status)") == #"[0, true, "exit"]"#)
    #expect(try ruby("begin; exit 3; \(status)") == #"[3, false, "exit"]"#)
    #expect(try ruby("begin; exit false; \(status)") == #"[1, false, "exit"]"#)
    #expect(try ruby("begin; abort; \(status)") == #"[1, false, "exit"]"#)
    #expect(try ruby("begin; exit 1; rescue => e; :caught; end") == "SystemExit: exit")
  }

  @Test func atExitRunsBackwardsAndOnce() throws {
    #expect(
      try ruby("$l = []; at_exit { $l << 1 }; at_exit { exit 9 }; at_exit { $l << 2 }").isEmpty
        == false)
    #expect(try ruby("[FUSE.__run_at_exit, $l, FUSE.__run_at_exit]") == "[9, [2, 1], nil]")
    #expect(
      try ruby("at_exit { $l << 3 }; begin; exit!; rescue SystemExit; end; FUSE.__run_at_exit; $l")
        == "[2, 1]")
  }

  @Test func sleepAnswersWholeSecondsAndChecksItsArgument() throws {
    #expect(try ruby("[sleep(0), sleep(0.01)]") == "[0, 0]")
    #expect(try ruby("sleep(-1)") == "ArgumentError: time interval must not be negative")
    #expect(try ruby("sleep('x')") == "TypeError: can't convert String into time interval")
  }
}
