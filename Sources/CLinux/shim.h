#pragma once

// What Linux offers and Swift's Glibc module leaves out.
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// pidfd_open(2). glibc knows it since 2.36 only, and syscall is variadic, which Swift cannot call.
static inline int clinux_pidfd_open(pid_t process, unsigned int flags) {
  return (int)syscall(SYS_pidfd_open, process, flags);
}

// What glibc declares to those who ask for all of GNU only, which a module cannot: the headers may
// have been read before.
extern int pipe2(int ends[2], int flags);
extern const char *sigabbrev_np(int signal);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int from);
extern int posix_spawn_file_actions_addchdir_np(
    posix_spawn_file_actions_t *__restrict, const char *__restrict path);

// fork(2), which Swift does not offer because most programs have threads by then; this one has none.
static inline pid_t clinux_fork(void) { return fork(); }

// sched_getaffinity(2) of the calling thread, as the kernel has it: a bit a processor. Answers a
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
