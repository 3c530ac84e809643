// The machine: opening and closing, its natives, and evaluating source.
//
// Invariant: a native's Swift frame is gone before its exception is raised (`trampoline`).

#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

static mrb_value prepare(mrb_state *mrb, void *data) {
  cmr_vm *vm = data;
  cmr_mend_hash(mrb);
  vm->roots = cmr_hide(mrb, mrb_ary_new(mrb));
  mrb_gc_register(mrb, vm->roots);
  vm->shape_classes = cmr_hide(mrb, mrb_ary_new(mrb));
  mrb_gc_register(mrb, vm->shape_classes);
  // mruby keeps what is registered in an Array as well.
  mrb_value registered = mrb_gv_get(mrb, mrb_intern_lit(mrb, "_gc_root_"));
  if (mrb_array_p(registered)) cmr_hide(mrb, registered);
  vm->new = mrb_intern_lit(mrb, "new");
  vm->class_new = cmr_source_of_new(vm, mrb->class_class);
  vm->parked = mrb_obj_new(mrb, mrb->object_class, 0, NULL);
  mrb_gc_register(mrb, vm->parked);
  cmr_prepare_turns(vm);
  cmr_define_box(vm);
  cmr_mend_core(vm);
  return mrb_nil_value();
}

// Whether the library has the fields of mrb_state where the headers have them. They depend on what it
// was built with; where they differ, each use of `ud` would spoil another field.
static bool is_laid_out_as_declared(const mrb_state *mrb) {
  return mrb->eStandardError_class && mrb->eStandardError_class->super == mrb->eException_class;
}

mrb_value cmr_hide(mrb_state *mrb, mrb_value object) {
  (void)mrb;
  mrb_basic_ptr(object)->c = NULL;
  return object;
}

void cmr_close_top_level(mrb_state *mrb) {
  mrb_callinfo *base = mrb->root_c->cibase;
  if (mrb->c != mrb->root_c || mrb->c->ci != base) return;
  struct REnv *variables = mrb_vm_ci_env(base);
  if (!variables) return;
  base->u.target_class = variables->c;
#if CMR_MRUBY > 301
  mrb_env_unshare(mrb, variables, FALSE);
#else
  mrb_env_unshare(mrb, variables);
#endif
}

cmr_vm *cmr_open(cmr_dispatch dispatch, void *context) {
  cmr_vm *vm = calloc(1, sizeof *vm);
  if (!vm) return NULL;
  cmr_tune_malloc();
  vm->dispatch = dispatch;
  vm->context = context;
  vm->mrb = mrb_open_allocf(cmr_allocate, vm);
  if (!vm->mrb) {
    free(vm);
    return NULL;
  }
  if (!is_laid_out_as_declared(vm->mrb)) {
    fputs("fusuma: libmruby was built with other options than its headers are read with\n", stderr);
    abort();
  }
  vm->mrb->ud = vm;
  int arena = mrb_gc_arena_save(vm->mrb);
  cmr_result made = cmr_guard(vm, prepare, vm);
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

void cmr_interrupt_at(cmr_vm *vm, uint64_t *word) { vm->interrupt = word; }

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
  cmr_close_top_level(mrb);
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
