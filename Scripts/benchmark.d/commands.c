// What is measured by --commands: programs that people run, in the root of each side's mount.

#define _GNU_SOURCE
#include "bench.h"

#include <err.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// $material is a folder with tree.tar, a tree of some thousand files, repository, the same in git, and
// large, a file of 128 MiB.
#define NEEDS_TREE "[ -d tree ] || tar -xf \"$material/tree.tar\"; "
#define NEEDS_CLONE "[ -d clone ] || git clone -q \"file://$material/repository\" clone; "
#define NEEDS_COPY "[ -d copy ] || { " NEEDS_TREE "cp -a tree copy; }; "
// Into a pipe: some programs do less where they see that it is /dev/null.
#define UNSEEN " | cat > /dev/null"
#define NEEDS_LARGE "[ -f large ] || cp \"$material/large\" .; "

const struct command commands[] = {
    {"untar", "tar -xf", "rm -rf tree", "tar -xf \"$material/tree.tar\""},
    {"clone", "git clone", "rm -rf clone", "git clone -q \"file://$material/repository\" clone"},
    {"status", "git status", NEEDS_CLONE, "git -C clone status --porcelain" UNSEEN},
    {"grep", "grep -r", NEEDS_TREE, "! grep -rq 'no such words' tree"},
    {"ls", "ls -lR", NEEDS_TREE, "ls -lR tree" UNSEEN},
    {"names", "ls -R", NEEDS_TREE, "ls -R tree" UNSEEN},
    {"find", "find", NEEDS_TREE, "find tree -name '*7*'" UNSEEN},
    {"du", "du -s", NEEDS_TREE, "du -s tree" UNSEEN},
    {"cp", "cp -a", NEEDS_TREE "rm -rf copy", "cp -a tree copy"},
    {"rm", "rm -rf", NEEDS_COPY, "rm -rf copy"},
    {"write", "cp of 128 MiB to it", "rm -f large", "cp \"$material/large\" large"},
    {"read", "cp of 128 MiB from it", NEEDS_LARGE "rm -f \"$material/copy\"", "cp large \"$material/copy\""},
    {"cat", "cat of 128 MiB", NEEDS_LARGE, "cat large > /dev/null"},
    {"dd", "dd bs=1M of 128 MiB", NEEDS_LARGE, "dd if=large of=/dev/null bs=1M status=none"},
    {"md5sum", "md5sum of 128 MiB", NEEDS_LARGE, "md5sum large" UNSEEN},
    {"search", "grep in 128 MiB", NEEDS_LARGE, "! grep -q 'no such words' large"},
    {NULL, NULL, NULL, NULL},
};

const struct command *command_named(const char *name) {
  const struct command *command = commands;
  while (command->name && strcmp(command->name, name) != 0) command++;
  if (!command->name) errx(1, "no command is called %s", name);
  return command;
}

// Runs a line of bash in the root of a mount; returns the seconds that it took.
static double run(const char *line, const char *title, const struct side *side) {
  double start = now();
  pid_t pid = fork();
  if (pid < 0) err(1, "fork");
  if (pid == 0) {
    if (chdir(side->path) != 0) err(1, "%s", side->path);
    execl("/bin/bash", "bash", "-eo", "pipefail", "-c", line, (char *)NULL);
    err(1, "bash");
  }
  int status;
  if (waitpid(pid, &status, 0) != pid || status != 0) errx(1, "%s failed on %s", title, side->name);
  return now() - start;
}

void command_prepare(const struct command *command, const struct side *side) {
  run(command->prepare, command->title, side);
}

double command_measure(const struct command *command, const struct side *side) {
  return run(command->line, command->title, side);
}
