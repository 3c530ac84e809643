import Testing

/// Children of a script: system, backticks, spawn, IO.popen, and what becomes of them.
@Suite struct ProcessTests {
  let ruby: PreludeVM

  init() throws { ruby = try PreludeVM() }

  @Test func backticksAnswerTheOutput() throws {
    #expect(try ruby("[`echo hello`, $?.exitstatus, $?.success?]") == #"["hello\n", 0, true]"#)
    #expect(try ruby("`exit 3`; [$?.exitstatus, $?.to_i, $? == 768]") == "[3, 768, true]")
    #expect(
      try ruby("`kill -9 $$`; [$?.signaled?, $?.termsig, $?.exitstatus, $?.success?]")
        == "[true, 9, nil, nil]")
    #expect(try ruby("`kill -9 $$`; $?.to_s.split(' ', 3)[2]") == #""SIGKILL (signal 9)""#)
    #expect(try ruby("`sleep 0.05; echo late`") == #""late\n""#)
    #expect(ruby.parkings > 0)
  }

  @Test func systemTellsWhetherItWorked() throws {
    #expect(try ruby("[system('true'), system('exit 3'), $?.exitstatus]") == "[true, false, 3]")
    #expect(try ruby("[system('no-such-command 2>/dev/null'), $?.exitstatus]") == "[nil, 127]")
    #expect(try ruby("[system('no-such-program', 'x'), $?.exitstatus]") == "[nil, 127]")
    #expect(
      try ruby("[system('test', '-d', '/'), system('test', '-d', '/nope *')]") == "[true, false]")
    #expect(try ruby(#"system({"FT" => "b"}, 'test "$FT" = b')"#) == "true")
    #expect(try ruby("system('test $(pwd) = /usr', chdir: '/usr')") == "true")
    #expect(try ruby(#"system("a\0b")"#).hasPrefix("ArgumentError: "))
  }

  @Test func redirectionsGoToFilesAndDescriptors() throws {
    let folder = try TemporaryFolder()
    let out = folder.path + "/out"
    #expect(
      try ruby("system('echo a; echo b >&2', out: '\(out)', err: :out); IO.read('\(out)')")
        == #""a\nb\n""#)
    #expect(
      try ruby("system('cat', in: '\(out)', out: ['\(out)2', 'w']); IO.read('\(out)2')")
        == #""a\nb\n""#)
    #expect(try ruby("r, w = IO.pipe; system('echo c', out: w); w.close; r.read") == #""c\n""#)
  }

  @Test func popenReadsAndWrites() throws {
    #expect(
      try ruby("IO.popen('cat', 'r+') { |io| io.write 'abc'; io.close_write; io.read }")
        == #""abc""#)
    #expect(
      try ruby(
        "io = IO.popen(['sh', '-c', 'read x; exit $x'], 'w'); io.puts 7; io.close; $?.exitstatus")
        == "7")
    #expect(
      try ruby("io = IO.popen('echo $$'); pid = io.read.to_i; [io.pid == pid, io.is_a?(IO)]")
        == "[true, true]")
    #expect(
      try ruby(
        "IO.popen('sleep 0.1; wc -c', 'r+') { |io| io.write 'x' * 1000000; io.close_write; io.read.to_i }"
      )
        == "1000000")
    #expect(
      try ruby("IO.popen('cat', 'r') { |io| io.write 'x' }") == "IOError: not opened for writing")
    #expect(try ruby("IO.popen(['no-such-program'])").hasPrefix("Errno::ENOENT: "))
  }

  @Test func spawnedChildrenAreWaitedFor() throws {
    #expect(
      try ruby("pid = spawn('exit 7'); [Process.wait(pid) == pid, $?.exitstatus]") == "[true, 7]")
    #expect(
      try ruby(
        "a = spawn('sleep 0.2'); b = spawn('exit 1'); [Process.wait == b, $?.exitstatus, Process.wait == a]"
      )
        == "[true, 1, true]")
    #expect(try ruby("Process.wait") == "Errno::ECHILD: No child processes")
    #expect(
      try ruby(
        "pid = spawn('exec sleep 9'); n = Process.wait(pid, Process::WNOHANG); Process.kill(:TERM, pid); Process.wait(pid); [n, $?.termsig]"
      )
        == "[nil, 15]")
    #expect(try ruby("Process.kill('NOPE', 1)") == "ArgumentError: unsupported signal 'SIGNOPE'")
  }

  @Test func childrenInheritThreeDescriptorsAndNoSignalSettings() throws {
    #expect(
      try ruby(
        "f = File.open('/'); s = TCPServer.new('127.0.0.1', 0); `ls /proc/self/fd`.split.size")
        == "4")
    // Signals 32 and 33 are glibc's own, and no business of anybody's.
    #expect(
      try ruby(
        """
        masks = `grep -E 'Sig(Blk|Ign)' /proc/self/status`.split.select { |word| word.size == 16 }
        masks.map { |mask| mask[8..-1].to_i(16) & 0x7fffffff }
        """) == "[0, 0]")
  }

  @Test func waitingForAChildLetsOthersRun() throws {
    let log = try ruby(
      """
      log = []
      3.times { |i| FUSE.spawn { system "sleep 0.#{3 - i}"; log << i } }
      FUSE.spawn { log << `sleep 0.05; echo quick`.chomp }
      system 'sleep 0.5'
      log
      """)
    #expect(log == #"["quick", 2, 1, 0]"#)
  }

  /// Other tests open descriptors and start children meanwhile, so a few more are no leak; what they
  /// have open goes again, and a leak stays.
  @Test func childrenWhoseWaitingWasInterruptedAreBuried() throws {
    #expect(
      try ruby(
        """
        def gone?(pid)
          200.times do
            return true unless File.exist?("/proc/#{pid}")
            sleep 0.05
          end
          false
        end
        pid = nil
        begin
          IO.popen('sleep 100') { |io| pid = io.pid; raise Errno::EINTR }
        rescue Errno::EINTR
        end
        let_go = spawn('true')
        Process.detach(let_go)
        [gone?(pid), gone?(let_go)]
        """) == "[true, true]")
  }

  @Test func nothingIsLeftBehind() throws {
    #expect(
      try ruby(
        """
        def descriptors
          IO.popen(['ls', "/proc/#{Process.pid}/fd"]) { |io| io.read }.split.size
        end
        before = descriptors
        60.times do
          `true`
          system 'true'
          IO.popen('cat', 'r+') { |io| io.close_write }
          begin
            IO.popen(['no-such-program'], 'r+')
          rescue Errno::ENOENT
          end
        end
        def zombies
          `ps -o stat= --ppid #{Process.pid}`.split.count { |state| state[0] == 'Z' }
        end
        def settles
          200.times do
            return true if yield
            sleep 0.05
          end
          false
        end
        [settles { descriptors - before < 40 }, settles { zombies < 40 }]
        """) == "[true, true]")
  }

  @Test func clocks() throws {
    #expect(
      try ruby(
        "t = Process.clock_gettime(Process::CLOCK_MONOTONIC); sleep 0.02; (Process.clock_gettime(1) - t).between?(0.02, 2)"
      )
        == "true")
    #expect(
      try ruby("Process.clock_gettime(Process::CLOCK_REALTIME, :second) - Time.now.to_i") == "0")
    #expect(try ruby("Process.clock_gettime(99)").hasPrefix("Errno::EINVAL: "))
    #expect(try ruby("Process.clock_gettime(1, :weeks)") == "ArgumentError: unexpected unit: weeks")
  }
}
