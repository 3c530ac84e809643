// The parts of the benchmark's driver: hosts that are mounted, and rows that are measured on them.

#pragma once
#include <sys/types.h>

// A host under measurement: a command that mounts in the foreground.
struct side {
  const char *name;
  const char *command; // for bash, with the path of the mount point in it; "" for a plain directory
  const char *path;    // the mount point: a directory of its own
  pid_t pid;
};

// Starts a side, waits until its mount answers, and returns the milliseconds that took.
double side_start(struct side *side);
// Unmounts a side and waits for its end; any exit status but 0 is worth a line on stderr.
void side_stop(struct side *side);
// The resident memory of a mounted side, in KiB.
long side_resident(const struct side *side);

// One kind of system call, or short sequence of them, done again and again in a process that stands
// in the mount's root.
struct row {
  const char *name;
  const char *title;
  void (*start)(void); // once in each process; may be NULL
  void (*operation)(void);
};

extern const struct row rows[];
// The row of a name; ends the program where there is none.
const struct row *row_named(const char *name);

// Lets `processes` processes do the row on a side, each for `seconds` and at least `least` times;
// returns operations a second, of all of them together.
double row_measure(const struct row *row, int processes, const struct side *side, double seconds,
                   long least);

// A program that people run, as a line of bash; $material is the folder of what it works on.
struct command {
  const char *name;
  const char *title;
  const char *prepare; // what is to be there, or not to be, before
  const char *line;
};

extern const struct command commands[];
// The command of a name; ends the program where there is none.
const struct command *command_named(const char *name);

// Makes a side ready for a command.
void command_prepare(const struct command *command, const struct side *side);
// Runs the command in the root of a side; returns the seconds that it took.
double command_measure(const struct command *command, const struct side *side);

// Seconds on a clock that never steps.
double now(void);
