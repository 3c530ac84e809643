# IO's buffer. Since 3.2 mruby reads and writes in C, where a wait keeps every hook waiting. With what
# follows all reading goes through `sysread` and all writing through `syswrite`, as in 3.1, which has
# methods of these names of its own: there this file changes nothing.

class IO
  unless method_defined?(:_read_buf)
    alias __ungetc ungetc

    # mruby looks at whether it is open for reading before it puts nothing back.
    def _check_readable
      __ungetc("")
    end

    # The bytes that were read and not yet handed out; read first where there are none.
    # Raises EOFError at the end.
    def _read_buf
      @buf ||= ""
      return @buf unless @buf.empty?
      _check_readable
      @buf = sysread(4096)
    end

    def __take(count)
      piece = @buf.byteslice(0, count)
      @buf = @buf.byteslice(count, @buf.bytesize - count)
      piece
    end

    def write(*objects)
      objects.inject(0) do |written, object|
        text = object.to_s
        next written if text.empty?
        seek(pos, SEEK_SET) if __buffered?
        written + syswrite(text)
      end
    end

    def pos
      sysseek(0, SEEK_CUR) - (@buf ? @buf.bytesize : 0)
    end

    def seek(offset, whence = SEEK_SET)
      offset -= @buf.bytesize if whence == SEEK_CUR && @buf
      sysseek(offset, whence)
      @buf = ""
      0
    end

    def eof?
      _check_readable
      _read_buf.empty?
    rescue EOFError
      true
    end

    def ungetc(text)
      raise TypeError, "expect String, got #{text.class}" unless text.is_a?(String)
      _check_readable
      @buf = @buf ? text + @buf : text.dup
      nil
    end

    def read(length = nil, into = nil)
      unless length.nil?
        raise TypeError, "can't convert #{length.class} into Integer" unless length.is_a?(Integer)
        raise ArgumentError, "negative length: #{length} given" if length < 0
        return into ? into.replace("") : "" if length == 0
      end
      pieces = []
      begin
        while length.nil? || length > 0
          size = _read_buf.bytesize
          size = length if length && length < size
          pieces << __take(size)
          length -= size if length
        end
      rescue EOFError
        # What there was is what is read.
      end
      text = pieces.join
      into.replace(text) if into
      pieces.empty? && length ? nil : into || text
    end

    def readline(separator = "\n", limit = nil)
      separator, limit = "\n", separator if separator.is_a?(Integer)
      return read(limit) || raise(EOFError, "end of file reached") if separator.nil?
      separator = "\n\n" if separator.empty?
      line = ""
      begin
        until line.end_with?(separator) || limit && line.bytesize >= limit
          found = _read_buf.byteindex(separator[-1])
          size = found ? found + 1 : @buf.bytesize
          size = limit - line.bytesize if limit && limit - line.bytesize < size
          line << __take(size)
        end
      rescue EOFError => error
        raise error if line.empty?
      end
      line
    end

    def gets(*arguments)
      readline(*arguments)
    rescue EOFError
      nil
    end

    def readlines(*arguments)
      lines = []
      while (line = gets(*arguments))
        lines << line
      end
      lines
    end

    def readchar
      _read_buf
      __take(1)
    end

    def getc
      readchar
    rescue EOFError
      nil
    end

    def readbyte
      readchar.getbyte(0)
    end

    def getbyte
      readbyte
    rescue EOFError
      nil
    end

    alias eof eof?
    alias tell pos
  end
end
