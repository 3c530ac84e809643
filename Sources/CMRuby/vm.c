// The machine: opening and closing, its memory, its natives, and evaluating source.
//
// Invariant: a native's Swift frame is gone before its exception is raised (`trampoline`).

#include "internal.h"

#include <malloc.h>
#include <stdlib.h>

// Bytes that may go by before the young objects are collected, and by how much the whole may grow
// before all are. mruby counts objects: a thousand Strings of 1 MiB are nothing to it.
enum {
  YOUNG_BYTES = 1 << 20,
  GROWTH_BYTES = 16 << 20,
  // That may have been given back to malloc before it has to give it back to the system.
  SPARE_BYTES = 64 << 20,
};

static void *allocate(mrb_state *mrb, void *block, size_t size, void *data) {
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
  vm->live += now - old;
  if (now > old) vm->total += now - old;
  if (vm->live > vm->peak) vm->peak = vm->live;
  return moved;
}

static mrb_value make_containers(mrb_state *mrb, void *data) {
  cmr_vm *vm = data;
  vm->roots = mrb_ary_new(mrb);
  mrb_gc_register(mrb, vm->roots);
  vm->shape_classes = mrb_ary_new(mrb);
  mrb_gc_register(mrb, vm->shape_classes);
  vm->made = mrb_nil_value();
  vm->new = mrb_intern_lit(mrb, "new");
  vm->parked = mrb_obj_new(mrb, mrb->object_class, 0, NULL);
  mrb_gc_register(mrb, vm->parked);
  return mrb_nil_value();
}

cmr_vm *cmr_open(cmr_dispatch dispatch, void *context) {
  // Large Strings come and go with every read and write: keep their pages instead of giving them
  // back to the system and faulting them in again.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 32 << 20);
  cmr_vm *vm = calloc(1, sizeof *vm);
  if (!vm) return NULL;
  vm->dispatch = dispatch;
  vm->context = context;
  vm->mrb = mrb_open_allocf(allocate, vm);
  if (!vm->mrb) {
    free(vm);
    return NULL;
  }
  vm->mrb->ud = vm;
  int arena = mrb_gc_arena_save(vm->mrb);
  cmr_result made = cmr_guard(vm, make_containers, vm);
  mrb_gc_arena_restore(vm->mrb, arena);
  if (made.raised) {
    cmr_close(vm);
    return NULL;
  }
  return vm;
}

void cmr_close(cmr_vm *vm) {
  mrb_close(vm->mrb);
  free(vm);
}

// MARK: Natives

static mrb_value trampoline(mrb_state *mrb, mrb_value self) {
  (void)self;
  cmr_vm *vm = mrb->ud;
  if (vm->interrupt && __atomic_exchange_n(vm->interrupt, 0, __ATOMIC_ACQ_REL)) {
    mrb_raise(mrb, mrb_class_get(mrb, "Interrupt"), "interrupted");
  }
  const mrb_value *arguments;
  mrb_int count;
  mrb_value block;
  mrb_get_args(mrb, "*&", &arguments, &count, &block);
  cmr_call call = {
      .index = (uint32_t)mrb_integer(mrb_proc_cfunc_env_get(mrb, 0)),
      .count = count,
      .arguments = (const cmr_value *)arguments,
      .block = cmr_wrap(block),
  };
  cmr_result reply = vm->dispatch(vm->context, &call);
  mrb_value value = cmr_unwrap(reply.value);
  if (reply.raised) mrb_exc_raise(mrb, value);
  return value;
}

struct definition {
  const char *module;
  const char *name;
  uint32_t index;
};

static mrb_value define(mrb_state *mrb, void *data) {
  const struct definition *definition = data;
  struct RClass *module = mrb_define_module(mrb, definition->module);
  mrb_value index = mrb_int_value(mrb, definition->index);
  struct RProc *proc = mrb_proc_new_cfunc_with_env(mrb, trampoline, 1, &index);
  mrb_method_t method;
  MRB_METHOD_FROM_PROC(method, proc);
  mrb_value singleton = mrb_singleton_class(mrb, mrb_obj_value(module));
  mrb_define_method_raw(
      mrb, mrb_class_ptr(singleton), mrb_intern_cstr(mrb, definition->name), method);
  return mrb_nil_value();
}

cmr_result cmr_define(cmr_vm *vm, const char *module, const char *name, uint32_t index) {
  struct definition definition = {module, name, index};
  return cmr_guard(vm, define, &definition);
}

// MARK: Source

struct source {
  cmr_bytes bytes;
  const char *file;
  cmr_syntax *syntax;
};

static mrb_value parse(mrb_state *mrb, void *data) {
  struct source *source = data;
  mrbc_context *context = mrbc_context_new(mrb);
  context->capture_errors = TRUE;
  mrbc_filename(mrb, context, source->file);
  struct mrb_parser_state *parser =
      mrb_parse_nstring(mrb, source->bytes.start, source->bytes.count, context);
  cmr_syntax *syntax = source->syntax;
  if (!parser) {
    syntax->failed = true;
    strncpy(syntax->message, "out of memory", sizeof syntax->message - 1);
  } else {
    if (parser->nerr > 0) {
      syntax->failed = true;
      syntax->line = parser->error_buffer[0].lineno;
      syntax->column = parser->error_buffer[0].column;
      const char *message = parser->error_buffer[0].message;
      strncpy(syntax->message, message ? message : "syntax error", sizeof syntax->message - 1);
      // The parser names what it met: "$end" (or the end of a literal) is a source cut short.
      syntax->incomplete = strstr(syntax->message, "unexpected $end") != NULL ||
          strstr(syntax->message, "unexpected end of file") != NULL ||
          strstr(syntax->message, "unterminated") != NULL ||
          strstr(syntax->message, "can't find string") != NULL;
    }
    if (parser->parsing_heredoc != NULL || parser->lex_strterm != NULL) {
      syntax->failed = true;
      syntax->incomplete = true;
    }
    mrb_parser_free(parser);
  }
  mrbc_context_free(mrb, context);
  return mrb_nil_value();
}

cmr_syntax cmr_check(cmr_vm *vm, cmr_bytes bytes, const char *file) {
  cmr_syntax syntax = {0};
  struct source source = {bytes, file, &syntax};
  int arena = mrb_gc_arena_save(vm->mrb);
  if (cmr_guard(vm, parse, &source).raised) {
    syntax.failed = true;
    strncpy(syntax.message, "the parser gave up", sizeof syntax.message - 1);
  }
  mrb_gc_arena_restore(vm->mrb, arena);
  return syntax;
}

static mrb_value locals(mrb_state *mrb, void *data) {
  const cmr_bytes *source = data;
  mrb_value names = mrb_ary_new(mrb);
  mrbc_context *context = mrbc_context_new(mrb);
  context->capture_errors = TRUE;
  // The parser leaves the variables of the outermost scope in the context, for a next line.
  struct mrb_parser_state *parser = mrb_parse_nstring(mrb, source->start, source->count, context);
  for (int i = 0; i < context->slen; i++) {
    mrb_ary_push(mrb, names, mrb_symbol_value(context->syms[i]));
  }
  if (parser) mrb_parser_free(parser);
  mrbc_context_free(mrb, context);
  return names;
}

cmr_result cmr_locals(cmr_vm *vm, cmr_bytes source) { return cmr_guard(vm, locals, &source); }

static mrb_value evaluate(mrb_state *mrb, void *data) {
  struct source *source = data;
  mrbc_context *context = mrbc_context_new(mrb);
  context->capture_errors = TRUE;
  mrbc_filename(mrb, context, source->file);
  mrb_value value =
      mrb_load_nstring_cxt(mrb, source->bytes.start, source->bytes.count, context);
  mrbc_context_free(mrb, context);
  if (mrb->exc) {
    mrb_value exception = mrb_obj_value(mrb->exc);
    mrb->exc = NULL;
    mrb_exc_raise(mrb, exception);
  }
  return value;
}

cmr_result cmr_evaluate(cmr_vm *vm, cmr_bytes bytes, const char *file) {
  struct source source = {bytes, file, NULL};
  return cmr_guard(vm, evaluate, &source);
}

// MARK: Memory

cmr_memory cmr_memory_use(const cmr_vm *vm) {
  return (cmr_memory){
      .live = vm->live, .total = vm->total, .limit = vm->limit, .objects = vm->mrb->gc.live};
}

void cmr_memory_limit(cmr_vm *vm, size_t bytes) { vm->limit = bytes; }

void cmr_interrupt_at(cmr_vm *vm, uint64_t *word) { vm->interrupt = word; }

static mrb_value collect_young(mrb_state *mrb, void *data) {
  (void)data;
  mrb_incremental_gc(mrb);
  return mrb_nil_value();
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
  if (vm->total - vm->total_at_collection < YOUNG_BYTES) return;
  vm->total_at_collection = vm->total;
  int arena = mrb_gc_arena_save(vm->mrb);
  cmr_guard(vm, collect_young, NULL);
  mrb_gc_arena_restore(vm->mrb, arena);
  size_t kept = vm->live_at_full_collection;
  if (vm->live > kept + kept / 4 + GROWTH_BYTES) cmr_collect(vm);
}

int cmr_arena_save(const cmr_vm *vm) { return vm->mrb->gc.arena_idx; }

void cmr_arena_restore(cmr_vm *vm, int index) { mrb_gc_arena_restore(vm->mrb, index); }
