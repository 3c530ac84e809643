import ArgumentParser

/// What a new script can begin with.
enum Template: String, ExpressibleByArgument, CaseIterable {
  case hello, webhook, memory

  /// The script for a class of that name.
  func source(className: String, file: String, name: String) -> String {
    let head = """
      # \(file): \(purpose)
      #
      #   fusuma --watch \(file) /tmp/\(name)
      #
      # One instance of the class stands for each path. `fusuma check \(file)` looks for mistakes, and
      # FUSE.help lists all hooks.

      """
    return head + body.replacing("CLASS", with: className) + "\nFUSE.run \(className)\n"
  }

  /// Whether the script has a constant of that name besides its class.
  func assigns(constant name: String) -> Bool { body.contains("\n\(name) = ") }

  private var purpose: String {
    switch self {
    case .hello: "a directory with a file in it"
    case .webhook: "what is written to a file is sent to a web server"
    case .memory: "files and directories that are kept in memory"
    }
  }

  private var body: String {
    switch self {
    case .hello: Template.helloBody
    case .webhook: Template.webhookBody
    case .memory: Template.memoryBody
    }
  }

  private static let helloBody = #"""

    class CLASS
      FILES = {
        "/hello" => "Hello from Ruby!\n",
        "/now" => nil
      }

      def initialize(path)
        @path = path
      end

      # What is at this path? nil is "no such file".
      def on_getattr
        return FUSE::Stat.directory if @path == "/"
        return nil unless FILES.key?(@path)
        # A size of nil is one that is not known before the file is read.
        FUSE::Stat.file(FILES[@path] && FILES[@path].size, 0444)
      end

      # The names in the directory.
      def on_readdir
        FILES.keys.map { |path| path[1..-1] }
      end

      # The whole content of the file.
      def on_read_all
        FILES[@path] || "#{Time.now}\n"
      end
    end

    """#

  private static let webhookBody = #"""

    # Where to, and how: WEBHOOK=https://example.com/hook fusuma ...
    URL = ENV["WEBHOOK"] || "http://localhost:8080/"

    class CLASS
      def initialize(path)
        @path = path
        @last = ""
      end

      # One file, which everybody may write to. Reading it tells what came of the last write.
      def on_getattr
        return FUSE::Stat.directory if @path == "/"
        FUSE::Stat.file(@last.size, 0622) if @path == "/notify"
      end

      def on_readdir
        ["notify"]
      end

      def on_read_all
        @last
      end

      # Everything that was written, once: when the file is closed. What is raised here is the error
      # that the writer sees. Other files are served while the server takes its time.
      def on_write_all(text)
        headers = { "Content-Type" => "application/json" }
        response = Curl.post(URL, { text: text.chomp }.to_json, headers)
        @last = "#{response.status_code} #{response.message}\n"
        raise Errno::EREMOTEIO unless response.status_code.between?(200, 299)
      rescue RuntimeError => error
        # No answer at all: libcurl says why.
        @last = "#{error.message}\n"
        raise Errno::EHOSTUNREACH
      end
    end

    """#

  private static let memoryBody = #"""

    class CLASS
      def initialize(path)
        @path = path
        # The root directory is there from the beginning; everything else has to be made.
        @mode = path == "/" ? FUSE::S_IFDIR | 0755 : nil
        @content = ""
      end

      # The names in this directory: the instances that exist are FUSE.pool, by their paths.
      def on_readdir
        prefix = @path == "/" ? "/" : @path + "/"
        FUSE.pool.keys.select { |path|
          path != "/" && path.start_with?(prefix) && !path[prefix.size..-1].include?("/")
        }.map { |path| path[prefix.size..-1] }
      end

      # nil, while nobody has made it, is "no such file": the instance then goes again.
      def on_getattr
        @mode && FUSE::Stat.new(@mode, nil, @content.size)
      end

      # Making: the instance for the new path is asked to become a file, or a directory.
      def on_mknod(mode)
        @mode = mode
        0
      end

      def on_mkdir(mode)
        @mode = mode
        0
      end

      def on_read(size, offset)
        @content[offset, size] || ""
      end

      def on_write(data, offset)
        @content << "\0" * (offset - @content.size) if offset > @content.size
        @content[offset, data.size] = data
        data.size
      end

      def on_truncate(size)
        @content = size > @content.size ? @content + "\0" * (size - @content.size) : @content[0, size]
        0
      end

      def on_chmod(mode)
        @mode = (@mode & FUSE::S_IFMT) | (mode & 07777)
        0
      end

      # Removing: the instance goes when this has answered 0.
      def on_unlink
        0
      end

      def on_rmdir
        on_readdir.empty? ? 0 : -Errno::ENOTEMPTY::Errno
      end

      # Renaming: the instance stays, and is told its new path.
      def on_rename(new_path)
        0
      end

      def path=(path)
        @path = path
      end
    end

    """#
}

extension String {
  fileprivate func replacing(_ word: String, with other: String) -> String {
    var rest = self[...]
    var result = ""
    while let range = rest.firstRange(of: word) {
      result += rest[..<range.lowerBound] + other
      rest = rest[range.upperBound...]
    }
    return result + rest
  }
}
