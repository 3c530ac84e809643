# HTTP messages and URLs, with the names of the mruby-http gem. Nothing here touches the network.

module HTTP
  # How many lines a message may have before its body, as many as Curl takes.
  HEADER_LINES = 1000

  # What the gem calls an object's parts; a Request and a Response have them too, where a parser saw
  # them.
  module Location
    attr_reader :schema, :host, :port, :path, :query, :fragment

    def __locate(parts)
      @schema, @host, @port, @path, @query, @fragment = parts
      self
    end
  end

  class URL
    include Location

    # As in a form: a space is "+". Everything but letters, digits and "-_.~" is escaped.
    def self.encode(string)
      encoded = ""
      string.each_byte do |byte|
        if byte >= 97 && byte <= 122 || byte >= 65 && byte <= 90 || byte >= 48 && byte <= 57 ||
            byte == 45 || byte == 95 || byte == 46 || byte == 126
          encoded << byte.chr
        elsif byte == 32
          encoded << "+"
        else
          encoded << (byte < 16 ? "%0" : "%") << byte.to_s(16)
        end
      end
      encoded
    end

    # What is no escape stays as it is.
    def self.decode(string)
      pieces = string.tr("+", " ").split("%", -1)
      decoded = pieces.shift || ""
      pieces.each do |piece|
        digits = piece[0, 2]
        if digits.size == 2 && HTTP.__hexadecimal?(digits)
          decoded << digits.to_i(16).chr << piece[2..-1]
        else
          decoded << "%" << piece
        end
      end
      decoded
    end

    # A form's body: { "a" => 1, "b" => [2, 3] } is "a=1&b=2&b=3".
    def self.encode_form(fields)
      fields.map { |name, values|
        (values.is_a?(Array) ? values : [values]).map { |value|
          "#{encode(name.to_s)}=#{encode(value.to_s)}"
        }.join("&")
      }.join("&")
    end
  end

  class Request
    include Location

    attr_accessor :method, :body, :headers

    def initialize
      @method = "GET"
      @headers = HTTP.__headers
      @body = nil
    end
  end

  class Response
    include Location

    attr_reader :status_code, :method
    attr_accessor :body, :headers

    def initialize(status_code = nil, message = nil, headers = nil, body = nil)
      @method = "GET"
      @status_code = status_code
      @message = message
      @headers = headers || HTTP.__headers
      @body = body
    end

    # The reason that came with the status, or else the one that RFC 9110 gives it.
    def message
      @message.nil? || @message.empty? ? REASONS[@status_code] || "" : @message
    end

    # What the header says; nil where it says nothing.
    def content_length
      length = @headers["Content-Length"]
      length && length.to_i
    end

    def chunked?
      @headers["Transfer-Encoding"].to_s.downcase.include?("chunked")
    end

    # The number of the error that the status is to a filesystem; nil below 400.
    def errno
      return nil unless @status_code.is_a?(Integer) && @status_code >= 400
      Errno.__numbers[ERRNOS[@status_code] || (@status_code < 500 ? :EINVAL : :EIO)]
    end

    # Raises the error that the status is to a filesystem; returns the Response where it is none.
    def check!
      number = errno
      number ? SystemCallError._sys_fail(number, "HTTP #{@status_code} #{message}".strip) : self
    end

    # What fits a status better than EINVAL, for the others from 400 on, and EIO, from 500 on. Never
    # ENOSYS: the kernel would not ask again.
    ERRNOS = {
      401 => :EACCES, 402 => :EACCES, 403 => :EACCES, 404 => :ENOENT,
      405 => :EPERM, 407 => :EACCES, 408 => :ETIMEDOUT, 409 => :EEXIST,
      410 => :ENOENT, 412 => :EBUSY, 413 => :EFBIG, 414 => :ENAMETOOLONG,
      423 => :EBUSY, 425 => :EAGAIN, 429 => :EAGAIN, 451 => :EACCES,
      501 => :EOPNOTSUPP, 504 => :ETIMEDOUT, 507 => :ENOSPC, 508 => :ELOOP,
      511 => :EACCES,
    }

    REASONS = {
      100 => "Continue", 101 => "Switching Protocols", 102 => "Processing", 103 => "Early Hints",
      200 => "OK", 201 => "Created", 202 => "Accepted", 203 => "Non-Authoritative Information",
      204 => "No Content", 205 => "Reset Content", 206 => "Partial Content", 207 => "Multi-Status",
      300 => "Multiple Choices", 301 => "Moved Permanently", 302 => "Found", 303 => "See Other",
      304 => "Not Modified", 305 => "Use Proxy", 307 => "Temporary Redirect", 308 => "Permanent Redirect",
      400 => "Bad Request", 401 => "Unauthorized", 402 => "Payment Required", 403 => "Forbidden",
      404 => "Not Found", 405 => "Method Not Allowed", 406 => "Not Acceptable",
      407 => "Proxy Authentication Required", 408 => "Request Timeout", 409 => "Conflict", 410 => "Gone",
      411 => "Length Required", 412 => "Precondition Failed", 413 => "Content Too Large",
      414 => "URI Too Long", 415 => "Unsupported Media Type", 416 => "Range Not Satisfiable",
      417 => "Expectation Failed", 421 => "Misdirected Request", 422 => "Unprocessable Content",
      423 => "Locked", 426 => "Upgrade Required", 428 => "Precondition Required", 429 => "Too Many Requests",
      431 => "Request Header Fields Too Large", 451 => "Unavailable For Legal Reasons",
      500 => "Internal Server Error", 501 => "Not Implemented", 502 => "Bad Gateway",
      503 => "Service Unavailable", 504 => "Gateway Timeout", 505 => "HTTP Version Not Supported",
    }
  end

  # Reads messages that are there as a whole. What is no message at all raises ArgumentError.
  class Parser
    def parse_url(url)
      raise TypeError, "expected a String, got #{url.inspect}" unless url.is_a?(String)
      URL.new.__locate(HTTP.__split_url(url))
    end

    # Returns a Request, or yields it where there is a block.
    def parse_request(data)
      line, headers, rest = __split(data)
      method, target, version = line.split(" ")
      unless target && (version.nil? || version.start_with?("HTTP/")) && HTTP.__token?(method)
        raise ArgumentError, "not an HTTP request: #{line[0, 80].inspect}"
      end
      request = Request.new
      request.method = method
      request.headers = headers
      body = __body(headers, rest)
      request.body = body unless body.empty?
      # CONNECT names a host and a port, OPTIONS may name everything.
      target = "//" + target if method == "CONNECT"
      request.__locate(target == "*" ? [nil, nil, nil, "*"] : HTTP.__split_url(target))
      block_given? ? (yield request; nil) : request
    end

    # Returns a Response, or yields it where there is a block. Of several responses in a row (100,
    # the proxy's own, followed redirects) it is the last.
    def parse_response(data)
      line = headers = nil
      rest = data
      while true
        line, headers, rest = __split(rest)
        status = line.start_with?("HTTP/") ? line.split(" ")[1].to_i : 0
        raise ArgumentError, "not an HTTP response: #{line[0, 80].inspect}" if status < 100
        passing = status < 200 || status.div(100) == 3 ||
          line.downcase.end_with?("connection established")
        break unless passing && rest.start_with?("HTTP/")
      end
      bodiless = status < 200 || status == 204 || status == 304
      body = bodiless ? "" : __body(headers, rest)
      response = Response.new(status, line.split(" ", 3)[2], headers, body)
      block_given? ? (yield response; nil) : response
    end

    private

    # The first line, the headers, and everything after the blank line.
    def __split(data)
      raise ArgumentError, "expected a String, got #{data.inspect}" unless data.is_a?(String)
      head, rest = HTTP.__split_head(data)
      first = head.index("\n")
      line = first ? head[0, first] : head
      [line.chomp("\r"), HTTP.__parse_headers(first ? head[first + 1..-1] : ""), rest]
    end

    def __body(headers, rest)
      coding = headers["Transfer-Encoding"].to_s.downcase
      return __unchunk(rest) if coding.include?("chunked")
      length = headers["Content-Length"]
      length ? rest[0, length.to_i].to_s : rest
    end

    # As much of a chunked body as is there.
    def __unchunk(data)
      body = ""
      from = 0
      while (line_end = data.index("\n", from))
        digits = data[from...line_end].split(";")[0].to_s.strip
        raise ArgumentError, "not a chunk size: #{digits[0, 20].inspect}" unless HTTP.__hexadecimal?(digits)
        size = digits.to_i(16)
        break if size == 0
        body << data[line_end + 1, size].to_s
        from = line_end + 1 + size
        # The line end after the chunk.
        from += data[from] == "\r" ? 2 : 1
      end
      body
    end
  end

  class << self
    # A Hash that finds a name however it is written where it is not there as it stands.
    def __headers
      Hash.new do |headers, name|
        if name.is_a?(String)
          wanted = name.downcase
          found = headers.keys.find { |key| key.is_a?(String) && key.downcase == wanted }
          # fetch: this block must not be asked again.
          found && headers.fetch(found)
        end
      end
    end

    # A repeated header is one list, as RFC 9110 has it; cookies, which must not be, are lines.
    def __parse_headers(block)
      names = {}
      values = {}
      last = nil
      block.split("\n", HEADER_LINES + 1).each_with_index do |line, index|
        raise ArgumentError, "more than #{HEADER_LINES} header lines" if index == HEADER_LINES
        line = line.chomp("\r")
        next if line.empty?
        if (line[0] == " " || line[0] == "\t") && last
          values[last][-1] << line
          next
        end
        colon = line.index(":")
        next unless colon
        name = line[0, colon].strip
        last = names[name.downcase] ||= name
        (values[last] ||= []) << line[colon + 1..-1].strip
      end
      headers = __headers
      values.each do |name, list|
        headers[name] = list.join(name.downcase == "set-cookie" ? "\n" : ", ")
      end
      headers
    end

    # What comes before the first blank line, and what after.
    def __split_head(data)
      from = lines = 0
      while (line_end = data.index("\n", from))
        lines += 1
        raise ArgumentError, "more than #{HEADER_LINES} header lines" if lines > HEADER_LINES
        from = line_end + 1
        blank = data[from] == "\n" ? 1 : data[from, 2] == "\r\n" ? 2 : nil
        return [data[0, line_end].chomp("\r"), data[from + blank..-1]] if blank
      end
      [data.chomp, ""]
    end

    # [schema, host, port, path, query, fragment] of a URL, or of the path of one.
    def __split_url(url)
      bad = url.empty? || url.bytes.any? { |byte| byte <= 32 || byte == 127 }
      raise ArgumentError, "invalid URL: #{url[0, 80].inspect}" if bad
      rest, fragment = url.split("#", 2)
      rest, query = rest.to_s.split("?", 2)
      return [nil, nil, nil, rest, query, fragment] if rest.to_s.start_with?("/") && !rest.start_with?("//")
      schema, rest = rest.to_s.split("//", 2)
      authority, path = rest.to_s.split("/", 2)
      path = "/" + path if path
      schema = schema.to_s.chomp(":")
      host, port = __split_authority(authority.to_s)
      unless host && (schema.empty? ? url.start_with?("//") : url.start_with?(schema + "://"))
        raise ArgumentError, "invalid URL: #{url[0, 80].inspect}"
      end
      port ||= { "http" => 80, "https" => 443 }[schema.downcase]
      [schema.empty? ? nil : schema, host, port, path, query, fragment]
    end

    def __split_authority(authority)
      authority = authority[authority.rindex("@") + 1..-1] if authority.include?("@")
      if authority.start_with?("[")
        host, port = authority[1..-1].split("]", 2)
        return nil unless port && (port.empty? || port.start_with?(":"))
        port = port[1..-1]
      else
        host, port = authority.split(":", 2)
      end
      return nil if host.nil? || host.empty?
      return [host, nil] if port.nil? || port.empty?
      decimal = port.bytes.all? { |byte| byte >= 48 && byte <= 57 }
      decimal && port.to_i < 65536 ? [host, port.to_i] : nil
    end

    def __hexadecimal?(digits)
      !digits.empty? && digits.downcase.bytes.all? { |byte|
        byte >= 48 && byte <= 57 || byte >= 97 && byte <= 102
      }
    end

    # Whether a line is one header of that name: a line break in it would begin another.
    def __header?(name, line)
      return false if name.empty? || name.include?(":") || name.include?(";") || !__token?(name)
      !line.include?("\n") && !line.include?("\r") && !line.include?("\0")
    end

    def __token?(word)
      word.bytes.all? { |byte| byte > 32 && byte < 127 }
    end
  end
end
