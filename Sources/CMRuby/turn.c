// Fibers that call a method again and again, and may wait in the middle of it.
//
// Invariants: no exception leaves a fiber (its source rescues all; what comes out all the same ends the
// fiber, not the process). A fiber is resumed from Ruby, never from C: `drive` is the source that does it.
// mruby takes a fiber that C resumed for one that has ended as soon as it comes to a method without a
// class, or a block is left through a C function, and forgets the variables of the fiber that resumed it.
// A fiber of the host's is resumed by the host alone, and is at rest, waits, or is given up.

#include "internal.h"

// Sets the parameters of a fiber, marks its object, and looks at its calls.
#if CMR_MRUBY != 301 && CMR_MRUBY != 303
#error "turn.c was tried with mruby 3.1.0 and 3.3.0: compare mruby's fiber.c and struct mrb_context first"
#endif

static const char drive[] = "->(turns, outcome) { turns.go(outcome) }";

// A fiber's object has no flags of its own in mruby but whether it is frozen. One that is given up waits for
// what it will not be told.
enum { HOSTS_FIBER = 1, GIVEN_UP = 2 };

static bool is_hosts(const struct RFiber *fiber) { return fiber && fiber->flags & HOSTS_FIBER; }

struct turn {
  cmr_value fiber, receiver;
  uint32_t count;
  const cmr_arguments *arguments;
};

static mrb_value make_argument(mrb_state *mrb, const cmr_argument *argument) {
  switch (argument->kind) {
    case CMR_ARGUMENT_VALUE: return cmr_unwrap(argument->value);
    case CMR_ARGUMENT_INTEGER: return mrb_int_value(mrb, argument->integer);
    case CMR_ARGUMENT_BYTES:
      return mrb_str_new(mrb, argument->bytes.start, argument->bytes.count);
  }
  return mrb_nil_value();
}

// The parameters of a fiber's block, which are its first local variables: the receiver, then the
// arguments. Before them stands self.
static mrb_value *parameters(const struct mrb_context *context) { return context->stbase + 1; }

// What a fiber of the host's that is suspended has for a stack; NULL for anything else.
static const struct mrb_context *suspended(cmr_value fiber) {
  mrb_value value = cmr_unwrap(fiber);
  if (mrb_type(value) != MRB_TT_FIBER) return NULL;
  const struct RFiber *object = (const struct RFiber *)mrb_ptr(value);
  if (!is_hosts(object) || object->flags & GIVEN_UP) return NULL;
  return object->cxt && object->cxt->status == MRB_FIBER_SUSPENDED ? object->cxt : NULL;
}

static mrb_value go_on(mrb_state *mrb, const struct turn *turn, mrb_value outcome) {
  cmr_vm *vm = mrb->ud;
  vm->going = turn->fiber;
  mrb_value values[] = {vm->turns, outcome};
  return mrb_yield_with_class(mrb, vm->drive, 2, values, mrb_nil_value(), mrb->object_class);
}

// A fiber that is at rest finds the receiver and the arguments in its parameters when it goes on.
static mrb_value turn_call(mrb_state *mrb, void *data) {
  const struct turn *turn = data;
  const struct mrb_context *context = suspended(turn->fiber);
  if (!context) mrb_raise(mrb, E_FIBER_ERROR, "the fiber is not at rest");
  uint32_t count = turn->count < CMR_MOST_ARGUMENTS ? turn->count : CMR_MOST_ARGUMENTS;
  mrb_value *place = parameters(context);
  place[0] = cmr_unwrap(turn->receiver);
  for (uint32_t i = 0; i < count; i++) place[i + 1] = make_argument(mrb, &turn->arguments->at[i]);
  return go_on(mrb, turn, mrb_nil_value());
}

static mrb_value turn_continue(mrb_state *mrb, void *data) {
  const struct turn *turn = data;
  if (!suspended(turn->fiber)) mrb_raise(mrb, E_FIBER_ERROR, "the fiber does not wait");
  return go_on(mrb, turn, cmr_unwrap(turn->receiver));
}

static mrb_value lost_fiber(mrb_state *mrb, void *data) {
  (void)data;
  return mrb_exc_new_str(
      mrb, E_FIBER_ERROR, mrb_str_new_lit(mrb, "the method gave its fiber away and did not end"));
}

static cmr_turn run_turn(cmr_vm *vm, mrb_protect_error_func *body, struct turn *turn) {
  // A stretch may run inside another one.
  struct cmr_stretch outer = vm->stretch;
  vm->stretch = (struct cmr_stretch){.made = mrb_nil_value()};
  cmr_result result = cmr_guard(vm, body, turn);
  struct cmr_stretch stretch = vm->stretch;
  vm->stretch = outer;
  vm->going = cmr_nil();
  const struct mrb_context *context = suspended(turn->fiber);
  cmr_turn out = {.value = result.value, .outcome = CMR_RETURNED};
  if (!result.raised && context && stretch.rested) {
    if (stretch.raised) out.outcome = CMR_RAISED;
  } else if (!result.raised && context && result.value.word == cmr_wrap(vm->parked).word) {
    out.outcome = CMR_PARKED;
    stretch.made = parameters(context)[0];
  } else {
    out.outcome = CMR_ENDED;
    stretch.made = mrb_nil_value();
    if (context) ((struct RFiber *)mrb_ptr(cmr_unwrap(turn->fiber)))->flags |= GIVEN_UP;
    if (!result.raised) out.value = cmr_guard(vm, lost_fiber, NULL).value;
  }
  // A fiber at rest has forgotten it: the arena keeps it until the caller has looked.
  out.made = cmr_wrap(stretch.made);
  if (out.made.word != turn->receiver.word) mrb_gc_protect(vm->mrb, stretch.made);
  return out;
}

cmr_turn cmr_turn_call(
    cmr_vm *vm, cmr_value fiber, cmr_value receiver, uint32_t count,
    const cmr_arguments *arguments) {
  return run_turn(vm, turn_call, &(struct turn){fiber, receiver, count, arguments});
}

cmr_turn cmr_turn_continue(cmr_vm *vm, cmr_value fiber, cmr_value outcome) {
  return run_turn(vm, turn_continue, &(struct turn){.fiber = fiber, .receiver = outcome});
}

// MARK: What the source of a fiber calls

// These are called all the time: they are no natives of Swift's. They belong to an object that no
// constant leads to, and trust no caller all the same.

// The block of the host's fiber that runs, which is what calls; raises FiberError for any other caller.
static const struct RProc *body_that_calls(mrb_state *mrb) {
  const struct mrb_context *context = mrb->c;
  const struct RProc *body = context->cibase->proc;
  bool is_body = is_hosts(context->fib) && context->ci == context->cibase + 1 && context->ci->cci == 0;
  if (!is_body || !body || MRB_PROC_CFUNC_P(body)) {
    mrb_raise(mrb, E_FIBER_ERROR, "only a fiber of the host's ends a call");
  }
  return body;
}

// Yields to the host what a call came to, and forgets everything of it: an idle fiber keeps no file's
// content alive.
static mrb_value rest(mrb_state *mrb, mrb_value self) {
  (void)self;
  cmr_vm *vm = mrb->ud;
  mrb_value result = mrb_get_arg1(mrb);
  const struct mrb_context *context = mrb->c;
  const struct RProc *body = body_that_calls(mrb);
  mrb_value *first = parameters(context);
  vm->stretch.made = first[0];
  vm->stretch.rested = true;
  for (int i = 0; i < body->body.irep->nlocals - 1; i++) first[i] = mrb_nil_value();
  return mrb_fiber_yield(mrb, 1, &result);
}

// Says that what a call ends with is an exception, and returns it.
static mrb_value raised(mrb_state *mrb, mrb_value self) {
  (void)self;
  body_that_calls(mrb);
  ((cmr_vm *)mrb->ud)->stretch.raised = true;
  return mrb_get_arg1(mrb);
}

// Resumes the fiber that is to go on.
static mrb_value go(mrb_state *mrb, mrb_value self) {
  (void)self;
  cmr_vm *vm = mrb->ud;
  mrb_value fiber = cmr_unwrap(vm->going);
  vm->going = cmr_nil();
  if (mrb_nil_p(fiber) || mrb->c->ci->cci > 0) mrb_raise(mrb, E_FIBER_ERROR, "no fiber is to go on");
  return vm->fiber_resume(mrb, fiber);
}

static mrb_value initialize(mrb_state *mrb, mrb_value self) {
  cmr_vm *vm = mrb->ud;
  vm->fiber_initialize(mrb, self);
  // mruby 3.1 forgets it: methods and blocks that are defined in the fiber would belong to no class.
  struct mrb_context *context = ((struct RFiber *)mrb_ptr(self))->cxt;
  struct RClass *klass = MRB_PROC_TARGET_CLASS(context->cibase->proc);
  for (int i = 0; i < 2; i++) {
    if (!context->cibase[i].u.target_class) context->cibase[i].u.target_class = klass;
  }
  return self;
}

// Makes a fiber of the host's of a block, whatever has become of Fiber.new; `start` brings it to rest.
static mrb_value fiber(mrb_state *mrb, mrb_value self) {
  (void)self;
  cmr_vm *vm = mrb->ud;
  struct RClass *klass = mrb_class_ptr(vm->fiber_class);
  mrb_value made = mrb_obj_value(mrb_obj_alloc(mrb, MRB_TT_FIBER, klass));
  initialize(mrb, made);
  ((struct RFiber *)mrb_ptr(made))->flags |= HOSTS_FIBER;
  vm->going = cmr_wrap(made);
  return made;
}

// MARK: Fibers of the script's own

static mrb_value guarded_resume(mrb_state *mrb, mrb_value self) {
  cmr_vm *vm = mrb->ud;
  const struct RFiber *object = (const struct RFiber *)mrb_ptr(self);
  if (is_hosts(object)) mrb_raise(mrb, E_FIBER_ERROR, "an operation runs in the fiber");
  if (object->cxt == mrb->c || object->cxt == mrb->root_c) {
    mrb_raise(mrb, E_FIBER_ERROR, "attempt to resume the current fiber");
  }
  if (mrb->c->ci->cci > 0) mrb_raise(mrb, E_FIBER_ERROR, "can't resume from a C function");
  // Each fiber may go as deep as mruby lets it, but all of them stand on one stack of C's.
  if (cmr_stack_is_short()) mrb_exc_raise(mrb, mrb_obj_value(mrb->stack_err));
  return vm->fiber_resume(mrb, self);
}

// The host's fibers yield to the host alone. A Fiber.yield of the script's outside of its own fibers
// would leave a hook unfinished: it raises, as it does in Ruby.
static mrb_value guarded_yield(mrb_state *mrb, mrb_value self) {
  if (is_hosts(mrb->c->fib)) mrb_raise(mrb, E_FIBER_ERROR, "can't yield from root fiber");
  return ((cmr_vm *)mrb->ud)->fiber_yield(mrb, self);
}

static mrb_func_t function_of(mrb_state *mrb, struct RClass *klass, const char *name) {
  mrb_method_t method = mrb_method_search_vm(mrb, &klass, mrb_intern_cstr(mrb, name));
  if (MRB_METHOD_UNDEF_P(method) || !MRB_METHOD_CFUNC_P(method)) {
    mrb_raisef(mrb, E_NOTIMP_ERROR, "Fiber has no %s", name);
  }
  return MRB_METHOD_CFUNC(method);
}

void cmr_prepare_turns(cmr_vm *vm) {
  mrb_state *mrb = vm->mrb;
  struct RClass *klass = mrb_class_get(mrb, "Fiber");
  vm->fiber_class = mrb_obj_value(klass);
  mrb_gc_register(mrb, vm->fiber_class);
  struct RClass *singleton = mrb_singleton_class_ptr(mrb, vm->fiber_class);
  vm->fiber_initialize = function_of(mrb, klass, "initialize");
  vm->fiber_resume = function_of(mrb, klass, "resume");
  vm->fiber_yield = function_of(mrb, singleton, "yield");
  mrb_define_method(mrb, klass, "initialize", initialize, MRB_ARGS_NONE() | MRB_ARGS_BLOCK());
  mrb_define_method(mrb, klass, "resume", guarded_resume, MRB_ARGS_ANY());
  mrb_define_method(mrb, singleton, "__yield", vm->fiber_yield, MRB_ARGS_ANY());
  mrb_define_method(mrb, singleton, "yield", guarded_yield, MRB_ARGS_ANY());

  vm->turns = mrb_obj_new(mrb, mrb->object_class, 0, NULL);
  mrb_gc_register(mrb, vm->turns);
  struct RClass *turns = mrb_singleton_class_ptr(mrb, vm->turns);
  mrb_define_method(mrb, turns, "rest", rest, MRB_ARGS_REQ(1));
  mrb_define_method(mrb, turns, "raised", raised, MRB_ARGS_REQ(1));
  mrb_define_method(mrb, turns, "fiber", fiber, MRB_ARGS_BLOCK());
  mrb_define_method(mrb, turns, "start", go, MRB_ARGS_NONE());
  mrb_define_method(mrb, turns, "go", go, MRB_ARGS_REQ(1));
  vm->drive = mrb_load_nstring(mrb, drive, sizeof drive - 1);
  mrb_gc_register(mrb, vm->drive);
  cmr_close_top_level(mrb);
}

cmr_value cmr_turns(const cmr_vm *vm) { return cmr_wrap(vm->turns); }
cmr_value cmr_parked(const cmr_vm *vm) { return cmr_wrap(vm->parked); }

// MARK: Which fiber runs

bool cmr_can_park(const cmr_vm *vm, cmr_value fiber) {
  mrb_value root = cmr_unwrap(fiber);
  if (mrb_type(root) != MRB_TT_FIBER) return false;
  const struct RFiber *host = (const struct RFiber *)mrb_ptr(root);
  for (const struct mrb_context *c = vm->mrb->c; c; c = c->prev) {
    for (const mrb_callinfo *ci = c->ci; ci >= c->cibase; ci--) {
      if (ci->cci > 0) return false;
    }
    if (c->fib == host) return true;
  }
  return false;
}
