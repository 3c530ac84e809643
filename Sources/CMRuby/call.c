// Calls: methods, blocks, and the members of stat-likes.

#include "internal.h"

// Reads the parameters of a method off its code, sets those of a fiber, and looks at its calls.
#if CMR_MRUBY != 301 && CMR_MRUBY != 303
#error "call.c was tried with mruby 3.1.0 and 3.3.0: compare mruby's fiber.c, proc.h and struct mrb_context first"
#endif

struct send {
  cmr_value receiver;
  cmr_symbol method;
  int64_t count;
  const cmr_value *arguments;
};

static mrb_value send_method(mrb_state *mrb, void *data) {
  struct send *send = data;
  return mrb_funcall_argv(
      mrb, cmr_unwrap(send->receiver), send->method, send->count,
      (const mrb_value *)send->arguments);
}

cmr_result cmr_send(
    cmr_vm *vm, cmr_value receiver, cmr_symbol method, int64_t count,
    const cmr_value *arguments) {
  return cmr_guard(vm, send_method, &(struct send){receiver, method, count, arguments});
}

static mrb_value call_proc(mrb_state *mrb, void *data) {
  const struct send *send = data;
  mrb_value proc = cmr_unwrap(send->receiver);
  if (!mrb_proc_p(proc) || !MRB_PROC_ENV_P(mrb_proc_ptr(proc))) {
    mrb_raise(mrb, E_TYPE_ERROR, "not a block");
  }
  return mrb_yield_argv(mrb, proc, send->count, (const mrb_value *)send->arguments);
}

cmr_result cmr_call_proc(cmr_vm *vm, cmr_value proc, int64_t count, const cmr_value *arguments) {
  return cmr_guard(vm, call_proc, &(struct send){proc, 0, count, arguments});
}

// MARK: Arity

static int32_t accepts(cmr_vm *vm, struct RClass *klass, cmr_symbol name) {
  mrb_method_t method = mrb_method_search_vm(vm->mrb, &klass, name);
  if (MRB_METHOD_UNDEF_P(method)) return -1;
  // A C function, and a method made of one, reads its arguments itself.
  if (MRB_METHOD_CFUNC_P(method)) return MRB_METHOD_NOARG_P(method) ? 0 : CMR_ANY;
  const struct RProc *proc = cmr_aliased(MRB_METHOD_PROC(method));
  if (MRB_PROC_CFUNC_P(proc)) return CMR_ANY;
  const mrb_irep *irep = proc->body.irep;
  if (!irep || *irep->iseq != OP_ENTER) return 0;
  const mrb_code *code = irep->iseq + 1;
  mrb_aspec spec = (mrb_aspec)code[0] << 16 | (mrb_aspec)code[1] << 8 | code[2];
  if (MRB_ASPEC_REST(spec)) return CMR_ANY;
  return (int32_t)(MRB_ASPEC_REQ(spec) + MRB_ASPEC_OPT(spec) + MRB_ASPEC_POST(spec));
}

int32_t cmr_accepts(cmr_vm *vm, cmr_value receiver, cmr_symbol method) {
  return accepts(vm, mrb_class(vm->mrb, cmr_unwrap(receiver)), method);
}

int32_t cmr_instances_accept(cmr_vm *vm, cmr_value klass, cmr_symbol method) {
  if (mrb_type(cmr_unwrap(klass)) != MRB_TT_CLASS) return -1;
  return accepts(vm, mrb_class_ptr(cmr_unwrap(klass)), method);
}

const struct RProc *cmr_source_of_new(const cmr_vm *vm, struct RClass *klass) {
  mrb_method_t method = mrb_method_search_vm(vm->mrb, &klass, vm->new);
  if (MRB_METHOD_UNDEF_P(method) || MRB_METHOD_FUNC_P(method)) return NULL;
  return MRB_METHOD_PROC(method);
}

bool cmr_makes_plainly(cmr_vm *vm, cmr_value klass, cmr_symbol method) {
  struct RClass *given = mrb_class(vm->mrb, cmr_unwrap(klass));
  return vm->class_new && cmr_source_of_new(vm, given) == vm->class_new &&
         cmr_instances_accept(vm, klass, method) >= 0;
}

// MARK: Members

struct members {
  cmr_value object;
  const cmr_symbol *names;
  uint32_t count;
  cmr_value *values;
  uint32_t present;
};

static mrb_value read_hash(mrb_state *mrb, struct members *members) {
  mrb_value hash = cmr_unwrap(members->object);
  for (uint32_t i = 0; i < members->count; i++) {
    mrb_value key = mrb_symbol_value(members->names[i]);
    mrb_value value = mrb_hash_fetch(mrb, hash, key, mrb_undef_value());
    if (mrb_undef_p(value)) {
      value = mrb_hash_fetch(mrb, hash, mrb_sym_str(mrb, members->names[i]), mrb_undef_value());
    }
    if (mrb_undef_p(value) || mrb_nil_p(value)) continue;
    members->values[i] = cmr_wrap(value);
    members->present |= 1u << i;
  }
  return mrb_nil_value();
}

static struct cmr_shape *shape_slot(cmr_vm *vm, const struct RClass *klass) {
  return &vm->shapes[((uintptr_t)klass >> 5) % CMR_SHAPES];
}

// Finds out which members of a Struct are read by its own accessors, and where their values stand.
// An instance has its values as an Array has its elements; what an accessor returns for this object
// is the proof.
static void find_plain(mrb_state *mrb, const struct members *members, struct cmr_shape *shape) {
  mrb_value object = cmr_unwrap(members->object);
  if (mrb_type(object) != MRB_TT_STRUCT) return;
  mrb_value names = mrb_funcall(mrb, object, "members", 0);
  if (!mrb_array_p(names)) return;
  for (uint32_t i = 0; i < members->count; i++) {
    struct RClass *found = shape->klass;
    mrb_method_t method = mrb_method_search_vm(mrb, &found, members->names[i]);
    if (MRB_METHOD_UNDEF_P(method) || !MRB_METHOD_CFUNC_P(method)) continue;
    for (mrb_int j = 0; j < RARRAY_LEN(names) && j < RARRAY_LEN(object) && j <= UINT8_MAX; j++) {
      mrb_value name = RARRAY_PTR(names)[j];
      if (!mrb_symbol_p(name) || mrb_symbol(name) != members->names[i]) continue;
      mrb_value answer = mrb_funcall_argv(mrb, object, members->names[i], 0, NULL);
      if (answer.w != RARRAY_PTR(object)[j].w) continue;
      shape->plain |= 1u << i;
      shape->place[i] = (uint8_t)j;
    }
  }
}

static struct cmr_shape *shape_of(mrb_state *mrb, const struct members *members) {
  cmr_vm *vm = mrb->ud;
  struct RClass *klass = mrb_class(mrb, cmr_unwrap(members->object));
  struct cmr_shape *shape = shape_slot(vm, klass);
  if (shape->klass == klass && shape->names == members->names) return shape;
  *shape = (struct cmr_shape){.klass = klass, .names = members->names};
  for (uint32_t i = 0; i < members->count; i++) {
    struct RClass *found = klass;
    mrb_method_t method = mrb_method_search_vm(mrb, &found, members->names[i]);
    if (!MRB_METHOD_UNDEF_P(method)) shape->present |= 1u << i;
  }
  mrb_ary_set(mrb, vm->shape_classes, shape - vm->shapes, mrb_obj_value(klass));
  find_plain(mrb, members, shape);
  return shape;
}

static void set_member(struct members *members, unsigned i, cmr_value value) {
  if (value.word == cmr_nil().word) return;
  members->values[i] = value;
  members->present |= 1u << i;
}

static void read_plain(const struct cmr_shape *shape, struct members *members) {
  for (uint32_t rest = shape->plain; rest; rest &= rest - 1) {
    unsigned i = (unsigned)__builtin_ctz(rest);
    mrb_value values = cmr_unwrap(members->object);
    if (shape->place[i] >= RARRAY_LEN(values)) continue;
    set_member(members, i, cmr_wrap(RARRAY_PTR(values)[shape->place[i]]));
  }
}

static mrb_value read_members(mrb_state *mrb, void *data) {
  struct members *members = data;
  if (mrb_hash_p(cmr_unwrap(members->object))) return read_hash(mrb, members);
  // A copy: an accessor of the script's may read members of something else.
  struct cmr_shape shape = *shape_of(mrb, members);
  for (uint32_t rest = shape.present & ~shape.plain; rest; rest &= rest - 1) {
    unsigned i = (unsigned)__builtin_ctz(rest);
    mrb_value object = cmr_unwrap(members->object);
    set_member(
        members, i, cmr_wrap(mrb_funcall_argv(mrb, object, members->names[i], 0, NULL)));
  }
  read_plain(&shape, members);
  return mrb_nil_value();
}

static void hold_values(cmr_vm *vm, const struct members *members) {
  for (uint32_t rest = members->present; rest; rest &= rest - 1) {
    cmr_value value = members->values[__builtin_ctz(rest)];
    if (!mrb_immediate_p(cmr_unwrap(value))) cmr_hold(vm, value);
  }
}

cmr_members cmr_read_members(
    cmr_vm *vm, cmr_value object, const cmr_symbol *names, uint32_t count, cmr_value *values) {
  struct members members = {object, names, count > 32 ? 32 : count, values, 0};
  // An accessor may change what holds the object, and what is done with one value may free the others:
  // the arena keeps them until the caller has looked at all.
  cmr_hold(vm, object);
  const struct RClass *klass = mrb_class(vm->mrb, cmr_unwrap(object));
  const struct cmr_shape *shape = shape_slot(vm, klass);
  if (shape->klass == klass && shape->names == names && shape->plain == shape->present) {
    // A Struct with accessors of its own only: nothing is called, so nothing can raise.
    read_plain(shape, &members);
    hold_values(vm, &members);
    return (cmr_members){.present = members.present};
  }
  cmr_result result = cmr_guard(vm, read_members, &members);
  if (result.raised) members.present = 0;
  hold_values(vm, &members);
  return (cmr_members){
      .present = members.present, .raised = result.raised, .exception = result.value};
}

void cmr_forget_members(cmr_vm *vm) {
  for (size_t i = 0; i < CMR_SHAPES; i++) vm->shapes[i].klass = NULL;
}
