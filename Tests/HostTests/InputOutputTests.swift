import Testing

/// Pipes, FIFOs, files and sockets, each with somebody who runs while the other waits.
@Suite struct InputOutputTests {
  let ruby: PreludeVM

  init() throws { ruby = try PreludeVM() }

  // MARK: Pipes and files

  @Test func readingAPipeLetsOthersRun() throws {
    #expect(
      try ruby("r, w = IO.pipe; FUSE.spawn { 3.times { sleep 0.01; w.puts 'x' }; w.close }; r.read")
        == #""x\nx\nx\n""#)
    #expect(ruby.parkings >= 4)
    #expect(
      try ruby(
        "r, w = IO.pipe; FUSE.spawn { w << 'a'; sleep 0.01; w << \"b\\nc\" }; [r.gets, r.getc]")
        == #"["ab\n", "c"]"#)
  }

  @Test func writingMoreThanThereIsRoomForLetsOthersRun() throws {
    #expect(
      try ruby(
        "r, w = IO.pipe; FUSE.spawn { sleep 0.02; $n = r.read.size }; n = w.write('x' * 300000); w.close; sleep 0.02; [n, $n]"
      )
        == "[300000, 300000]")
  }

  @Test func errorsAreRubys() throws {
    #expect(try ruby("r, w = IO.pipe; r.write 'x'") == "IOError: not opened for writing")
    #expect(try ruby("r, w = IO.pipe; w.read") == "IOError: not opened for reading")
    #expect(try ruby("r, w = IO.pipe; r.close; r.read") == "IOError: closed stream")
    #expect(try ruby("r, w = IO.pipe; r.close; w.write 'x'").hasPrefix("Errno::EPIPE: "))
    #expect(try ruby("r, w = IO.pipe; w.close; [r.read, r.gets, r.eof?]") == #"["", nil, true]"#)
  }

  @Test func selectTellsWhatIsReady() throws {
    #expect(try ruby("R, W = IO.pipe; IO.select([R], nil, nil, 0.01)") == "nil")
    #expect(try ruby("IO.select([R], [W], nil, 1) == [[], [W], []]") == "true")
    #expect(
      try ruby(#"FUSE.spawn { sleep 0.01; W.write "a\nb\n" }; IO.select([R]) == [[R], [], []]"#)
        == "true")
    // The second line is in the buffer, where no descriptor tells of it.
    #expect(
      try ruby("[R.gets, IO.select([R], nil, nil, 0) == [[R], [], []], R.gets]")
        == #"["a\n", true, "b\n"]"#)
    #expect(try ruby("IO.select([R], nil, nil, 0)") == "nil")
    #expect(
      try ruby(
        """
        IO.popen('cat', 'r+') do |io|
          answer = IO.select([io], [io], nil, 1)
          io.close_write
          answer == [[], [io], []]
        end
        """) == "true")
  }

  @Test func regularFilesNeverWait() throws {
    let folder = try TemporaryFolder()
    let file = folder.path + "/f"
    #expect(
      try ruby(
        "File.open('\(file)', 'w') { |f| f.write 'z' * 100000; f.puts 'a', ['b', ['c']], nil }; IO.read('\(file)').size"
      )
        == "100007")
    #expect(
      try ruby("File.open('\(file)') { |f| f.seek(99999); [f.gets, f.gets, f.read, f.pos] }")
        == #"["za\n", "b\n", "c\n\n", 100007]"#)
    #expect(ruby.parkings == 0)
  }

  @Test func fifosWaitForTheirOtherEnd() throws {
    let folder = try TemporaryFolder()
    let fifo = "'\(folder.path)/fifo'"
    #expect(try ruby("system('mkfifo', \(fifo))") == "true")
    #expect(
      try ruby(
        "FUSE.spawn { sleep 0.02; File.open(\(fifo), 'w') { |f| f.write 'in' } }; File.open(\(fifo)) { |f| f.read }"
      )
        == #""in""#)
    #expect(
      try ruby(
        "FUSE.spawn { sleep 0.02; $read = File.open(\(fifo)) { |f| f.read } }; File.open(\(fifo), 'w') { |f| f.write 'out' }; sleep 0.02; $read"
      )
        == #""out""#)
  }

  @Test func locksAreWaitedFor() throws {
    let folder = try TemporaryFolder()
    #expect(
      try ruby(
        """
        a, b = [1, 2].map { File.open('\(folder.path)/lock', 'w') }
        a.flock(File::LOCK_EX)
        refused = b.flock(File::LOCK_EX | File::LOCK_NB)
        FUSE.spawn { sleep 0.03; $log = :unlocked; a.flock(File::LOCK_UN) }
        [refused, b.flock(File::LOCK_EX), $log]
        """) == "[false, 0, :unlocked]")
  }

  // MARK: Sockets

  @Test func tcpServerAndClientInOneVM() throws {
    #expect(
      try ruby(
        """
        server = TCPServer.new('127.0.0.1', 0)
        FUSE.spawn do
          client = server.accept
          line = client.gets
          sleep 0.01
          client.write "got #{line}"
          client.write client.read(2000000).size.to_s
          client.close
        end
        socket = TCPSocket.new('127.0.0.1', server.addr[1])
        socket.puts 'hello'
        [socket.gets, socket.write('x' * 2000000), socket.read, socket.eof?]
        """) == #"["got hello\n", 2000000, "2000000", true]"#)
  }

  @Test func connectionsThatFailRaiseAndLeaveNothingOpen() throws {
    #expect(try ruby("TCPSocket.new('127.0.0.1', 1)").hasPrefix("Errno::ECONNREFUSED: "))
    #expect(try ruby("TCPSocket.new('no.such.host.invalid', 1)").hasPrefix("SocketError: "))
    #expect(try ruby("UNIXSocket.new('/nope/socket')").hasPrefix("Errno::ENOENT: "))
    // Other tests open descriptors meanwhile, so a few more are no leak.
    #expect(
      try ruby(
        """
        before = `ls /proc/#{Process.pid}/fd`.split.size
        100.times { begin; TCPSocket.new('localhost', 1); rescue SystemCallError; end }
        `ls /proc/#{Process.pid}/fd`.split.size - before < 50
        """) == "true")
  }

  @Test func unixSockets() throws {
    let folder = try TemporaryFolder()
    #expect(
      try ruby(
        """
        server = UNIXServer.new('\(folder.path)/s')
        FUSE.spawn { c = server.accept; $got = c.recv(100); c.send('pong', 0); c.close }
        socket = UNIXSocket.new('\(folder.path)/s')
        socket.send('ping', 0)
        [socket.recvfrom(10)[0], $got]
        """) == #"["pong", "ping"]"#)
    // More than the queue of a server has room for.
    #expect(
      try ruby(
        """
        server = nil
        FUSE.spawn { sleep 0.03; 10.times { server.accept } }
        server = UNIXServer.new('\(folder.path)/t')
        (1..10).map { UNIXSocket.new('\(folder.path)/t') }.size
        """) == "10")
    #expect(
      try ruby("a, b = UNIXSocket.pair; FUSE.spawn { sleep 0.01; b << 'x'; b.close }; a.read")
        == #""x""#)
  }

  @Test func udpSockets() throws {
    #expect(
      try ruby(
        """
        a = UDPSocket.new
        a.bind('127.0.0.1', 0)
        FUSE.spawn do
          sleep 0.01
          b = UDPSocket.new
          b.send('one', 0, '127.0.0.1', a.addr[1])
          b.connect('127.0.0.1', a.addr[1])
          b.send('two', 0)
        end
        [a.recvfrom(9)[0], a.recv(9)]
        """) == #"["one", "two"]"#)
  }

  @Test func plainSockets() throws {
    #expect(
      try ruby(
        """
        server = Socket.new(Socket::AF_INET, Socket::SOCK_STREAM, 0)
        server.bind(Socket.sockaddr_in(0, '127.0.0.1'))
        server.listen(5)
        address = server.getsockname
        FUSE.spawn do
          sleep 0.01
          c = Socket.new(Socket::AF_INET, Socket::SOCK_STREAM, 0)
          c.connect(address)
          c.write 'Q'
          c.close
        end
        server.accept[0].read
        """) == #""Q""#)
  }

  @Test func nonBlockingCallsDoNotWait() throws {
    #expect(
      try ruby("S = UDPSocket.new; S.bind('127.0.0.1', 0); S.recv_nonblock(9)").hasPrefix(
        "Errno::EAGAIN: "))
    #expect(try ruby("S.recvfrom_nonblock(9)").hasPrefix("Errno::EAGAIN: "))
    #expect(try ruby("TCPServer.new('127.0.0.1', 0).accept_nonblock").hasPrefix("Errno::EAGAIN: "))
    #expect(ruby.parkings == 0)
  }

  // MARK: Fibers

  @Test func aScriptsOwnFibersAndEnumeratorsMayWait() throws {
    #expect(
      try ruby("f = Fiber.new { sleep 0.01; Fiber.yield 1; sleep 0.01; 2 }; [f.resume, f.resume]")
        == "[1, 2]")
    #expect(
      try ruby(
        "e = Enumerator.new { |y| sleep 0.01; y << 1; `true`; y << 2 }; [e.next, e.next, e.to_a]")
        == "[1, 2, [1, 2]]")
    #expect(ruby.parkings > 3)
  }

  @Test func whereAFiberCannotYieldTheWaitIsDoneInPlace() throws {
    #expect(try ruby("class T; def to_s; sleep 0.01; 'text' end end; \"#{T.new}\"") == #""text""#)
    #expect(ruby.parkings == 0)
  }
}
