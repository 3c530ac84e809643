// Hosts as processes: started, waited for until their mount answers, unmounted. A host dies with the
// driver, and the signal that it then gets is the one that it unmounts at.

#define _GNU_SOURCE
#include "bench.h"

#include <err.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const double patience = 20; // seconds, for a mount and for an unmount

static dev_t device(const char *path) {
  struct stat stat_;
  return stat(path, &stat_) == 0 ? stat_.st_dev : 0;
}

double side_start(struct side *side) {
  if (!*side->command) return 0;
  dev_t before = device(side->path);
  double start = now();
  if ((side->pid = fork()) < 0) err(1, "fork");
  if (side->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execl("/bin/bash", "bash", "-c", side->command, (char *)NULL);
    err(1, "bash");
  }
  for (;;) {
    dev_t current = device(side->path);
    if (current != 0 && current != before) return 1000 * (now() - start);
    if (waitpid(side->pid, NULL, WNOHANG) != 0) errx(1, "%s did not mount", side->name);
    if (now() - start > patience) errx(1, "%s has not mounted in %.0f s", side->name, patience);
    usleep(200);
  }
}

static int unmount(const char *path) {
  pid_t pid;
  int status;
  char *arguments[] = {"fusermount3", "-u", "-q", "--", (char *)path, NULL};
  char *environment[] = {"PATH=/usr/bin:/bin", NULL};
  if (posix_spawnp(&pid, arguments[0], NULL, NULL, arguments, environment) != 0) err(1, "fusermount3");
  return waitpid(pid, &status, 0) == pid && status == 0;
}

void side_stop(struct side *side) {
  if (!*side->command) return;
  double start = now();
  while (!unmount(side->path)) {
    if (now() - start > patience) errx(1, "%s cannot be unmounted", side->name);
    usleep(10000);
  }
  int status = 0;
  pid_t ended;
  while ((ended = waitpid(side->pid, &status, WNOHANG)) == 0) {
    if (now() - start > patience) errx(1, "%s does not end after its unmount", side->name);
    usleep(1000);
  }
  if (ended == side->pid && status != 0)
    fprintf(stderr, "benchmark: %s ended with wait status %d\n", side->name, status);
  side->pid = 0;
}

long side_resident(const struct side *side) {
  char path[64], line[128];
  long kib = -1;
  snprintf(path, sizeof path, "/proc/%d/status", side->pid);
  FILE *file = fopen(path, "r");
  if (!file) err(1, "%s", path);
  while (kib < 0 && fgets(line, sizeof line, file)) sscanf(line, "VmRSS: %ld", &kib);
  fclose(file);
  return kib;
}
