// What the C files share and Swift must not see: mruby itself, and the guard.
#pragma once

#include "cmruby.h"

#include <mruby/version.h>

// Which mruby it is, as a number: 301 is 3.1. A file that reaches past mruby's public functions says
// with which it was tried, and refuses the others.
#define CMR_MRUBY (MRUBY_RELEASE_MAJOR * 100 + MRUBY_RELEASE_MINOR)

#if CMR_MRUBY > 301 && !defined(MRB_USE_DEBUG_HOOK)
// The default gem box since 3.2 has the debugger, and a library with it has two more words in mrb_state,
// before `ud`; the headers that are installed beside it do not say so. vm.c makes sure at run time.
#define MRB_USE_DEBUG_HOOK
#endif

#include <mruby.h>
#include <mruby/array.h>
#include <mruby/class.h>
#include <mruby/compile.h>
#include <mruby/error.h>
#include <mruby/hash.h>
#include <mruby/irep.h>
#include <mruby/numeric.h>
#include <mruby/opcode.h>
#include <mruby/proc.h>
#include <mruby/string.h>
#include <mruby/variable.h>

#if CMR_MRUBY > 301
// What 3.1 declared in its public headers.
#include <mruby/internal.h>
#endif

#include <stdlib.h>
#include <time.h>

_Static_assert(sizeof(mrb_value) == sizeof(cmr_value), "a value is one word (word boxing)");
_Static_assert(sizeof(mrb_sym) == sizeof(cmr_symbol), "a symbol is 32 bits");

enum { CMR_SHAPES = 16 };

struct cmr_vm {
  mrb_state *mrb;
  cmr_dispatch dispatch;
  void *context;

  mrb_value roots;
  mrb_value parked;
  mrb_value box_class;
  cmr_release release;
  mrb_sym new; // the name of Class#new
  const struct RProc *class_new; // what that is as long as no script has its own
  // What the fiber that runs has said of its call: that it is over, that it ends with an exception, and
  // what was in its first parameter then.
  struct cmr_stretch {
    bool rested, raised;
    mrb_value made;
  } stretch;
  // The fiber that is to be resumed next, by the source that does it.
  cmr_value going;
  mrb_value drive, turns, fiber_class;
  // Methods of Fiber, as mruby has them.
  mrb_func_t fiber_initialize, fiber_resume, fiber_yield;
  // Others, which core.c mends.
  mrb_func_t hash_default, struct_new, random_initialize;

  uint64_t *interrupt;

  size_t live;
  size_t peak;
  size_t total;
  size_t limit;
  size_t total_at_collection;
  size_t live_at_full_collection;

  // Which of the members last asked for the instances of a class have, so that a missing one does
  // not cost a walk up the ancestors for every stat. The class is kept alive by `shape_classes`.
  struct cmr_shape {
    struct RClass *klass;
    const cmr_symbol *names;
    uint32_t present;
    // For a Struct: which of these are plain members, and where their values stand.
    uint32_t plain;
    uint8_t place[32];
  } shapes[CMR_SHAPES];
  mrb_value shape_classes;
};

static inline mrb_value cmr_unwrap(cmr_value value) {
  mrb_value out;
  memcpy(&out, &value, sizeof out);
  return out;
}

static inline cmr_value cmr_wrap(mrb_value value) {
  cmr_value out;
  memcpy(&out, &value, sizeof out);
  return out;
}

// The procedure that an alias stands for. In mruby 3.1 an alias is the method's own procedure; since, it
// is a procedure without code that leads there.
static inline const struct RProc *cmr_aliased(const struct RProc *proc) {
#ifdef MRB_PROC_ALIAS
  while (MRB_PROC_ALIAS_P(proc)) proc = proc->upper;
#endif
  return proc;
}

// What a class is made instances of by: the source of its `new`; NULL where that is a C function (call.c).
const struct RProc *cmr_source_of_new(const cmr_vm *vm, struct RClass *klass);

// Methods of mruby's that call a script's code (core.c).
void cmr_mend_core(cmr_vm *vm);

// Fibers (turn.c).
void cmr_prepare_turns(cmr_vm *vm);

// Lets the blocks that were made at the top level keep its variables by themselves, now that it is over:
// mruby would leave them on the root's stack, which moves when it grows (vm.c).
void cmr_close_top_level(mrb_state *mrb);

// Whether so little of the thread's stack is left that nothing deep should begin (stack.c).
bool cmr_stack_is_short(void);

// An object that ObjectSpace does not show: a script has no way to it. For Arrays (vm.c).
mrb_value cmr_hide(mrb_state *mrb, mrb_value object);

// Room for one more item behind `count` of them: the items, moved where it took more memory; NULL where there
// is none, and then they are as before.
static inline void *cmr_room(void *items, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return items;
  size_t wanted = *capacity ? *capacity * 2 : 32;
  void *moved = realloc(items, wanted * size);
  if (moved) *capacity = wanted;
  return moved;
}

// The monotonic clock, in nanoseconds.
static inline uint64_t cmr_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

// mruby's allocator (memory.c).
void *cmr_allocate(mrb_state *mrb, void *block, size_t size, void *data);
void cmr_tune_malloc(void);

// Makes ready for so many objects that are about to be made.
void cmr_expect_objects(cmr_vm *vm, size_t count);

// The class of boxes (box.c).
void cmr_define_box(cmr_vm *vm);

// Hash#[]= (hash.c).
void cmr_mend_hash(mrb_state *mrb);

// The one guard. mrb_protect_error leaves the result in the arena, where the caller wants it.
static inline cmr_result cmr_guard(cmr_vm *vm, mrb_protect_error_func *body, void *data) {
  mrb_bool raised = FALSE;
  mrb_value value = mrb_protect_error(vm->mrb, body, data, &raised);
  return (cmr_result){.value = cmr_wrap(value), .raised = raised};
}
