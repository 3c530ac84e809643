// What is measured: the rows, and the processes that do them. Each operation checks what it is
// answered, so that a host cannot be quick by being wrong.

#define _GNU_SOURCE
#include "bench.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kib = 1 << 10, mib = 1 << 20, names = 1000, large_size = 64 * mib, sink_size = 64 * mib };

// The state of one measuring process; each starts as a fresh fork.
static alignas(4096) char buffer[mib];
static int descriptor;
static off_t offset;
static unsigned serial;

static void do_stat(void) {
  struct stat stat_;
  if (stat("hello", &stat_) != 0 || stat_.st_size != 13) err(1, "stat of hello");
}

static void do_absent(void) {
  char name[48];
  struct stat stat_;
  snprintf(name, sizeof name, "absent-%d-%u", getpid(), serial++);
  if (stat(name, &stat_) == 0 || errno != ENOENT) err(1, "stat of an absent name");
}

static void do_open(void) {
  int hello = open("hello", O_RDONLY);
  if (hello < 0 || read(hello, buffer, 4 * kib) != 13 || memcmp(buffer, "Hello World!\n", 13) != 0)
    err(1, "read of hello");
  if (close(hello) != 0) err(1, "close of hello");
}

static void start_direct(void) {
  if ((descriptor = open("large", O_RDONLY | O_DIRECT)) < 0) err(1, "direct open of large");
}

static void do_direct_read(void) {
  if (pread(descriptor, buffer, 4 * kib, offset) != 4 * kib || buffer[4 * kib - 1] != 'x')
    err(1, "direct read of large");
  offset = (offset + 4 * kib) % large_size;
}

static void start_write(void) {
  if ((descriptor = open("sink", O_WRONLY)) < 0) err(1, "open of sink");
}

// Over one MiB again and again, so that the page cache does not grow.
static void do_write(void) {
  if (pwrite(descriptor, buffer, 4 * kib, offset) != 4 * kib) err(1, "write to sink");
  offset = (offset + 4 * kib) % mib;
}

static void list(int with_attributes) {
  DIR *directory = opendir("many");
  if (!directory) err(1, "opendir of many");
  int seen = 0;
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (entry->d_name[0] == '.') continue;
    seen++;
    struct stat stat_;
    if (with_attributes &&
        (fstatat(dirfd(directory), entry->d_name, &stat_, AT_SYMLINK_NOFOLLOW) != 0 ||
         stat_.st_size != 13))
      err(1, "lstat of %s", entry->d_name);
  }
  if (seen != names) errx(1, "%d names in many instead of %d", seen, names);
  closedir(directory);
}

static void do_readdir(void) { list(0); }
static void do_ls(void) { list(1); }

// Each pass over the file starts without what the kernel still had of it.
static void start_read(void) {
  if ((descriptor = open("large", O_RDONLY)) < 0) err(1, "open of large");
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
}

static void read_on(size_t size) {
  ssize_t got = read(descriptor, buffer, size);
  if (got == 0) {
    close(descriptor);
    start_read();
    got = read(descriptor, buffer, size);
  }
  if (got != (ssize_t)size || buffer[size - 1] != 'x') err(1, "sequential read of large");
}

static void do_read_128k(void) { read_on(128 * kib); }
static void do_read_1m(void) { read_on(mib); }

static void write_on(size_t size) {
  if (offset >= sink_size) {
    close(descriptor);
    start_write();
    offset = 0;
  }
  ssize_t taken = write(descriptor, buffer, size);
  if (taken != (ssize_t)size) err(1, "sequential write to sink");
  offset += taken;
}

static void do_write_128k(void) { write_on(128 * kib); }
static void do_write_1m(void) { write_on(mib); }

const struct row rows[] = {
    {"stat", "stat", NULL, do_stat},
    {"absent", "stat of an absent name", NULL, do_absent},
    {"open", "open+read+close", NULL, do_open},
    {"read4k", "4 KiB direct read", start_direct, do_direct_read},
    {"write4k", "4 KiB write", start_write, do_write},
    {"readdir", "readdir of 1000 names", NULL, do_readdir},
    {"ls", "ls -l of 1000 names", NULL, do_ls},
    {"read128k", "sequential read, 128 KiB", start_read, do_read_128k},
    {"read1m", "sequential read, 1 MiB", start_read, do_read_1m},
    {"write128k", "sequential write, 128 KiB", start_write, do_write_128k},
    {"write1m", "sequential write, 1 MiB", start_write, do_write_1m},
    {NULL, NULL, NULL, NULL},
};

const struct row *row_named(const char *name) {
  const struct row *row = rows;
  while (row->name && strcmp(row->name, name) != 0) row++;
  if (!row->name) errx(1, "no row is called %s", name);
  return row;
}

// One measuring process: does the row from the moment that the gate opens, answers its rate.
static double work(const struct row *row, const char *path, int gate, double seconds, long least) {
  errno = 0;
  if (chdir(path) != 0) err(1, "%s", path);
  if (row->start) row->start();
  char byte;
  if (read(gate, &byte, 1) < 0) err(1, "gate");
  double start = now(), elapsed;
  long done = 0;
  do {
    row->operation();
    done++;
    elapsed = now() - start;
  } while (elapsed < seconds || done < least);
  return (double)done / elapsed;
}

double row_measure(const struct row *row, int processes, const struct side *side, double seconds,
                   long least) {
  size_t size = (size_t)processes * sizeof(double);
  double *rates = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t workers[processes];
  int gate[2];
  if (rates == MAP_FAILED || pipe(gate) != 0) err(1, "shared memory and a pipe");
  for (int i = 0; i < processes; i++) {
    if ((workers[i] = fork()) < 0) err(1, "fork");
    if (workers[i] == 0) {
      close(gate[1]);
      rates[i] = work(row, side->path, gate[0], seconds, least);
      _exit(0);
    }
  }
  // The end of the pipe is the gate: closing it lets every process go at once.
  close(gate[0]);
  close(gate[1]);
  double rate = 0;
  for (int i = 0; i < processes; i++) {
    int status;
    if (waitpid(workers[i], &status, 0) != workers[i] || status != 0)
      errx(1, "%s failed on %s", row->name, side->name);
    rate += rates[i];
  }
  munmap(rates, size);
  return rate;
}
