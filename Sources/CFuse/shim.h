/*
 * What Swift cannot take from libfuse's headers as they stand.
 *
 * Everything here is a static inline of a few lines: a macro given an address, or one name for what
 * differs between libfuse 3.14 and later releases. Prefix: cfuse_.
 */
#ifndef CFUSE_SHIM_H
#define CFUSE_SHIM_H

#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <linux/memfd.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Came with Linux 6.6, and is younger than the headers may be. */
#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#endif

/* Which libfuse the program was compiled against: 314 is 3.14. */
enum { cfuse_version = FUSE_VERSION };

/*
 * glibc declares these two under _GNU_SOURCE only; defining that here would make headers differ
 * from the same ones as Swift's Glibc module sees them.
 */
extern int memfd_create(const char *_Nonnull name, unsigned int flags);

/*
 * The operations that came after 3.14. Where the installed libfuse has no such field the callback
 * stays out of the table, and the kernel gets ENOSYS as before.
 */
struct cfuse_newer_operations {
  void (*_Nullable tmpfile)(fuse_req_t _Nonnull request, fuse_ino_t parent, mode_t mode,
                            struct fuse_file_info *_Nonnull file);
};

/* fuse_session_new(3) is a function in 3.14 and a macro around an inline function in 3.17. */
static inline struct fuse_session *_Nullable cfuse_session_new(
    struct fuse_args *_Nonnull arguments, const struct fuse_lowlevel_ops *_Nonnull operations,
    const struct cfuse_newer_operations *_Nonnull newer, void *_Nullable userdata) {
  struct fuse_lowlevel_ops table = *operations;
#if FUSE_VERSION >= 317
  table.tmpfile = newer->tmpfile;
#endif
  (void)newer;
  return fuse_session_new(arguments, &table, sizeof(table), userdata);
}

/* An unnamed file in memory, closed by exec; -1 and errno where there can be none. */
static inline int cfuse_memory_file(void) {
  return memfd_create("libfuse", MFD_CLOEXEC);
}

/* Sets which of the capabilities the connection shall have; 3.17 keeps them in a second field too. */
static inline void cfuse_want(struct fuse_conn_info *_Nonnull connection, uint32_t capabilities) {
#if FUSE_VERSION >= 317
  fuse_unset_feature_flag(connection, UINT32_MAX);
  fuse_set_feature_flag(connection, capabilities);
#else
  connection->want = capabilities;
#endif
}

#endif
