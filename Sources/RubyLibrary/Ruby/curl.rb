# Curl: HTTP calls, with the names of the mruby-curl gem. The hook that calls waits; no other does.
#
# Natives used: FUSE.__http_close(stream). In turn.rb:
#   FUSE.__wait(:http, method, url, ["Name: value", ...], body or nil, options)
#     -> [major, minor, status, message, header block, body]
#   FUSE.__wait(:http_stream, ... the same ...) -> a stream, which ends when it is garbage
#   FUSE.__wait(:http_next, stream) -> [header block, chunk], and at the end what :http returns, with
#     an empty body
# A failure raises RuntimeError with libcurl's message. The options, all optional:
#   timeout:, connect_timeout: seconds, 0 is for ever; stall_timeout: seconds without a byte
#   verify_peer: bool; ca_info: a file's path; http_version: libcurl's CURL_HTTP_VERSION_ number
#   follow_redirects: bool

class Curl
  # The gem's settings, which hold for every call that an object's own do not decide. They may be
  # assigned anew: Curl::SSL_VERIFYPEER = 0.
  SSL_VERIFYPEER = 1
  CAINFO = nil
  HTTP_1_0 = 1
  HTTP_1_1 = 2
  HTTP_VERSION = HTTP_1_1
  # In seconds and milliseconds; nil is the default of 30 seconds for a response that comes whole, and
  # of a minute without a byte for one that is streamed. 0 is for ever.
  TIMEOUT = nil
  TIMEOUT_MS = nil
  FOLLOWLOCATION = 0

  attr_accessor :timeout, :timeout_ms, :follow_redirects

  # There is nothing left to do: the host does it once, when it is first needed.
  def self.global_init
    true
  end

  def HTTP_VERSION=(version)
    @http_version = version
  end

  def HTTP_VERSION
    @http_version || Curl::HTTP_VERSION
  end

  def get(url, headers = nil, &block)
    __perform("GET", url, headers, nil, block)
  end

  def head(url, headers = nil, &block)
    __perform("HEAD", url, headers, nil, block)
  end

  def delete(url, headers = nil, &block)
    __perform("DELETE", url, headers, nil, block)
  end

  # `data` is the body as it is, or a Hash, which is sent as a form's fields.
  def post(url, data, headers = nil, &block)
    __perform("POST", url, headers, data, block)
  end

  def put(url, data, headers = nil, &block)
    __perform("PUT", url, headers, data, block)
  end

  def patch(url, data, headers = nil, &block)
    __perform("PATCH", url, headers, data, block)
  end

  # Sends a request by its own method, with its own headers and body.
  def send(url, request, headers = nil, &block)
    unless request.is_a?(HTTP::Request)
      raise ArgumentError, "expected an HTTP::Request, got #{request.inspect}"
    end
    headers = headers ? (request.headers || {}).merge(headers) : request.headers
    __perform(request.method.to_s, url, headers, request.body, block)
  end

  class << self
    def get(url, headers = nil, &block)
      __shared.get(url, headers, &block)
    end

    def head(url, headers = nil, &block)
      __shared.head(url, headers, &block)
    end

    def delete(url, headers = nil, &block)
      __shared.delete(url, headers, &block)
    end

    def post(url, data, headers = nil, &block)
      __shared.post(url, data, headers, &block)
    end

    def put(url, data, headers = nil, &block)
      __shared.put(url, data, headers, &block)
    end

    def patch(url, data, headers = nil, &block)
      __shared.patch(url, data, headers, &block)
    end

    def send(url, request, headers = nil, &block)
      __shared.send(url, request, headers, &block)
    end

    def __shared
      @shared ||= new
    end
  end

  private

  # Returns the Response, or, where there is a block, yields (Response without a body, chunk) for
  # each piece and returns nil.
  def __perform(method, url, headers, body, block)
    raise TypeError, "expected a URL, got #{url.inspect}" unless url.is_a?(String)
    if url.bytes.any? { |byte| byte < 32 || byte == 127 }
      raise ArgumentError, "invalid URL: #{url[0, 80].inspect}"
    end
    body = HTTP::URL.encode_form(body) if body.is_a?(Hash)
    body = body.to_s unless body.nil?
    lines = __header_lines(FUSE::Outbox.__headers(method, headers, body))
    return __stream(method, url, lines, body, block) if block
    _, _, status, message, head, body = FUSE.__wait(:http, method, url, lines, body, __options(false))
    HTTP::Response.new(status, message, __headers_of(head), body)
  end

  def __stream(method, url, lines, body, block)
    stream = FUSE.__wait(:http_stream, method, url, lines, body, __options(true))
    response = nil
    # Two parts are a piece of the body, six are the end.
    while (parts = FUSE.__wait(:http_next, stream)).size == 2
      response ||= HTTP::Parser.new.parse_response(parts[0])
      block.call(response, parts[1])
    end
    nil
  ensure
    FUSE.__http_close(stream) if stream
  end

  def __headers_of(head)
    HTTP.__parse_headers(head[(head.index("\n") || -1) + 1..-1])
  end

  def __header_lines(headers)
    return [] if headers.nil?
    raise ArgumentError, "expected a Hash of headers, got #{headers.inspect}" unless headers.is_a?(Hash)
    headers.map do |name, value|
      line = "#{name}: #{value}"
      # To libcurl "Name:" takes a header away; the empty one is "Name;".
      line = "#{name};" if value.to_s.empty?
      unless HTTP.__header?(name.to_s, line)
        raise ArgumentError, "bad header: #{line[0, 80].inspect}"
      end
      line
    end
  end

  def __options(streaming)
    options = { http_version: self.HTTP_VERSION, verify_peer: __on?(Curl::SSL_VERIFYPEER) }
    options[:ca_info] = Curl::CAINFO unless Curl::CAINFO.nil?
    redirects = @follow_redirects.nil? ? Curl::FOLLOWLOCATION : @follow_redirects
    options[:follow_redirects] = __on?(redirects)
    seconds = __seconds(@timeout, @timeout_ms) || __seconds(Curl::TIMEOUT, Curl::TIMEOUT_MS)
    options[:timeout] = seconds if seconds
    if streaming && seconds.nil?
      options[:timeout] = 0
      options[:stall_timeout] = 60
    end
    options
  end

  def __seconds(seconds, milliseconds)
    milliseconds ? milliseconds / 1000.0 : seconds
  end

  def __on?(setting)
    setting && setting != 0 ? true : false
  end
end
