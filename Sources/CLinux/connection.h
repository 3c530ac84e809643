#pragma once

// Aborting a FUSE connection, by whatever is left to do it: the mount itself, a signal handler, or a guard
// process when all of the mount was killed.
//
// A notification may be held up in the kernel by a lock that is held for a request of ours. A process that
// is killed meanwhile stays until that request is replied to, with /dev/fuse open, so that nothing ever
// ends: neither it, nor any process that uses the mount. Only an abort frees them all.
//
// Invariant: everything here may be called in a signal handler, and in a child of a process with threads.

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern pid_t _Fork(void);
extern char *program_invocation_name;

// What fcntl.h and sys/mount.h define, which are Glibc's to import.
enum { clinux_O_RDONLY = 0, clinux_O_WRONLY = 1, clinux_O_CLOEXEC = 02000000 };
enum { clinux_MS_REC = 0x4000, clinux_MS_PRIVATE = 0x40000, clinux_NEWNS = 0x20000 };
enum { clinux_SHARE_FILES = 0x400 };
#define CLINUX_CONNECTIONS "/sys/fs/fuse/connections"

static inline int clinux_open(const char *path, int flags) {
  return (int)syscall(SYS_openat, -100 /* AT_FDCWD */, path, flags | clinux_O_CLOEXEC, 0);
}

// Opens the connection's file in fusectl, which belongs to the user who mounted; returns -1 where there is
// no such file. The number of a connection is the minor one of its mount's device.
static inline int clinux_open_abort(unsigned int number) {
  char path[64] = CLINUX_CONNECTIONS "/";
  char digits[12];
  size_t end = strlen(path), count = 0;
  do digits[count++] = (char)('0' + number % 10); while ((number /= 10) != 0);
  while (count > 0) path[end++] = digits[--count];
  memcpy(path + end, "/abort", sizeof "/abort");
  return clinux_open(path, clinux_O_WRONLY);
}

// The same in a process of its own, which goes to a mount namespace of its own: where fusectl is not mounted
// root mounts it there, and no other process sees that.
static inline int clinux_open_abort_alone(unsigned int number) {
  int file = clinux_open_abort(number);
  if (file >= 0) return file;
  if (syscall(SYS_unshare, clinux_NEWNS) != 0) return -1;
  if (syscall(SYS_mount, "none", "/", NULL, clinux_MS_REC | clinux_MS_PRIVATE, NULL) != 0) return -1;
  if (syscall(SYS_mount, "none", CLINUX_CONNECTIONS, "fusectl", 0, NULL) != 0) return -1;
  return clinux_open_abort(number);
}

// Aborts the connection whose file is open; returns 0, or -1 where it is gone, or the file is none.
static inline int clinux_write_abort(int file) {
  if (file < 0) return -1;
  ssize_t written = write(file, "1", 1);
  close(file);
  return written == 1 ? 0 : -1;
}

// Aborts a connection: what waits for a reply gets ECONNABORTED, and there are no more requests.
static inline void clinux_abort_connection(unsigned int number) {
  if (clinux_write_abort(clinux_open_abort(number)) == 0) return;
  pid_t child = _Fork();
  if (child == 0) {
    clinux_write_abort(clinux_open_abort_alone(number));
    _exit(0);
  }
  if (child > 0) waitpid(child, NULL, 0);
}

// Lets ps(1) show a name instead of the arguments of the process that this one was forked from.
static inline void clinux_name_process(const char *name) {
  prctl(PR_SET_NAME, name);
  int file = clinux_open("/proc/self/cmdline", clinux_O_RDONLY);
  if (file < 0) return;
  char bytes[512];
  size_t length = 0;
  for (ssize_t count; (count = read(file, bytes, sizeof bytes)) > 0;) length += (size_t)count;
  close(file);
  size_t size = strlen(name) + 1;
  if (length < size) return;
  memset(program_invocation_name, 0, length);
  memcpy(program_invocation_name, name, size);
}

// The signal that tells a guard that the thread it guards is gone. It is none that a service manager sends
// to all processes of a service.
enum { clinux_guard_signal = SIGUSR1 };

// Whether a process has crashed and waits, to write its memory down, for all its threads to end: then its
// first thread has not ended yet, and may never do. See CoreDumping in proc_pid_status(5).
static inline int clinux_has_crashed(pid_t process) {
  char path[40] = "/proc/", digits[12], text[4096];
  size_t end = strlen(path), count = 0;
  do digits[count++] = (char)('0' + process % 10); while ((process /= 10) != 0);
  while (count > 0) path[end++] = digits[--count];
  memcpy(path + end, "/status", sizeof "/status");
  int file = clinux_open(path, clinux_O_RDONLY);
  if (file < 0) return 1;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  text[length > 0 ? length : 0] = 0;
  return strstr(text, "\nCoreDumping:\t1") != NULL;
}

// Opens the connection's file for as long as the guard lives: so it is the file of this connection, and not of
// a later one of the same number. A child that shares the descriptors opens it, because a mount namespace that
// lasts would keep the mount; its status is the descriptor, of which there are hardly any.
static inline int clinux_hold_connection(unsigned int number) {
  pid_t child = (pid_t)syscall(SYS_clone, clinux_SHARE_FILES, 0, 0, 0, 0);
  if (child == 0) {
    int file = clinux_open_abort_alone(number);
    _exit(file < 0 || file > 100 ? 255 : file);
  }
  int status = 255;
  if (child < 0 || waitpid(child, &status, __WCLONE) != child) return -1;
  return WIFEXITED(status) && WEXITSTATUS(status) != 255 ? WEXITSTATUS(status) : -1;
}

// What a guard does, with all signals blocked: it aborts the connection when the thread that started it
// ends, or its process crashes. The process may still be there then: another thread is in the kernel, held
// up.
static inline _Noreturn void clinux_guard(unsigned int number, pid_t guarded) {
  prctl(PR_SET_PDEATHSIG, clinux_guard_signal);
  setsid();
  // Neither /dev/fuse nor what others may wait at stays open here, nor a directory in use.
  if (syscall(SYS_close_range, 0U, ~0U, 0U) != 0) {
    for (int each = 0; each < 65536; each += 1) close(each);
  }
  if (chdir("/") != 0) _exit(1);
  clinux_name_process("fusuma-guard");
  int connection = clinux_hold_connection(number);
  // Where the mount is gone by now, the number may be another's.
  if (connection < 0 || getppid() != guarded) _exit(0);
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, clinux_guard_signal);
  // A crash sends no signal: it is looked for now and then.
  struct timespec pause = { .tv_sec = 1, .tv_nsec = 0 };
  while (getppid() == guarded && !clinux_has_crashed(guarded)) {
    if (sigtimedwait(&awaited, NULL, &pause) == clinux_guard_signal) break;
  }
  clinux_write_abort(connection);
  _exit(0);
}

// Starts a guard for the calling thread; returns its process id, or -1. Its end sends no signal, so that
// only a wait with __WCLONE sees it: a script that waits for its children does not.
static inline pid_t clinux_start_guard(unsigned int number) {
  sigset_t all, before;
  pid_t guarded = getpid();
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  // As fork(2), with no signal: the order of the other arguments, which are all 0, is the processor's.
  pid_t child = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
  if (child == 0) clinux_guard(number, guarded);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return child;
}

// Ends a guard, which has nothing to guard any more.
static inline void clinux_end_guard(pid_t guard) {
  kill(guard, SIGKILL);
  waitpid(guard, NULL, __WCLONE);
}
