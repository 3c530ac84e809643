// Memory: what mruby allocates and when it collects.
//
// Invariant: bytes are counted where they are allocated and freed, here, since mruby counts objects:
// a thousand Strings of 1 MiB are nothing to it.

#include "internal.h"

#include <malloc.h>
#include <stdlib.h>

// Steers mruby's collector by its state, and gives Strings bytes of the host's.
#if CMR_MRUBY != 301 && CMR_MRUBY != 303
#error "memory.c was tried with mruby 3.1.0 and 3.3.0: compare mruby's gc.c, gc.h and struct RString first"
#endif

enum {
  // Bytes that may go by before the young objects are collected, and by how much the whole may grow
  // before all are.
  YOUNG_BYTES = 1 << 20,
  GROWTH_BYTES = 16 << 20,
  // That may have been given back to malloc before it has to give it back to the system.
  SPARE_BYTES = 64 << 20,
  // Live objects from which on all of them are collected bit by bit. Below that the young ones are
  // collected apart, which is less work, but where mruby then collects all it does so in one go.
  MANY_OBJECTS = 40000,
};

void cmr_tune_malloc(void) {
  // Large Strings come and go with every read and write: keep their pages instead of giving them
  // back to the system and faulting them in again.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

// Counts bytes that were allocated.
static void count_more(cmr_vm *vm, size_t bytes) {
  vm->live += bytes;
  vm->total += bytes;
  if (vm->live > vm->peak) vm->peak = vm->live;
}

// MARK: The allocator

void *cmr_allocate(mrb_state *mrb, void *block, size_t size, void *data) {
  (void)mrb;
  cmr_vm *vm = data;
  size_t old = block ? malloc_usable_size(block) : 0;
  if (size == 0) {
    vm->live -= old;
    free(block);
    return NULL;
  }
  if (vm->limit && size > old && vm->live + (size - old) > vm->limit) return NULL;
  void *moved = realloc(block, size);
  if (!moved) return NULL;
  size_t now = malloc_usable_size(moved);
  if (now > old) {
    count_more(vm, now - old);
  } else {
    vm->live -= old - now;
  }
  return moved;
}

// MARK: Collecting

cmr_memory cmr_memory_use(const cmr_vm *vm) {
  return (cmr_memory){
      .live = vm->live, .total = vm->total, .limit = vm->limit, .objects = vm->mrb->gc.live};
}

void cmr_memory_limit(cmr_vm *vm, size_t bytes) { vm->limit = bytes; }

// Collects the young objects, or a bit of all.
static mrb_value collect_some(mrb_state *mrb, void *data) {
  (void)data;
  mrb_incremental_gc(mrb);
  return mrb_nil_value();
}

static mrb_value set_generational(mrb_state *mrb, void *data) {
  const bool *generational = data;
  struct RClass *gc = mrb_module_get(mrb, "GC");
  return mrb_funcall(
      mrb, mrb_obj_value(gc), "generational_mode=", 1, mrb_bool_value(*generational));
}

// Chooses how to collect, which needs a look at every object and so a few milliseconds.
static void choose_mode(cmr_vm *vm) {
  const mrb_gc *gc = &vm->mrb->gc;
  bool generational = gc->generational;
  if (generational && gc->live > MANY_OBJECTS) generational = false;
  if (!generational && gc->state == MRB_GC_STATE_ROOT && gc->live < MANY_OBJECTS / 2)
    generational = true;
  if (generational != gc->generational) cmr_guard(vm, set_generational, &generational);
}

// Young objects that live are looked at all at once: too long where there are many.
void cmr_expect_objects(cmr_vm *vm, size_t count) {
  bool generational = false;
  if (vm->mrb->gc.generational && vm->mrb->gc.live + count > MANY_OBJECTS) {
    cmr_guard(vm, set_generational, &generational);
  }
}

// Bytes that may go by before the next bit: so many that all has been looked at, marked and swept
// (some 2,000 objects at a time), by the time that GROWTH_BYTES have.
static size_t step_bytes(const cmr_vm *vm) {
  return GROWTH_BYTES / (vm->mrb->gc.live * 3 / 2000 + 1);
}

static mrb_value collect_all(mrb_state *mrb, void *data) {
  (void)data;
  mrb_full_gc(mrb);
  return mrb_nil_value();
}

void cmr_collect(cmr_vm *vm) {
  int arena = mrb_gc_arena_save(vm->mrb);
  cmr_guard(vm, collect_all, NULL);
  mrb_gc_arena_restore(vm->mrb, arena);
  vm->live_at_full_collection = vm->live;
  vm->total_at_collection = vm->total;
}

// A large file that is gone leaves holes in malloc's heap, which it keeps unless it is told not to.
static void trim_if_due(cmr_vm *vm) {
  if (vm->peak - vm->live < SPARE_BYTES + vm->live / 4) return;
  vm->peak = vm->live;
  malloc_trim(0);
}

void cmr_collect_if_due(cmr_vm *vm) {
  trim_if_due(vm);
  const mrb_gc *gc = &vm->mrb->gc;
  size_t due = gc->generational ? YOUNG_BYTES : step_bytes(vm);
  if (vm->total - vm->total_at_collection < due) return;
  vm->total_at_collection = vm->total;
  int arena = mrb_gc_arena_save(vm->mrb);
  choose_mode(vm);
  cmr_guard(vm, collect_some, NULL);
  mrb_gc_arena_restore(vm->mrb, arena);
  if (!gc->generational && gc->state == MRB_GC_STATE_ROOT) vm->live_at_full_collection = vm->live;
  size_t kept = vm->live_at_full_collection;
  size_t growth = gc->generational ? GROWTH_BYTES : 3 * GROWTH_BYTES;
  if (vm->live > kept + kept / 4 + growth) cmr_collect(vm);
}

int cmr_arena_save(const cmr_vm *vm) { return vm->mrb->gc.arena_idx; }

void cmr_arena_restore(cmr_vm *vm, int index) { mrb_gc_arena_restore(vm->mrb, index); }
