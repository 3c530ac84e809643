// The floor that the benchmark measures against: a filesystem on libfuse's high-level API that does
// the least a C program can, in the manner of libfuse's own hello example. bench.rb is the same
// filesystem as a script; the two must answer alike.
//
//   /hello           13 bytes
//   /large           64 MiB of x
//   /sink            takes what is written, and remembers only its size
//   /many/name-NNNN  1000 files, each like /hello

#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char hello[] = "Hello World!\n";
enum { hello_size = sizeof hello - 1, block_size = 1 << 20, large_size = 64 << 20, names = 1000 };

static char block[block_size];
static off_t sink_size;
static uid_t user;
static gid_t group;

enum file { none, top, many, hello_file, large_file, sink_file };

static enum file find(const char *path) {
  if (strcmp(path, "/") == 0) return top;
  if (strcmp(path, "/hello") == 0) return hello_file;
  if (strcmp(path, "/large") == 0) return large_file;
  if (strcmp(path, "/sink") == 0) return sink_file;
  if (strcmp(path, "/many") == 0) return many;
  if (strncmp(path, "/many/name-", 11) != 0 || strlen(path + 11) != 4) return none;
  return strspn(path + 11, "0123456789") == 4 ? hello_file : none;
}

static void *floor_init(struct fuse_conn_info *connection, struct fuse_config *config) {
  (void)connection;
  config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
  return NULL;
}

static int floor_getattr(const char *path, struct stat *stat, struct fuse_file_info *info) {
  (void)info;
  memset(stat, 0, sizeof *stat);
  stat->st_uid = user;
  stat->st_gid = group;
  enum file file = find(path);
  switch (file) {
  case none: return -ENOENT;
  case top:
  case many:
    stat->st_mode = S_IFDIR | 0755;
    stat->st_nlink = 2;
    return 0;
  default:
    stat->st_mode = S_IFREG | (file == sink_file ? 0644 : 0444);
    stat->st_nlink = 1;
    stat->st_size = file == hello_file ? hello_size : file == large_file ? large_size : sink_size;
    return 0;
  }
}

static int floor_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                         struct fuse_file_info *info, enum fuse_readdir_flags flags) {
  (void)offset, (void)info, (void)flags;
  enum file file = find(path);
  if (file != top && file != many) return -ENOTDIR;
  fill(buffer, ".", NULL, 0, 0);
  fill(buffer, "..", NULL, 0, 0);
  if (file == top) {
    fill(buffer, "hello", NULL, 0, 0);
    fill(buffer, "large", NULL, 0, 0);
    fill(buffer, "sink", NULL, 0, 0);
    fill(buffer, "many", NULL, 0, 0);
    return 0;
  }
  for (int i = 0; i < names; i++) {
    char name[16];
    snprintf(name, sizeof name, "name-%04d", i);
    fill(buffer, name, NULL, 0, 0);
  }
  return 0;
}

static int floor_open(const char *path, struct fuse_file_info *info) {
  (void)info;
  return find(path) == none ? -ENOENT : 0;
}

static int floor_read(const char *path, char *buffer, size_t size, off_t offset,
                      struct fuse_file_info *info) {
  (void)info;
  enum file file = find(path);
  off_t end = file == hello_file ? hello_size : file == large_file ? large_size : 0;
  if (offset >= end) return 0;
  if (size > (size_t)(end - offset)) size = (size_t)(end - offset);
  if (size > block_size) size = block_size;
  memcpy(buffer, file == hello_file ? hello + offset : block, size);
  return (int)size;
}

static int floor_write(const char *path, const char *data, size_t size, off_t offset,
                       struct fuse_file_info *info) {
  (void)data, (void)info;
  if (find(path) != sink_file) return -EBADF;
  if (offset + (off_t)size > sink_size) sink_size = offset + (off_t)size;
  return (int)size;
}

static int floor_truncate(const char *path, off_t size, struct fuse_file_info *info) {
  (void)info;
  if (find(path) != sink_file) return -EACCES;
  sink_size = size;
  return 0;
}

static const struct fuse_operations operations = {
    .init = floor_init,
    .getattr = floor_getattr,
    .readdir = floor_readdir,
    .open = floor_open,
    .read = floor_read,
    .write = floor_write,
    .truncate = floor_truncate,
};

int main(int argc, char *argv[]) {
  memset(block, 'x', sizeof block);
  user = getuid();
  group = getgid();
  return fuse_main(argc, argv, &operations, NULL);
}
