#pragma once

// What Linux offers and Swift's Glibc module leaves out.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

// pidfd_open(2). glibc knows it since 2.36 only, and syscall is variadic, which Swift cannot call.
static inline int clinux_pidfd_open(pid_t process, unsigned int flags) {
  return (int)syscall(SYS_pidfd_open, process, flags);
}
