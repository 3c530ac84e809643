# A complete POSIX filesystem in memory.
#
#   fusuma Examples/memfs.rb /mnt [-o allow_other] [-- size=1G inodes=100000 user_size=100M ...]
#
# One instance is one file, by whatever names it has. What most filesystems have in common comes from
# the building blocks: FUSE::Inode keeps attributes, by POSIX's rules for owners and times;
# FUSE::Xattrs keeps extended attributes; FUSE::Content is a file's bytes, with holes; FUSE::Usage
# counts them for df, and refuses what is over a limit.

class MemFS
  include FUSE::Inode
  include FUSE::Xattrs

  # What an inode itself is counted as, in bytes, with its name and attributes.
  INODE = 512

  attr_accessor :path
  # A directory's files by their names; nil for anything else.
  attr_reader :entries

  # An instance is made for any path that is asked for. Only the root exists from the beginning.
  def initialize(path, usage)
    @path, @usage = path, usage
    @opens = 0
    make_root if path == "/"
  end

  # MARK: Attributes

  def st_size
    case
    when @content then @content.size
    when @target then @target.size
    else 0
    end
  end

  def st_blocks
    @content ? (@content.bytes + 511) / 512 : 0
  end

  def on_chown(uid, gid)
    if uid != st_uid
      taken = INODE + (@content ? @content.bytes : 0)
      @usage.charge(uid, taken, 1)
      @usage.charge(st_uid, -taken, -1)
    end
    super
  end

  def on_statfs
    @usage.statfs
  end

  # MARK: Making files. The instance is that of the new path.

  def on_mkdir(mode)
    make { |parent| become_directory(mode, parent) }
  end

  # Regular files, FIFOs, sockets, devices.
  def on_mknod(mode, rdev)
    make do |parent|
      born(mode, parent, rdev)
      @content = FUSE::Content.new(self) if mode & S_IFMT == S_IFREG
    end
  end

  def on_symlink(target)
    make do |parent|
      born(S_IFLNK | 0777, parent)
      @target = target
    end
  end

  def on_readlink
    @target
  end

  # MARK: Names

  def on_readdir
    accessed
    @entries
  end

  def on_link(new_path)
    parent, name = locate(new_path)
    parent.enter(name, self)
    @st_nlink += 1
    changed
    0
  end

  def on_unlink(path)
    parent, name = locate(path)
    parent.leave(name)
    lose_name
    0
  end

  def on_rmdir
    return -Errno::ENOTEMPTY::Errno unless @entries.empty?
    on_unlink(@path)
  end

  def on_rename(new_path, flags, old_path)
    old_parent, old_name = locate(old_path)
    new_parent, new_name = locate(new_path)
    exchange = flags & RENAME_EXCHANGE != 0
    other = new_parent.entries[new_name]
    if other
      return -Errno::EEXIST::Errno if flags & RENAME_NOREPLACE != 0
      return -Errno::ENOTEMPTY::Errno unless exchange || !other.entries || other.entries.empty?
    elsif exchange
      return -Errno::ENOENT::Errno
    end
    return -Errno::EINVAL::Errno if flags & RENAME_WHITEOUT != 0

    old_parent.leave(old_name)
    new_parent.leave(new_name) if other
    new_parent.enter(new_name, self)
    if exchange
      old_parent.enter(old_name, other)
      other.changed
    elsif other
      other.lose_name
    end
    changed
    0
  end

  # MARK: Content

  # The content of a file that has lost its last name stays for those who have it open.
  def on_open(_flags)
    @opens += 1
    0
  end

  def on_release
    @opens -= 1
    forget if @opens == 0 && @st_nlink == 0
    0
  end

  def on_read(size, offset)
    accessed
    @content.read(size, offset)
  end

  def on_write(data, offset)
    count = @content.write(data, offset)
    modified
    count
  end

  def on_truncate(size)
    @content.truncate(size)
    modified
    0
  end

  def on_fallocate(mode, offset, length)
    erases = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) != 0
    keeps_size = mode & FALLOC_FL_KEEP_SIZE != 0
    known = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE
    return -Errno::EOPNOTSUPP::Errno if mode & ~known != 0
    @content.erase(offset, length) if erases
    @content.reserve(offset, length) if mode & FALLOC_FL_PUNCH_HOLE == 0
    @content.truncate(offset + length) unless keeps_size || offset + length <= @content.size
    modified
    0
  end

  def on_lseek(offset, whence)
    @content.seek(offset, whence) || -Errno::ENXIO::Errno
  end

  # What the content takes is counted as the owner's.
  def charge(bytes)
    @usage.charge(st_uid, bytes)
  end

  # MARK: What instances do to each other

  # Puts a file into a directory.
  def enter(name, file)
    @entries[name] = file
    @st_nlink += 1 if file.directory?
    modified
  end

  # Takes one out of it.
  def leave(name)
    file = @entries.delete(name)
    @st_nlink -= 1 if file.directory?
    modified
  end

  # One name less; with the last one the file goes, unless somebody has it open.
  def lose_name
    @st_nlink = directory? ? 0 : @st_nlink - 1
    changed
    forget if @st_nlink == 0 && @opens == 0
  end

  private

  # The directory that a path is in, and its name there.
  def locate(path)
    slash = path.rindex("/")
    [FUSE.find_or_create_instance_by_path(path[0, slash]), path[slash + 1, path.size]]
  end

  def make
    parent, name = locate(@path)
    @usage.charge(FUSE.context.uid, INODE, 1)
    yield parent
    parent.enter(name, self)
    0
  end

  def make_root
    become_directory(S_IFDIR | 0755)
    @usage.charge(st_uid, INODE, 1)
  end

  def become_directory(mode, parent = nil)
    born(mode, parent)
    @entries = {}
  end

  def forget
    @content.truncate(0) if @content
    @usage.charge(st_uid, -INODE, -1)
  end
end

# "size=64M" and the like, behind the script's own `--`.
LIMITS = { "size" => :bytes, "inodes" => :inodes, "user_size" => :user_bytes, "user_inodes" => :user_inodes }
UNITS = { "K" => 1 << 10, "M" => 1 << 20, "G" => 1 << 30 }

limits = { bytes: 4 << 30, inodes: 1 << 20 }
ARGV.each do |argument|
  name, number = argument.split("=")
  abort "memfs.rb: no such limit: #{argument} (there are #{LIMITS.keys.join(", ")})" unless LIMITS[name]
  limits[LIMITS[name]] = number.to_i * (UNITS[number[-1]] || 1)
end

exit FUSE.run(MemFS, FUSE::Usage.new(**limits))
