#pragma once

// What Linux offers and Swift's Glibc module leaves out.
#include <asm/socket.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"

// pidfd_open(2). glibc knows it since 2.36 only, and syscall is variadic, which Swift cannot call.
static inline int clinux_pidfd_open(pid_t process, unsigned int flags) {
  return (int)syscall(SYS_pidfd_open, process, flags);
}

// What glibc declares only where all of GNU is asked for, which a module cannot: the headers may
// have been read before.
extern int pipe2(int ends[2], int flags);
extern const char *sigabbrev_np(int signal);
extern const char *_Nullable strerrorname_np(int number);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int from);
extern int posix_spawn_file_actions_addchdir_np(
    posix_spawn_file_actions_t *__restrict, const char *__restrict path);

// fork(2), which Swift does not offer because most programs have threads by then; this one has none.
static inline pid_t clinux_fork(void) { return fork(); }

// For a signal handler, which may call little else: says a line, aborts a connection and takes its mount
// away however busy it is, if there is any, and ends the process with status 1. The guard, if there is one, is ended first:
// when this process is gone the number of the connection may be another mount's. fusermount3(1) mounts and
// unmounts for ordinary users too.
static inline void clinux_give_up(
    const char *line, size_t count, const char *mountpoint, int64_t connection, pid_t guard) {
  ssize_t written = write(STDERR_FILENO, line, count);
  (void)written;
  if (guard > 0) kill(guard, SIGKILL);
  if (connection >= 0) clinux_abort_connection((unsigned int)connection);
  pid_t child = *mountpoint ? _Fork() : -1;
  if (child == 0) {
    execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", mountpoint, (char *)NULL);
    _exit(127);
  }
  if (child > 0) waitpid(child, NULL, 0);
  _exit(1);
}

// sched_getaffinity(2) of the calling thread, as the kernel has it: a bit a processor. Returns a
// negative number where it fails.
static inline long clinux_getaffinity(size_t size, void *set) {
  return syscall(SYS_sched_getaffinity, 0, size, set);
}

// clock_gettime(2) in nanoseconds; -1 where there is no such clock. Which module a struct timespec
// belongs to depends on what else was imported, so Swift does not always see its members.
static inline long long clinux_clock(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) != 0) return -1;
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}
// A word that another process may read and write at any moment.
static inline void clinux_store(uint64_t *_Nonnull word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

// The process at the other end of a socket (SO_PEERCRED of unix(7)); -1 where that cannot be told. glibc
// declares struct ucred only where all of GNU is asked for, and sys/socket.h is Glibc's to import.
extern int getsockopt(int, int, int, void *__restrict, unsigned int *__restrict);
static inline int clinux_peer(int socket, pid_t *_Nonnull pid, uid_t *_Nonnull uid) {
  struct { pid_t pid; uid_t uid; gid_t gid; } peer;
  unsigned int size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
  *pid = peer.pid;
  *uid = peer.uid;
  return 0;
}

// prctl(2), which is variadic: this process is to be sent `signal` when its parent ends.
static inline int clinux_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

// fallocate(2), which glibc declares only where all of GNU is asked for.
extern int fallocate(int, int, off_t, off_t);
static inline int clinux_fallocate(int file, int mode, long long offset, long long count) {
  return fallocate(file, mode, (off_t)offset, (off_t)count);
}
