// A filesystem in memory in C++, on libfuse's low-level API and its single-threaded loop: what
// Examples/memfs.rb is compared with by `Scripts/benchmark --commands`. Time-outs are as there: libfuse's
// own, of one second.

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr double timeout = 1.0;
constexpr off_t largest = off_t{8} << 30;

timespec now() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

// A file of any kind. It lives while it has a name, or the kernel or a listing knows of it.
struct Node {
  struct stat stat {};
  std::map<std::string, Node *> entries; // of a directory
  Node *parent = nullptr;
  std::string content; // of a file; the target of a link
  uint64_t uses = 0;   // look-ups of the kernel, and listings

  bool is_directory() const { return S_ISDIR(stat.st_mode); }

  void changed() { stat.st_ctim = now(); }
  void modified() { stat.st_mtim = stat.st_ctim = now(); }

  void resize(off_t size) {
    content.resize(static_cast<size_t>(size));
    stat.st_size = size;
    stat.st_blocks = (size + 511) / 512;
  }
};

// A directory as it was opened.
struct Listing {
  Node *directory;
  std::vector<std::pair<std::string, Node *>> names;
};

Node root;
ino_t last_inode = FUSE_ROOT_ID;

Node *node_of(fuse_ino_t ino) { return ino == FUSE_ROOT_ID ? &root : reinterpret_cast<Node *>(ino); }
fuse_ino_t number_of(Node *node) {
  return node == &root ? FUSE_ROOT_ID : reinterpret_cast<fuse_ino_t>(node);
}

void drop(Node *node, uint64_t uses = 0) {
  node->uses -= std::min(uses, node->uses);
  if (node->uses == 0 && node->stat.st_nlink == 0) delete node;
}

fuse_entry_param entry_of(Node *node) {
  fuse_entry_param entry{};
  entry.ino = number_of(node);
  entry.attr = node->stat;
  entry.attr_timeout = entry.entry_timeout = timeout;
  return entry;
}

Node *find(Node *directory, const char *name) {
  auto found = directory->entries.find(name);
  return found == directory->entries.end() ? nullptr : found->second;
}

void reply(fuse_req_t request, Node *node) {
  fuse_entry_param entry = entry_of(node);
  node->uses++;
  if (fuse_reply_entry(request, &entry) != 0) drop(node, 1);
}

void reply_attributes(fuse_req_t request, Node *node) {
  fuse_reply_attr(request, &node->stat, timeout);
}

// Makes a file under a name; nullptr, and a reply, where there is one already.
Node *make(fuse_req_t request, fuse_ino_t parent_ino, const char *name, mode_t mode, dev_t device) {
  Node *parent = node_of(parent_ino);
  if (find(parent, name)) {
    fuse_reply_err(request, EEXIST);
    return nullptr;
  }
  const fuse_ctx *context = fuse_req_ctx(request);
  Node *node = new Node;
  node->stat.st_ino = ++last_inode;
  node->stat.st_mode = mode;
  node->stat.st_nlink = S_ISDIR(mode) ? 2 : 1;
  node->stat.st_uid = context->uid;
  node->stat.st_gid = context->gid;
  node->stat.st_rdev = device;
  node->stat.st_blksize = 4096;
  if (parent->stat.st_mode & S_ISGID) {
    node->stat.st_gid = parent->stat.st_gid;
    if (S_ISDIR(mode)) node->stat.st_mode |= S_ISGID;
  }
  node->modified();
  node->stat.st_atim = node->stat.st_mtim;
  node->parent = parent;
  parent->entries[name] = node;
  if (S_ISDIR(mode)) parent->stat.st_nlink++;
  parent->modified();
  return node;
}

// Takes a name away.
void leave(Node *parent, const char *name, Node *node) {
  parent->entries.erase(name);
  if (node->is_directory()) parent->stat.st_nlink--;
  if (node->is_directory()) node->parent = node;
  node->stat.st_nlink = node->is_directory() ? 0 : node->stat.st_nlink - 1;
  node->changed();
  parent->modified();
  drop(node);
}

// MARK: Names

void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
  Node *node = find(node_of(parent), name);
  if (!node) fuse_reply_err(request, ENOENT);
  else reply(request, node);
}

void on_forget(fuse_req_t request, fuse_ino_t ino, uint64_t lookups) {
  drop(node_of(ino), lookups);
  fuse_reply_none(request);
}

void on_forget_multi(fuse_req_t request, size_t count, fuse_forget_data *forgets) {
  for (size_t i = 0; i < count; i++) drop(node_of(forgets[i].ino), forgets[i].nlookup);
  fuse_reply_none(request);
}

void on_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device) {
  if (Node *node = make(request, parent, name, mode, device)) reply(request, node);
}

void on_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode) {
  if (Node *node = make(request, parent, name, S_IFDIR | mode, 0)) reply(request, node);
}

void on_symlink(fuse_req_t request, const char *target, fuse_ino_t parent, const char *name) {
  Node *node = make(request, parent, name, S_IFLNK | 0777, 0);
  if (!node) return;
  node->content = target;
  node->stat.st_size = static_cast<off_t>(node->content.size());
  reply(request, node);
}

void on_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
               fuse_file_info *info) {
  Node *node = make(request, parent, name, S_IFREG | mode, 0);
  if (!node) return;
  fuse_entry_param entry = entry_of(node);
  node->uses++;
  if (fuse_reply_create(request, &entry, info) != 0) drop(node, 1);
}

void on_unlink(fuse_req_t request, fuse_ino_t parent, const char *name) {
  Node *node = find(node_of(parent), name);
  if (node) leave(node_of(parent), name, node);
  fuse_reply_err(request, node ? 0 : ENOENT);
}

void on_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name) {
  Node *node = find(node_of(parent), name);
  int error = !node ? ENOENT : !node->entries.empty() ? ENOTEMPTY : 0;
  if (error == 0) leave(node_of(parent), name, node);
  fuse_reply_err(request, error);
}

void on_link(fuse_req_t request, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name) {
  Node *node = node_of(ino), *parent = node_of(new_parent);
  if (find(parent, new_name)) return void(fuse_reply_err(request, EEXIST));
  parent->entries[new_name] = node;
  parent->modified();
  node->stat.st_nlink++;
  node->changed();
  reply(request, node);
}

void on_rename(fuse_req_t request, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags) {
  Node *from = node_of(parent), *to = node_of(new_parent);
  Node *node = find(from, name), *other = find(to, new_name);
  int error = flags & ~RENAME_NOREPLACE        ? EINVAL
              : !node                          ? ENOENT
              : other && flags                 ? EEXIST
              : other && !other->entries.empty() ? ENOTEMPTY
                                               : 0;
  if (error != 0 || node == other) return void(fuse_reply_err(request, error));
  if (other) leave(to, new_name, other);
  from->entries.erase(name);
  to->entries[new_name] = node;
  if (node->is_directory()) from->stat.st_nlink--, to->stat.st_nlink++;
  node->parent = to;
  node->changed();
  from->modified();
  to->modified();
  fuse_reply_err(request, 0);
}

void on_readlink(fuse_req_t request, fuse_ino_t ino) {
  fuse_reply_readlink(request, node_of(ino)->content.c_str());
}

// MARK: Attributes

void on_getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info *) {
  reply_attributes(request, node_of(ino));
}

void on_setattr(fuse_req_t request, fuse_ino_t ino, struct stat *wanted, int which, fuse_file_info *) {
  Node *node = node_of(ino);
  if (which & FUSE_SET_ATTR_SIZE && wanted->st_size > largest)
    return void(fuse_reply_err(request, EFBIG));
  if (which & FUSE_SET_ATTR_MODE)
    node->stat.st_mode = (node->stat.st_mode & S_IFMT) | (wanted->st_mode & ~S_IFMT);
  if (which & FUSE_SET_ATTR_UID) node->stat.st_uid = wanted->st_uid;
  if (which & FUSE_SET_ATTR_GID) node->stat.st_gid = wanted->st_gid;
  if (which & FUSE_SET_ATTR_SIZE) {
    node->resize(wanted->st_size);
    node->modified();
  }
  if (which & FUSE_SET_ATTR_ATIME_NOW) node->stat.st_atim = now();
  else if (which & FUSE_SET_ATTR_ATIME) node->stat.st_atim = wanted->st_atim;
  if (which & FUSE_SET_ATTR_MTIME_NOW) node->stat.st_mtim = now();
  else if (which & FUSE_SET_ATTR_MTIME) node->stat.st_mtim = wanted->st_mtim;
  node->changed();
  reply_attributes(request, node);
}

void on_statfs(fuse_req_t request, fuse_ino_t) {
  struct statvfs statistics {};
  statistics.f_bsize = statistics.f_frsize = 4096;
  statistics.f_blocks = statistics.f_bfree = statistics.f_bavail = largest / 4096;
  statistics.f_files = statistics.f_ffree = 1 << 20;
  statistics.f_namemax = 255;
  fuse_reply_statfs(request, &statistics);
}

// MARK: Content

void on_open(fuse_req_t request, fuse_ino_t, fuse_file_info *info) { fuse_reply_open(request, info); }

void on_read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info *) {
  Node *node = node_of(ino);
  node->stat.st_atim = now();
  size_t start = std::min(static_cast<size_t>(offset), node->content.size());
  fuse_reply_buf(request, node->content.data() + start, std::min(size, node->content.size() - start));
}

void on_write(fuse_req_t request, fuse_ino_t ino, const char *data, size_t size, off_t offset,
              fuse_file_info *) {
  Node *node = node_of(ino);
  off_t end = offset + static_cast<off_t>(size);
  if (end > largest) return void(fuse_reply_err(request, EFBIG));
  if (end > node->stat.st_size) {
    size_t room = node->content.capacity();
    if (static_cast<size_t>(end) > room) node->content.reserve(std::max(2 * room, size_t(end)));
    node->resize(end);
  }
  memcpy(node->content.data() + offset, data, size);
  node->modified();
  fuse_reply_write(request, size);
}

// MARK: Directories

void on_opendir(fuse_req_t request, fuse_ino_t ino, fuse_file_info *info) {
  Node *directory = node_of(ino);
  auto *listing = new Listing{directory, {{".", directory}, {"..", directory->parent}}};
  for (auto &[name, node] : directory->entries) listing->names.emplace_back(name, node);
  for (auto &[name, node] : listing->names) node->uses++;
  info->fh = reinterpret_cast<uint64_t>(listing);
  fuse_reply_open(request, info);
}

void list(fuse_req_t request, size_t size, off_t offset, fuse_file_info *info, bool with_entries) {
  auto *listing = reinterpret_cast<Listing *>(info->fh);
  std::string buffer(size, '\0');
  std::vector<Node *> given;
  size_t used = 0;
  for (size_t i = static_cast<size_t>(offset); i < listing->names.size(); i++) {
    auto &[name, node] = listing->names[i];
    off_t next = static_cast<off_t>(i) + 1;
    fuse_entry_param entry = entry_of(node);
    char *place = buffer.data() + used;
    size_t needed = with_entries
      ? fuse_add_direntry_plus(request, place, size - used, name.c_str(), &entry, next)
      : fuse_add_direntry(request, place, size - used, name.c_str(), &entry.attr, next);
    if (needed > size - used) break;
    used += needed;
    if (with_entries && i >= 2) node->uses++, given.push_back(node);
  }
  if (fuse_reply_buf(request, buffer.data(), used) == 0) return;
  for (Node *node : given) drop(node, 1);
}

void on_readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info *info) {
  list(request, size, offset, info, false);
}

void on_readdirplus(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info *info) {
  list(request, size, offset, info, true);
}

void on_releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info *info) {
  auto *listing = reinterpret_cast<Listing *>(info->fh);
  for (auto &[name, node] : listing->names) drop(node, 1);
  delete listing;
  fuse_reply_err(request, 0);
}

fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops table{};
  table.lookup = on_lookup;
  table.forget = on_forget;
  table.forget_multi = on_forget_multi;
  table.getattr = on_getattr;
  table.setattr = on_setattr;
  table.readlink = on_readlink;
  table.mknod = on_mknod;
  table.mkdir = on_mkdir;
  table.symlink = on_symlink;
  table.create = on_create;
  table.unlink = on_unlink;
  table.rmdir = on_rmdir;
  table.link = on_link;
  table.rename = on_rename;
  table.open = on_open;
  table.read = on_read;
  table.write = on_write;
  table.opendir = on_opendir;
  table.readdir = on_readdir;
  table.readdirplus = on_readdirplus;
  table.releasedir = on_releasedir;
  table.statfs = on_statfs;
  return table;
}

} // namespace

int main(int argc, char *argv[]) {
  fuse_args arguments = FUSE_ARGS_INIT(argc - 1, argv);
  const char *mountpoint = argv[argc - 1];
  root.stat.st_ino = FUSE_ROOT_ID;
  root.stat.st_mode = S_IFDIR | 0755;
  root.stat.st_nlink = 2;
  root.stat.st_uid = getuid();
  root.stat.st_gid = getgid();
  root.parent = &root;
  root.modified();
  fuse_lowlevel_ops table = operations();
  fuse_session *session = fuse_session_new(&arguments, &table, sizeof table, nullptr);
  if (!session || fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, mountpoint) != 0)
    return 1;
  int status = fuse_session_loop(session);
  fuse_session_unmount(session);
  fuse_remove_signal_handlers(session);
  fuse_session_destroy(session);
  fuse_opt_free_args(&arguments);
  return status == 0 ? 0 : 1;
}
