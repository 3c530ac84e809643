// Which constants a source defines, read off its compiled code.

#include "internal.h"

static void definitions(mrb_state *mrb, const mrb_irep *irep, mrb_value found) {
  mrb_sym dynamic = mrb_intern_lit(mrb, "const_set");
  for (uint16_t i = 0; i < irep->slen; i++) {
    if (irep->syms[i] == dynamic) mrb_ary_push(mrb, found, mrb_symbol_value(dynamic));
  }
  const mrb_code *pc = irep->iseq;
  const mrb_code *end = pc + irep->ilen;
  while (pc < end) {
    uint32_t a = 0, b = 0, c = 0;
    int widened = 0;
    uint8_t code = READ_B();
    if (code >= OP_EXT1 && code <= OP_EXT3) {
      widened = code - OP_EXT1 + 1;
      code = READ_B();
    }
    // mruby lists its instructions with their operands in this header.
    switch (widened << 8 | code) {
#define OPCODE(name, kind) \
  case OP_##name: FETCH_##kind(); break; \
  case 1 << 8 | OP_##name: FETCH_##kind##_1(); break; \
  case 2 << 8 | OP_##name: FETCH_##kind##_2(); break; \
  case 3 << 8 | OP_##name: FETCH_##kind##_3(); break;
#include <mruby/ops.h>
#undef OPCODE
    }
    (void)a;
    (void)c;
    bool defines = code == OP_SETCONST || code == OP_SETMCNST || code == OP_CLASS ||
        code == OP_MODULE;
    if (defines && b < irep->slen) {
      mrb_ary_push(mrb, found, mrb_symbol_value(irep->syms[b]));
    }
  }
  for (uint16_t i = 0; i < irep->rlen; i++) definitions(mrb, irep->reps[i], found);
}

struct source {
  cmr_bytes bytes;
  const char *file;
};

static mrb_value read_definitions(mrb_state *mrb, void *data) {
  const struct source *source = data;
  mrb_value found = mrb_ary_new(mrb);
  mrbc_context *context = mrbc_context_new(mrb);
  context->capture_errors = TRUE;
  mrbc_filename(mrb, context, source->file);
  struct mrb_parser_state *parser =
      mrb_parse_nstring(mrb, source->bytes.start, source->bytes.count, context);
  if (parser && parser->nerr == 0) {
    struct RProc *proc = mrb_generate_code(mrb, parser);
    if (proc) definitions(mrb, proc->body.irep, found);
  }
  if (parser) mrb_parser_free(parser);
  mrbc_context_free(mrb, context);
  return found;
}

cmr_result cmr_definitions(cmr_vm *vm, cmr_bytes bytes, const char *file) {
  return cmr_guard(vm, read_definitions, &(struct source){bytes, file});
}
