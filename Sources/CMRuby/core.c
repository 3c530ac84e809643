// Methods of mruby's own that call a script's code from C, where nothing can wait: made so that it is called
// as Ruby calls it. And what of the library is the same in every process, but must not be.

#include "internal.h"

#include <mruby/istruct.h>
#include <sys/random.h>

// Leaves a function for a block, and continues the caller with the block's value.
#if CMR_MRUBY != 301 && CMR_MRUBY != 303
#error "core.c was tried with mruby 3.1.0 and 3.3.0: compare mrb_yield_cont in vm.c, hash.c, struct.c and random.c first"
#endif

static mrb_func_t function_of(mrb_state *mrb, struct RClass *klass, const char *name) {
  mrb_method_t method = mrb_method_search_vm(mrb, &klass, mrb_intern_cstr(mrb, name));
  bool is_function = !MRB_METHOD_UNDEF_P(method) && MRB_METHOD_CFUNC_P(method);
  return is_function ? MRB_METHOD_CFUNC(method) : NULL;
}

// MARK: Hash#[]

static mrb_value fetch(mrb_state *mrb, mrb_value self) {
  cmr_vm *vm = mrb->ud;
  mrb_value key = mrb_get_arg1(mrb);
  mrb_value value = mrb_hash_fetch(mrb, self, key, mrb_undef_value());
  if (!mrb_undef_p(value)) return value;
  mrb_callinfo *ci = mrb->c->ci;
  bool has_block = MRB_RHASH_PROCDEFAULT_P(self) && ci->cci == 0 && vm->hash_default &&
      mrb_func_basic_p(mrb, self, mrb_intern_lit(mrb, "default"), vm->hash_default);
  mrb_value block =
      has_block ? mrb_iv_get(mrb, self, mrb_intern_lit(mrb, "ifnone")) : mrb_nil_value();
  if (!mrb_proc_p(block)) return mrb_hash_get(mrb, self, key);
  const struct RProc *proc = mrb_proc_ptr(block);
  if (MRB_PROC_CFUNC_P(proc) || !MRB_PROC_ENV_P(proc)) return mrb_hash_get(mrb, self, key);
  if (MRB_PROC_TARGET_CLASS(proc)) ci->u.target_class = MRB_PROC_TARGET_CLASS(proc);
  mrb_value values[] = {self, key};
  return mrb_yield_cont(mrb, block, MRB_PROC_ENV(proc)->stack[0], 2, values);
}

// MARK: Struct.new

// Instances of the classes that it makes are made as those of any class are: `initialize` is called from Ruby.
static mrb_value make_struct(mrb_state *mrb, mrb_value self) {
  cmr_vm *vm = mrb->ud;
  mrb_value made = vm->struct_new(mrb, self);
  if (mrb_type(made) == MRB_TT_CLASS && vm->class_new) {
    mrb_method_t method;
    MRB_METHOD_FROM_PROC(method, (struct RProc *)vm->class_new);
    mrb_define_method_raw(mrb, mrb_singleton_class_ptr(mrb, made), vm->new, method);
  }
  return made;
}

// MARK: Random

// mruby begins with the same numbers in every process.
static void seed(mrb_value random) {
  enum { STATE = 4 * sizeof(uint32_t) };
  _Static_assert(STATE <= ISTRUCT_DATA_SIZE, "the state of a generator is in the object");
  if (mrb_type(random) != MRB_TT_ISTRUCT) return;
  uint32_t state[4] = {0};
  // Early in a boot there may be nothing to be had: the state stays as it is then.
  if (getrandom(state, sizeof state, 0) != sizeof state) return;
  state[0] |= 1; // all zeros would stay so
  memcpy(mrb_istruct_ptr(random), state, sizeof state);
}

// The generator that `rand` without a receiver takes its numbers from.
static mrb_value default_random(mrb_state *mrb, struct RClass *random) {
#if CMR_MRUBY == 301
  return mrb_const_get(mrb, mrb_obj_value(random), mrb_intern_lit(mrb, "DEFAULT"));
#else
  return mrb_iv_get(mrb, mrb_obj_value(random), mrb_intern_lit(mrb, "mruby_Random"));
#endif
}

static mrb_value initialize_random(mrb_state *mrb, mrb_value self) {
  ((cmr_vm *)mrb->ud)->random_initialize(mrb, self);
  if (mrb_get_argc(mrb) == 0) seed(self);
  return self;
}

// MARK: Methods that come later

// A class may have got a member that it had not when one of its instances was looked at.
static mrb_value method_added(mrb_state *mrb, mrb_value self) {
  (void)self;
  cmr_forget_members(mrb->ud);
  return mrb_nil_value();
}

void cmr_mend_core(cmr_vm *vm) {
  mrb_state *mrb = vm->mrb;
  vm->hash_default = function_of(mrb, mrb->hash_class, "default");
  mrb_define_method(mrb, mrb->hash_class, "[]", fetch, MRB_ARGS_REQ(1));

  struct RClass *structs = mrb_class_get(mrb, "Struct");
  struct RClass *singleton = mrb_singleton_class_ptr(mrb, mrb_obj_value(structs));
  vm->struct_new = function_of(mrb, singleton, "new");
  if (vm->struct_new) mrb_define_method(mrb, singleton, "new", make_struct, MRB_ARGS_ANY());

  struct RClass *random = mrb_class_get(mrb, "Random");
  vm->random_initialize = function_of(mrb, random, "initialize");
  if (vm->random_initialize) {
    mrb_define_method(mrb, random, "initialize", initialize_random, MRB_ARGS_OPT(1));
  }
  seed(default_random(mrb, random));

  mrb_define_method(mrb, mrb->module_class, "method_added", method_added, MRB_ARGS_REQ(1));
  struct RClass *basic = mrb_class_get(mrb, "BasicObject");
  mrb_define_method(mrb, basic, "singleton_method_added", method_added, MRB_ARGS_REQ(1));
}
