// The benchmark's driver: mounts every side, measures them in turns, prints tables.
//
// Usage: drive [--rounds N] [--seconds S] [--memory | --startup | --commands]
//          --side NAME PATH COMMAND ... [ROW...]
//
// The first side is the one that the others are compared with. The sides take turns within every
// round, the other way about in every second one, so that a change in the machine's mood meets all of
// them. A ratio is the median of the rounds' ratios.

#define _GNU_SOURCE
#include "bench.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { most_sides = 12, most_rows = 64, most_rounds = 1000, stats = 200000 };

static struct side sides[most_sides];
static int side_count;
static int rounds = 7;
static double seconds = 0.3;

double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// Sorts the values, and returns the middle one.
static double median(double *values) {
  qsort(values, (size_t)rounds, sizeof *values, ascending);
  return (values[rounds / 2] + values[(rounds - 1) / 2]) / 2;
}

// The side whose turn it is in a round.
static int turn(int round, int i) { return round % 2 == 0 ? i : side_count - 1 - i; }

// One line of the table, for ROW or ROW@PROCESSES.
static void speed_row(const char *argument) {
  static double rates[most_sides][most_rounds], ratios[most_sides][most_rounds];
  char name[32], title[64];
  int processes = 1;
  if (sscanf(argument, "%31[^@]@%d", name, &processes) < 1 || processes < 1 || processes > 64)
    errx(1, "%s is not ROW or ROW@PROCESSES", argument);
  const struct row *row = row_named(name);
  for (int s = 0; s < side_count; s++) row_measure(row, processes, &sides[s], seconds / 10, 1);
  for (int round = 0; round < rounds; round++)
    for (int i = 0; i < side_count; i++) {
      int s = turn(round, i);
      rates[s][round] = row_measure(row, processes, &sides[s], seconds, 1);
    }

  for (int s = 1; s < side_count; s++)
    for (int round = 0; round < rounds; round++)
      ratios[s][round] = rates[s][round] / rates[0][round];
  snprintf(title, sizeof title, processes > 1 ? "%s, %d processes" : "%s", row->title, processes);
  printf("%-28s%12.0f", title, median(rates[0]));
  for (int s = 1; s < side_count; s++) {
    double ratio = median(ratios[s]);
    printf("%12.0f %6.2f (%.2f-%.2f)", median(rates[s]), ratio, ratios[s][0],
           ratios[s][rounds - 1]);
  }
  printf("\n");
}

// A ratio is the time that a side took to the time that the first side took.
static void command_row(const struct command *command) {
  static double times[most_sides][most_rounds], ratios[most_sides][most_rounds];
  for (int round = 0; round < rounds; round++) {
    for (int s = 0; s < side_count; s++) command_prepare(command, &sides[s]);
    // What the kernel has been told for a second it shall ask again, on all sides alike.
    usleep(1100000);
    for (int i = 0; i < side_count; i++) {
      int s = turn(round, i);
      times[s][round] = command_measure(command, &sides[s]);
    }
  }
  for (int s = 1; s < side_count; s++)
    for (int round = 0; round < rounds; round++)
      ratios[s][round] = times[s][round] / times[0][round];
  printf("%-28s%12.0f", command->title, 1000 * median(times[0]));
  for (int s = 1; s < side_count; s++) {
    double ratio = median(ratios[s]);
    printf("%12.0f %6.2f (%.2f-%.2f)", 1000 * median(times[s]), ratio, ratios[s][0],
           ratios[s][rounds - 1]);
  }
  printf("\n");
}

static void heading(const char *what) {
  printf("%-28s%12s", what, sides[0].name);
  for (int s = 1; s < side_count; s++) printf("%12s %19s", sides[s].name, "ratio (least-most)");
  printf("\n");
}

static void programs(char **arguments, int count) {
  for (int s = 0; s < side_count; s++) side_start(&sides[s]);
  heading("milliseconds");
  for (int i = 0; i < count; i++) command_row(command_named(arguments[i]));
  for (const struct command *command = commands; count == 0 && command->name; command++)
    command_row(command);
  for (int s = 0; s < side_count; s++) side_stop(&sides[s]);
}

static void speed(char **arguments, int count) {
  static char *usual[] = {"stat",     "absent", "open",      "read4k",  "write4k",
                          "readdir",  "ls",     "read128k",  "read1m",  "write128k",
                          "write1m",  "stat@4", "open@4",    "read4k@4"};
  if (count == 0) arguments = usual, count = sizeof usual / sizeof *usual;
  for (int s = 0; s < side_count; s++) side_start(&sides[s]);
  heading("operations a second");
  for (int i = 0; i < count; i++) speed_row(arguments[i]);
  for (int s = 0; s < side_count; s++) side_stop(&sides[s]);
}

// Each figure is of a fresh mount.
static void memory(char **arguments, int count) {
  (void)arguments, (void)count;
  printf("%-16s%12s%26s%28s\n", "resident, MiB", "idle", "200,000 stats of one path",
         "200,000 absent names");
  for (int s = 0; s < side_count; s++) {
    long resident[3];
    side_start(&sides[s]);
    resident[0] = side_resident(&sides[s]);
    row_measure(row_named("stat"), 1, &sides[s], 0, stats);
    resident[1] = side_resident(&sides[s]);
    side_stop(&sides[s]);
    side_start(&sides[s]);
    row_measure(row_named("absent"), 1, &sides[s], 0, stats);
    resident[2] = side_resident(&sides[s]);
    side_stop(&sides[s]);
    printf("%-16s%12.1f%26.1f%28.1f\n", sides[s].name, (double)resident[0] / 1024,
           (double)resident[1] / 1024, (double)resident[2] / 1024);
  }
}

static void startup(char **arguments, int count) {
  (void)arguments, (void)count;
  static double times[most_sides][most_rounds];
  for (int round = 0; round < rounds; round++)
    for (int i = 0; i < side_count; i++) {
      int s = turn(round, i);
      times[s][round] = side_start(&sides[s]);
      side_stop(&sides[s]);
    }
  printf("%-28s%12s\n", "exec to a live mount, ms", "median (least-most)");
  for (int s = 0; s < side_count; s++) {
    double middle = median(times[s]);
    printf("%-28s%12.1f (%.1f-%.1f)\n", sides[s].name, middle, times[s][0], times[s][rounds - 1]);
  }
}

int main(int argc, char *argv[]) {
  void (*measure)(char **arguments, int count) = speed;
  int i = 1;
  // A line at a time, so that the processes made later inherit nothing unprinted.
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
    if (strcmp(argv[i], "--memory") == 0) {
      measure = memory;
    } else if (strcmp(argv[i], "--startup") == 0) {
      measure = startup;
    } else if (strcmp(argv[i], "--commands") == 0) {
      measure = programs;
    } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = atoi(argv[++i]);
    } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
      seconds = atof(argv[++i]);
    } else if (strcmp(argv[i], "--side") == 0 && i + 3 < argc && side_count < most_sides) {
      sides[side_count++] = (struct side){argv[i + 1], argv[i + 3], argv[i + 2], 0};
      i += 3;
    } else {
      errx(1, "%s is not understood", argv[i]);
    }
  }
  if (side_count == 0 || rounds < 1 || rounds > most_rounds || seconds <= 0) errx(1, "bad numbers");
  measure(argv + i, argc - i);
  return 0;
}
