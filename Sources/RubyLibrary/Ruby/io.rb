# IO and sockets that give the VM back: before a C method that would block, the fiber waits for the
# descriptor. Each wait is a loop that looks again right before the system call, because somebody
# else may have taken what there was. A descriptor that the script made non-blocking is left alone,
# and regular files never wait.
#
# Natives used:
#   FUSE.__blocks?(descriptor, events) -> whether a call on it would wait now
#   FUSE.__write(descriptor, string, from) -> how many bytes went out (0: it would have waited);
#     raises Errno, or IOError where it is not open for writing
#   FUSE.__connect(descriptor, address) -> true (connected), false (begun) or nil (no room in the
#     other side's queue: try again); raises Errno
#   FUSE.__connected(descriptor), raises the Errno of a connect that was begun and failed
#   FUSE.__let_block(descriptor) -> nil; takes O_NONBLOCK away
# In turn.rb: FUSE.__wait(:descriptors, [[descriptor, events], ...], seconds or nil) ->
#   [[descriptor, events], ...] or nil when the time is over; FUSE.__wait(:sleep, seconds);
#   FUSE.__wait(:resolve, host, nil) -> [[family, type, protocol, sockaddr], ...], raises SocketError.

class IO
  # Events, as poll(2) numbers them. An error or a hang-up makes a call return at once too.
  READABLE = 1
  PRIORITY = 2
  WRITABLE = 4
  ENDED = 8 | 16

  class << self
    def __wait_for(descriptor, events)
      while FUSE.__blocks?(descriptor, events)
        FUSE.__wait(:descriptors, [[descriptor, events]], nil)
      end
    end

    # Calls the block until it returns true, with pauses: for what no descriptor tells of.
    def __try_until
      pause = 0.001
      until yield
        FUSE.__wait(:sleep, pause)
        pause = [pause * 2, 0.05].min
      end
    end

    alias __sysopen sysopen

    # Opening a FIFO waits for its other end. To read, it is opened at once instead, and the first
    # read waits; to write, opening is tried until a process reads.
    def sysopen(path, mode = nil, permissions = 0666)
      mode = "r" if mode.nil?
      fifo = FileTest.pipe?(path)
      return __sysopen(path, mode, permissions) unless fifo
      access = mode.is_a?(Integer) ? mode : __access(mode)
      return __sysopen(path, mode, permissions) if access & File::NONBLOCK != 0 || access & 3 == File::RDWR
      descriptor = nil
      __try_until do
        begin
          descriptor = __sysopen(path, access | File::NONBLOCK, permissions)
        rescue Errno::ENXIO
          false
        end
      end
      FUSE.__let_block(descriptor)
      descriptor
    end

    def __access(mode)
      return File::RDWR if mode.include?("+")
      mode.start_with?("r") ? File::RDONLY : File::WRONLY
    end

    def select(readers, writers = nil, errors = nil, seconds = nil)
      wanted = Hash.new(0)
      buffered = (readers || []).any? { |io| io.__buffered? }
      (readers || []).each { |io| wanted[io.fileno] |= READABLE }
      (writers || []).each { |io| wanted[io.__writer.fileno] |= WRITABLE }
      (errors || []).each { |io| wanted[io.fileno] |= PRIORITY }
      found = FUSE.__wait(:descriptors, wanted.to_a, buffered ? 0 : seconds)
      return nil if found.nil? && !buffered
      ready = Hash.new(0)
      (found || []).each { |descriptor, events| ready[descriptor] = events }
      [
        (readers || []).select { |io| io.__buffered? || ready[io.fileno] & (READABLE | ENDED) != 0 },
        (writers || []).select { |io| ready[io.__writer.fileno] & (WRITABLE | ENDED) != 0 },
        (errors || []).select { |io| ready[io.fileno] & PRIORITY != 0 },
      ]
    end
  end

  alias __sysread sysread

  def sysread(length, buffer = nil)
    while FUSE.__blocks?(fileno, READABLE)
      _check_readable
      FUSE.__wait(:descriptors, [[fileno, READABLE]], nil)
    end
    buffer ? __sysread(length, buffer) : __sysread(length)
  end

  # Writes all of the string, a piece at a time where there is no more room.
  def syswrite(string)
    size = string.bytesize
    written = 0
    while written < size
      count = FUSE.__write(fileno, string, written)
      FUSE.__wait(:descriptors, [[fileno, WRITABLE]], nil) if count == 0
      written += count
    end
    written
  end

  # Each line goes out whole, so that those of several hooks or processes do not mix.
  def puts(*objects)
    write "\n" if objects.empty?
    objects.each do |object|
      next puts(*object) if object.is_a?(Array)
      line = object.to_s
      write line[-1] == "\n" ? line : line + "\n"
    end
    nil
  end

  def __buffered?
    !@buf.nil? && !@buf.empty?
  end

  # Where it is written to: a pipe to and from a child has a descriptor for each.
  def __writer
    self
  end
end

class File
  alias __flock flock

  # No descriptor tells of a lock that is let go, so a lock is tried for again and again.
  def flock(operation)
    return __flock(operation) if operation & (LOCK_NB | LOCK_UN) != 0
    IO.__try_until { __flock(operation | LOCK_NB) }
    0
  end
end

class Addrinfo
  class << self
    alias __getaddrinfo getaddrinfo

    # A name that a server has to be asked for is waited for; what is left to mruby are its numbers.
    def getaddrinfo(host, service, family = nil, type = nil, protocol = nil, flags = 0)
      unless __remote?(host)
        return __getaddrinfo(host, service, family, type, protocol, flags)
      end
      found = []
      failure = nil
      FUSE.__wait(:resolve, host, nil).each do |address|
        begin
          number = new(address[-1], address[0]).ip_address
          found.concat(__getaddrinfo(number, service, family, type, protocol, flags))
        rescue SocketError => error
          failure = error
        end
      end
      raise failure || SocketError.new("getaddrinfo: Name or service not known") if found.empty?
      found
    end

    def __remote?(host)
      return false if !host.is_a?(String) || host.empty? || host.include?(":") || host == "localhost"
      host.bytes.any? { |byte| byte != 46 && (byte < 48 || byte > 57) }
    end
  end
end

class BasicSocket
  alias __recv recv
  alias __recvfrom _recvfrom
  alias __sendto send

  def recv(length, flags = 0)
    IO.__wait_for(fileno, READABLE)
    __recv(length, flags)
  end

  def _recvfrom(length, flags = 0)
    IO.__wait_for(fileno, READABLE)
    __recvfrom(length, flags)
  end

  def send(message, flags, address = nil)
    once = flags | Socket::MSG_DONTWAIT | Socket::MSG_NOSIGNAL
    sent = 0
    while true
      rest = sent == 0 ? message : message[sent..-1]
      begin
        sent += address ? __sendto(rest, once, address) : __sendto(rest, once)
      rescue Errno::EAGAIN => error
        raise error if flags & Socket::MSG_DONTWAIT != 0
        FUSE.__wait(:descriptors, [[fileno, WRITABLE]], nil)
        next
      end
      return sent if sent >= message.bytesize
    end
  end
end

class Socket
  class << self
    alias __accept _accept
    alias __accept2 _accept2

    def _accept(descriptor)
      IO.__wait_for(descriptor, IO::READABLE)
      __accept(descriptor)
    end

    def _accept2(descriptor)
      IO.__wait_for(descriptor, IO::READABLE)
      __accept2(descriptor)
    end

    def _connect(descriptor, address)
      state = nil
      IO.__try_until { !(state = FUSE.__connect(descriptor, address)).nil? }
      return if state
      IO.__wait_for(descriptor, IO::WRITABLE)
      FUSE.__connected(descriptor)
    end
  end
end

class TCPSocket
  # Tries one address after the other. mruby's own leaves the socket of each that failed open.
  def initialize(host, service, local_host = nil, local_service = nil)
    return super(host, service) if @init_with_fd
    failure = nil
    Addrinfo.getaddrinfo(host, service, nil, Socket::SOCK_STREAM).each do |address|
      begin
        descriptor = __connect(address, local_host, local_service)
      rescue SystemCallError, SocketError => error
        raise error if error.is_a?(Errno::EINTR)
        failure = error
        next
      end
      super(descriptor, "r+")
      return
    end
    raise failure || SocketError.new("no address for #{host}")
  end

  def __connect(address, local_host, local_service)
    descriptor = Socket._socket(address.afamily, Socket::SOCK_STREAM, 0)
    if local_host || local_service
      local_host ||= address.ipv4? ? "0.0.0.0" : "::"
      local = Addrinfo.getaddrinfo(
        local_host, local_service || "0", address.afamily, Socket::SOCK_STREAM)[0]
      Socket._bind(descriptor, local.to_sockaddr)
    end
    Socket._connect(descriptor, address.to_sockaddr)
    descriptor
  rescue Exception => error
    IO._sysclose(descriptor) if descriptor
    raise error
  end
end
