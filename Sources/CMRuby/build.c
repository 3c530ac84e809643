// Building values from a tape, a stretch at a time, with one guard for the whole stretch.
//
// Invariants: what is built hangs on the list that `cmr_builder_begin` made from the moment on at which it
// is made, so that a collection between two stretches finds it, and so does everything that is not complete,
// by itself: a script may meet it and take it out of what it is in. No script has the list. There is no
// recursion; and the tape is trusted, because its maker is the host's own parser.

#include "internal.h"

#include <stdlib.h>

// An Array or Hash that is not complete, and stands on the list.
struct level {
  mrb_value container;
  // Where its end stands on the tape.
  size_t end;
  bool is_hash;
};

// Names that came up last, by a hash of their bytes: most objects have the same ones. A Hash shares a
// String that is frozen.
enum { MOST_NAMES = 512, LONGEST_NAME = 64, LOOKED_AT = 512 };

struct cmr_builder {
  cmr_tape tape;
  bool symbolizes;
  size_t maximum_depth;
  bool is_too_deep;
  size_t next;
  size_t names;
  struct level *levels;
  size_t depth, capacity;
  uint64_t deadline;
};

cmr_builder *cmr_builder_make(cmr_tape tape, bool symbolizes, size_t maximum_depth) {
  cmr_builder *builder = calloc(1, sizeof *builder);
  if (!builder) return NULL;
  builder->tape = tape;
  builder->symbolizes = symbolizes;
  builder->maximum_depth = maximum_depth;
  builder->names = 8;
  while (builder->names < MOST_NAMES && builder->names < tape.count / 8) builder->names *= 2;
  return builder;
}

void cmr_builder_free(cmr_builder *builder) {
  if (!builder) return;
  free(builder->levels);
  free(builder);
}

// MARK: Names

static size_t slot_of(const cmr_builder *builder, cmr_bytes name) {
  uint64_t first = 0, last = 0;
  if (name.count >= 8) {
    memcpy(&first, name.start, 8);
    memcpy(&last, name.start + name.count - 8, 8);
  } else {
    memcpy(&first, name.start, name.count);
  }
  uint64_t hash = (first ^ (last + name.count) * 0xC2B2AE3D27D4EB4F) * 0x9E3779B97F4A7C15;
  return (hash ^ hash >> 29) * 0x9E3779B97F4A7C15 >> 40 & (builder->names - 1);
}

static mrb_value make_name(mrb_state *mrb, const cmr_builder *builder, cmr_bytes name) {
  if (builder->symbolizes) {
    return mrb_symbol_value(mrb_intern(mrb, name.start, name.count));
  }
  mrb_value string = mrb_str_new(mrb, name.start, (mrb_int)name.count);
  MRB_SET_FROZEN_FLAG(mrb_basic_ptr(string));
  return string;
}

static bool is_name(mrb_state *mrb, mrb_value known, cmr_bytes name) {
  cmr_bytes bytes = {0};
  if (mrb_string_p(known)) {
    bytes = cmr_string_of(cmr_wrap(known));
  } else if (mrb_symbol_p(known)) {
    bytes = cmr_symbol_name(mrb->ud, mrb_symbol(known));
  }
  return bytes.start && bytes.count == name.count &&
         memcmp(bytes.start, name.start, name.count) == 0;
}

// `known` is the list of names, in whose place for it the name is left.
static mrb_value name_of(
    mrb_state *mrb, const cmr_builder *builder, mrb_value known, cmr_bytes name) {
  if (name.count > LONGEST_NAME) return make_name(mrb, builder, name);
  size_t slot = slot_of(builder, name);
  mrb_value last = RARRAY_PTR(known)[slot];
  if (is_name(mrb, last, name)) return last;
  mrb_value made = make_name(mrb, builder, name);
  mrb_ary_set(mrb, known, (mrb_int)slot, made);
  return made;
}

// MARK: Values

static uint64_t payload(uint64_t word) { return word & 0x00FFFFFFFFFFFFFF; }

static cmr_bytes bytes_at(const cmr_builder *builder, uint64_t word) {
  const char *start = builder->tape.strings + payload(word);
  uint32_t count;
  memcpy(&count, start, sizeof count);
  return (cmr_bytes){start + sizeof count, count};
}

static void open_level(
    mrb_state *mrb, cmr_builder *builder, mrb_value list, mrb_value container, size_t end,
    bool is_hash) {
  // The one value that is built is in a list too.
  if (builder->maximum_depth && builder->depth > builder->maximum_depth) {
    builder->is_too_deep = true;
    return;
  }
  struct level *levels =
      cmr_room(builder->levels, builder->depth, &builder->capacity, sizeof *levels);
  if (!levels) mrb_exc_raise(mrb, mrb_obj_value(mrb->nomem_err));
  builder->levels = levels;
  mrb_ary_push(mrb, list, container);
  builder->levels[builder->depth++] = (struct level){container, end, is_hash};
}

static mrb_value make_value(mrb_state *mrb, const cmr_builder *builder, uint64_t word) {
  const uint64_t *operand = &builder->tape.words[builder->next];
  mrb_int count = (mrb_int)(word >> 32 & 0xFFFFFF);
  switch (word >> 56) {
    case '{': return count ? mrb_hash_new_capa(mrb, count) : mrb_hash_new(mrb);
    case '[': return mrb_ary_new_capa(mrb, count);
    case '"': {
      cmr_bytes bytes = bytes_at(builder, word);
      return mrb_str_new(mrb, bytes.start, (mrb_int)bytes.count);
    }
    case 'l': return mrb_int_value(mrb, (mrb_int)*operand);
    case 'u': return mrb_float_value(mrb, (double)*operand);
    case 'd': {
      double number;
      memcpy(&number, operand, sizeof number);
      return mrb_float_value(mrb, number);
    }
    case 't': return mrb_true_value();
    case 'f': return mrb_false_value();
    default: return mrb_nil_value();
  }
}

// Builds the next value, or completes a container.
static void build_next(
    mrb_state *mrb, cmr_builder *builder, mrb_value list, mrb_value known) {
  const struct level level = builder->levels[builder->depth - 1];
  if (builder->next == level.end) {
    builder->depth--;
    builder->next++;
    mrb_ary_pop(mrb, list);
    return;
  }
  mrb_value name = mrb_nil_value();
  uint64_t word = builder->tape.words[builder->next++];
  if (level.is_hash) {
    name = name_of(mrb, builder, known, bytes_at(builder, word));
    word = builder->tape.words[builder->next++];
  }
  mrb_value value = make_value(mrb, builder, word);
  if (level.is_hash) {
    mrb_hash_set(mrb, level.container, name, value);
  } else {
    mrb_ary_push(mrb, level.container, value);
  }
  char kind = (char)(word >> 56);
  if (kind == '{' || kind == '[') {
    open_level(mrb, builder, list, value, (size_t)(uint32_t)word - 1, kind == '{');
  } else if (kind == 'l' || kind == 'u' || kind == 'd') {
    builder->next++;
  }
}

// MARK: Stretches

struct stretch {
  cmr_builder *builder;
  cmr_value list;
};

// Adds an Array that only the list has.
static mrb_value add_hidden(mrb_state *mrb, mrb_value list) {
  mrb_value hidden = mrb_ary_new(mrb);
  cmr_hide(mrb, hidden);
  mrb_ary_push(mrb, list, hidden);
  return hidden;
}

// The list: the names, an Array for the one value that is built, and the levels, of which that is the first.
static mrb_value begin(mrb_state *mrb, void *data) {
  cmr_builder *builder = data;
  mrb_value list = mrb_ary_new(mrb);
  cmr_hide(mrb, list);
  mrb_value known = add_hidden(mrb, list);
  mrb_ary_set(mrb, known, (mrb_int)builder->names - 1, mrb_nil_value());
  mrb_value built = add_hidden(mrb, list);
  open_level(mrb, builder, list, built, builder->tape.count - 1, false);
  builder->next = 1;
  return list;
}

cmr_result cmr_builder_begin(cmr_vm *vm, cmr_builder *builder) {
  cmr_expect_objects(vm, builder->tape.count / 2);
  return cmr_guard(vm, begin, builder);
}

static mrb_value go_on(mrb_state *mrb, void *data) {
  const struct stretch *stretch = data;
  cmr_builder *builder = stretch->builder;
  mrb_value list = cmr_unwrap(stretch->list);
  mrb_value known = RARRAY_PTR(list)[0];
  int arena = mrb_gc_arena_save(mrb);
  do {
    for (int i = 0; i < LOOKED_AT; i++) {
      if (builder->next == builder->tape.count - 1) return RARRAY_PTR(RARRAY_PTR(list)[1])[0];
      build_next(mrb, builder, list, known);
      mrb->gc.arena_idx = arena;
      if (builder->is_too_deep) return mrb_undef_value();
    }
  } while (cmr_now() < builder->deadline);
  return mrb_undef_value();
}

cmr_built cmr_builder_go_on(
    cmr_vm *vm, cmr_builder *builder, cmr_value list, uint64_t nanoseconds) {
  builder->deadline = cmr_now() + nanoseconds;
  bool was_disabled = vm->mrb->gc.disabled;
  // Nothing that is built is garbage: few objects are not worth looking at. Many are made while all
  // are collected bit by bit.
  if (vm->mrb->gc.generational && !vm->limit) vm->mrb->gc.disabled = TRUE;
  size_t live = vm->live;
  cmr_result result = cmr_guard(vm, go_on, &(struct stretch){builder, list});
  vm->mrb->gc.disabled = was_disabled;
  if (vm->live > live) vm->live_at_full_collection += vm->live - live;
  bool is_complete = result.raised || !mrb_undef_p(cmr_unwrap(result.value));
  if (!is_complete) result.value = cmr_nil();
  return (cmr_built){result, is_complete, builder->is_too_deep};
}
