# Building blocks: pieces of a filesystem that a class may mix in or leave out.
#
#   FUSE::Tree      a tree of files from Strings and blocks, for filesystems of a few lines
#   FUSE::Inode     attributes that are kept, by the rules of POSIX for owners and times
#   FUSE::Xattrs    extended attributes that are kept
#   FUSE::Access    permission checks, for mounts without default_permissions
#   FUSE::Content   the bytes of a file that is kept in memory, with holes
#   FUSE::Usage     accounting for df, with limits and quotas
#
# Natives used: FUSE.now -> the time in seconds, to the nanosecond.

module FUSE
  # The attributes of a file and how they change. Include it in a class of one instance a file; a
  # file exists once `born` was called.
  module Inode
    attr_reader :st_mode, :st_uid, :st_gid, :st_rdev, :st_atime, :st_mtime, :st_ctime
    attr_accessor :st_nlink

    # A file is its own stat-like: what the class has of st_size, st_blocks, ... counts, too.
    def on_getattr
      self if @st_mode
    end

    # Makes the file exist: it belongs to the caller, and in a directory with the setgid bit to that
    # directory's group.
    def born(mode, parent = nil, rdev = 0)
      who = FUSE.context
      @st_uid, @st_gid = who.uid, who.gid
      if parent && parent.st_mode & S_ISGID != 0
        @st_gid = parent.st_gid
        mode |= S_ISGID if mode & S_IFMT == S_IFDIR
      end
      @st_nlink = mode & S_IFMT == S_IFDIR ? 2 : 1
      @st_mode, @st_rdev = mode, rdev
      modified
      @st_atime = @st_mtime
    end

    def directory?
      @st_mode & S_IFMT == S_IFDIR
    end

    # To be called when the content was read. Only the first read after a change counts, as with the
    # mount option relatime.
    def accessed
      return unless @is_unread
      @st_atime = FUSE.now
      @is_unread = false
    end

    # To be called when the content has changed, or the names in a directory.
    def modified
      @st_mtime = @st_ctime = FUSE.now
      @is_unread = true
    end

    # To be called when only attributes have changed, or the number of names.
    def changed
      @st_ctime = FUSE.now
      @is_unread = true
    end

    def on_chmod(mode)
      @st_mode = @st_mode & S_IFMT | mode & 07777
      changed
      0
    end

    def on_chown(uid, gid)
      @st_uid, @st_gid = uid, gid
      changed
      0
    end

    def on_utimens(atime, mtime)
      @st_atime = atime if atime
      @st_mtime = mtime if mtime
      changed
      0
    end
  end

  # Extended attributes. The kernel has checked the permissions.
  module Xattrs
    # Not "system.": to store an access control list would not make it count.
    NAMESPACES = ["user.", "trusted.", "security."]

    def on_setxattr(name, value, flags)
      return -Errno::EOPNOTSUPP::Errno unless NAMESPACES.any? { |space| name.start_with?(space) }
      @xattrs ||= {}
      return -Errno::EEXIST::Errno if flags & XATTR_CREATE != 0 && @xattrs.key?(name)
      return -Errno::ENODATA::Errno if flags & XATTR_REPLACE != 0 && !@xattrs.key?(name)
      @xattrs[name] = value
      changed
      0
    end

    def on_getxattr(name)
      @xattrs && @xattrs[name]
    end

    def on_listxattr
      @xattrs ? @xattrs.keys : []
    end

    def on_removexattr(name)
      return -Errno::ENODATA::Errno unless @xattrs && @xattrs.delete(name)
      changed
      0
    end
  end

  # Permission bits, for a class whose instances have st_mode, st_uid and st_gid. By default the
  # kernel checks them (FUSE.default_permissions); a filesystem that switches that off checks here.
  module Access
    # Whether the caller may do all of `mask` (R_OK | W_OK | X_OK). Only its first group is known.
    def allowed?(mask, who = FUSE.context)
      return mask & X_OK == 0 || directory? || st_mode & 0111 != 0 if who.uid == 0
      bits = who.uid == st_uid ? st_mode >> 6 : who.gid == st_gid ? st_mode >> 3 : st_mode
      bits & mask == mask
    end

    def on_access(mask)
      allowed?(mask) ? 0 : -Errno::EACCES::Errno
    end
  end

  # The content of a file, in pages; a page that nothing was written to is not there. A page may be
  # shorter than PAGE: what is missing at its end are zeros.
  #
  # `payer.charge(bytes)` is told of every byte that is taken (or, negative, given back) before it
  # is, and refuses by raising Errno::ENOSPC or Errno::EDQUOT.
  class Content
    PAGE = 64 * 1024
    # Also what stands for a page that is reserved and still empty.
    ZEROS = ("\0" * PAGE).freeze
    # Where no file reaches to.
    FOREVER = (1 << 62) - 1 + (1 << 62)

    # The length of the file, and how much of it is there.
    attr_reader :size, :bytes

    def initialize(payer)
      @payer = payer
      @pages = {}
      @size = @bytes = 0
    end

    def read(size, offset)
      size = @size - offset if size > @size - offset
      whole = nil
      each_piece(offset, size) do |index, start, count, _done|
        piece = @pages[index]
        piece = piece ? piece[start, count] || "" : ""
        piece += ZEROS[0, count - piece.size] if piece.size < count
        return piece if count == size
        whole ? whole << piece : whole = piece.dup
      end
      whole || ""
    end

    # Writes as much as there is room for, and returns how much that was. The String is kept: it must
    # not be changed afterwards.
    def write(data, offset)
      written = 0
      each_piece(offset, data.size) do |index, start, count, done|
        put(index, start, count == data.size ? data : data[done, count])
        written += count
        @size = offset + written if @size < offset + written
      end
      written
    rescue Errno::ENOSPC, Errno::EDQUOT => error
      raise error if written == 0
      written
    end

    def truncate(size)
      cut(size, FOREVER)
      @size = size
    end

    # Makes a hole; pages that are wholly inside of it are given back.
    def erase(offset, length)
      cut(offset, offset + length)
    end

    # Sees to it that writing to this range will not run out of room.
    def reserve(offset, length)
      first, last = offset / PAGE, (offset + length - 1) / PAGE
      missing = (last - first + 1) * PAGE
      there = pages_between(first, last)
      there.each { |index| missing -= @pages[index].size }
      charge(missing)
      there.each { |index| fill(index, PAGE) }
      first.upto(last) { |index| @pages[index] ||= ZEROS }
    end

    # Where data (SEEK_DATA) or a hole (SEEK_HOLE) begins, from an offset on; nil if nowhere.
    def seek(offset, whence)
      return nil unless offset.between?(0, @size - 1)
      index = offset / PAGE
      index = whence == SEEK_DATA ? next_data(index) : next_hole(index)
      return whence == SEEK_HOLE ? @size : nil if index.nil? || index * PAGE >= @size
      index * PAGE > offset ? index * PAGE : offset
    end

    private

    # Yields (page, start in it, count, bytes before) for each page that a range touches.
    def each_piece(offset, size)
      done = 0
      while done < size
        start = (offset + done) % PAGE
        count = PAGE - start
        count = size - done if count > size - done
        yield (offset + done) / PAGE, start, count, done
        done += count
      end
    end

    def put(index, start, piece)
      page = @pages[index]
      finish = start + piece.size
      charge(finish - (page ? page.size : 0)) if !page || page.size < finish
      return @pages[index] = piece if start == 0 && (!page || page.size <= finish)
      fill(index, start)
      page = @pages[index]
      page = @pages[index] = page.dup if page.frozen?
      page[start, piece.size] = piece
    end

    # Makes everything from an offset up to another zeros.
    def cut(offset, finish)
      pages_between(offset / PAGE, (finish - 1) / PAGE).each do |index|
        page = @pages[index]
        first = offset - index * PAGE
        first = 0 if first < 0
        last = finish - index * PAGE
        if last >= page.size
          resize(index, first) if first < page.size
        elsif !page.equal?(ZEROS)
          put(index, first, ZEROS[0, last - first])
        end
      end
    end

    # Makes a page at least so long.
    def fill(index, size)
      page = @pages[index]
      if page.nil?
        @pages[index] = ZEROS[0, size]
      elsif page.size < size
        page << ZEROS[0, size - page.size]
      end
    end

    # Cuts a page off. Its memory is given back at once, not when the collector comes by.
    def resize(index, size)
      page = @pages[index]
      charge(size - page.size)
      if size == 0
        @pages.delete(index)
        page.replace("") unless page.frozen?
      elsif page.frozen?
        @pages[index] = page[0, size]
      else
        page[size, page.size - size] = ""
      end
    end

    def charge(bytes)
      @payer.charge(bytes) if bytes != 0
      @bytes += bytes
    end

    # The numbers of the pages that there are in a range, however large it is.
    def pages_between(first, last)
      if last - first < @pages.size
        (first..last).select { |index| @pages.key?(index) }
      else
        @pages.keys.select { |index| first <= index && index <= last }
      end
    end

    def data?(index)
      page = @pages[index]
      page && !page.equal?(ZEROS)
    end

    def next_data(index)
      # Step by step at first; where the hole is wide, by looking at every page.
      @pages.size.times { |step| return index + step if data?(index + step) }
      @pages.keys.select { |page| page > index && data?(page) }.min
    end

    def next_hole(index)
      index += 1 while data?(index)
      index
    end
  end

  # What is used of a filesystem, in all and by each user, and how much of it may be. The limits are
  # numbers of bytes and of inodes; nil is none. Root has no quota.
  class Usage
    BLOCK = 4096
    attr_reader :bytes, :inodes

    def initialize(bytes: nil, inodes: nil, user_bytes: nil, user_inodes: nil)
      @most_bytes, @most_inodes = bytes, inodes
      @user_bytes, @user_inodes = user_bytes, user_inodes
      @bytes = @inodes = 0
      @users = {}
    end

    # Takes bytes and inodes for a user, or gives them back where they are negative. Raises
    # Errno::ENOSPC or Errno::EDQUOT, and then takes nothing.
    def charge(uid, bytes, inodes = 0)
      raise Errno::ENOSPC if over?(@bytes, bytes, @most_bytes) || over?(@inodes, inodes, @most_inodes)
      own = @users[uid] ||= [0, 0]
      if uid != 0 && (over?(own[0], bytes, @user_bytes) || over?(own[1], inodes, @user_inodes))
        raise Errno::EDQUOT
      end
      @bytes += bytes
      @inodes += inodes
      own[0] += bytes
      own[1] += inodes
    end

    # A result for on_statfs.
    def statfs
      blocks = (@most_bytes || 1 << 50) / BLOCK
      files = @most_inodes || 1 << 32
      {
        f_bsize: BLOCK, f_frsize: BLOCK, f_blocks: blocks, f_namemax: 255,
        f_bfree: blocks - (@bytes + BLOCK - 1) / BLOCK, f_files: files, f_ffree: files - @inodes
      }
    end

    private

    def over?(used, more, most)
      most && more > 0 && used + more > most
    end
  end
end

module FUSE
  # A tree that is written down: directories, files from a String or a block, and symbolic links.
  #
  #   class Greeter < FUSE::Tree
  #     file "hello", "Hello!\n"
  #     file("time") { "#{Time.now}\n" }
  #     directory "more" do
  #       symlink "hello", "../hello"
  #       file("shout", 0200).written { |text| puts text.upcase }
  #     end
  #   end
  #   FUSE.run Greeter
  #
  # A block is called anew each time that the file is read. Methods of the class may be overridden; a
  # path that is not in the tree is asked for as usual, and does not exist.
  class Tree
    # One thing in the tree.
    class Entry
      attr_reader :mode, :children, :target
      attr_accessor :source, :writer

      def initialize(mode)
        @mode = mode
        @children = {} if mode & S_IFMT == S_IFDIR
      end

      def symlink_to(target)
        @target = target
        self
      end

      # The content as it is now.
      def content
        @source.respond_to?(:call) ? @source.call.to_s : @source.to_s
      end

      # What to do with what is written to the file: the block is called with the whole content, when
      # the file is closed.
      def written(&block)
        @writer = block
        self
      end

      def stat
        case @mode & S_IFMT
        when S_IFDIR then Stat.new(@mode, 2 + @children.count { |_name, child| child.children })
        when S_IFLNK then Stat.new(@mode, 1, @target.size)
        # What a block will say is not known before it is asked.
        else Stat.new(@mode, 1, @source.respond_to?(:call) ? nil : @source.to_s.size)
        end
      end
    end

    class << self
      # The entry of the root; a class below this one has a tree of its own.
      def root
        @root ||= Entry.new(S_IFDIR | 0755)
      end

      # A file with this content, or with what the block returns each time it is read.
      def file(name, content = nil, mode = nil, &block)
        content, mode = nil, content if content.is_a?(Integer)
        entry = place(name, Entry.new(S_IFREG | (mode || 0444)))
        entry.source = block || content
        entry
      end

      def directory(name, mode = 0755)
        outer = @directory
        entry = here.children[name] || place(name, Entry.new(S_IFDIR | mode))
        @directory = entry
        yield if block_given?
        entry
      ensure
        @directory = outer
      end

      def symlink(name, target)
        place(name, Entry.new(S_IFLNK | 0777).symlink_to(target))
      end

      # The entry at a path; nil where there is none.
      def find(path)
        path.split("/").inject(root) do |entry, name|
          next entry if name.empty?
          entry && entry.children && entry.children[name]
        end
      end

      private

      def here
        @directory || root
      end

      def place(name, entry)
        here.children[name] = entry
      end
    end

    attr_accessor :path

    def initialize(path, *_args)
      @path = path
    end

    # Looked up each time, so that a tree may change while it is mounted.
    def entry
      self.class.find(@path)
    end

    def on_getattr
      found = entry
      found && found.stat
    end

    def on_readdir
      entry.children.map { |name, child| [name, child.stat] }
    end

    def on_readlink
      entry.target
    end

    def on_read_all
      entry.content
    end

    def on_open(flags)
      return 0 if flags & O_ACCMODE == O_RDONLY || entry.writer
      -Errno::EACCES::Errno
    end

    def on_write_all(text)
      entry.writer.call(text)
      0
    end
  end
end
