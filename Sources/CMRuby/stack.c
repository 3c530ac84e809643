// The stack of the thread that runs Ruby. mruby counts how deep each fiber calls by itself, but not how
// deep all of them stand on C's stack together.

#define _GNU_SOURCE // pthread_getattr_np

#include "internal.h"

#include <pthread.h>

enum { LEAST_LEFT = 256 << 10, MOST_LEFT = 2 << 20 };

// The address under which nothing deep may begin; 0 where it is not known.
static uintptr_t lowest_of_thread(void) {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
  void *start = NULL;
  size_t size = 0;
  int failed = pthread_attr_getstack(&attributes, &start, &size);
  pthread_attr_destroy(&attributes);
  if (failed) return 0;
  size_t left = size / 4;
  if (left > MOST_LEFT) left = MOST_LEFT;
  if (left < LEAST_LEFT) left = LEAST_LEFT;
  return (uintptr_t)start + left;
}

bool cmr_stack_is_short(void) {
  static _Thread_local uintptr_t lowest;
  static _Thread_local bool is_known;
  if (!is_known) {
    is_known = true;
    lowest = lowest_of_thread();
  }
  return (uintptr_t)__builtin_frame_address(0) < lowest;
}
