// The world of a script: what its classes and modules are made of, taken down, cleared and put back.
//
// A method, a constant or an ancestor of a class is a row in a table of mruby's; a saved world is a
// copy of all those rows. Objects themselves are not copied: an instance keeps its variables whatever
// is done here.
//
// Invariants: everything that a saved world points at is kept alive by its `alive`. Tables are read to
// the end before they are changed. A class with prepended modules keeps its ancestors: its methods
// have moved to another place, which only mruby may undo.

#include "internal.h"

#include <mruby/data.h>
#include <stdlib.h>

// Copies the tables of classes, and compares the code of methods.
#if CMR_MRUBY != 301 && CMR_MRUBY != 303
#error "world.c was tried with mruby 3.1.0 and 3.3.0: compare mruby's class.c, struct RClass and struct mrb_irep first"
#endif

struct method {
  mrb_sym name;
  mrb_method_t body;
};

struct variable {
  mrb_sym name;
  mrb_value value;
};

// A class, a module, or the singleton class of one or of `main`; variables are constants, too.
struct room {
  struct RClass *klass;
  struct RClass *super;
  size_t methods, method_count;
  size_t variables, variable_count;
};

// A list that grows.
struct list {
  void *items;
  size_t count, capacity;
};

struct cmr_world {
  struct list rooms, methods, variables;
  size_t globals;
  mrb_value alive;
};

#define ITEM(type, list, index) (((type *)(list).items)[index])

// The new last item; NULL when out of memory.
static void *append(struct list *list, size_t size) {
  void *items = cmr_room(list->items, list->count, &list->capacity, size);
  if (!items) return NULL;
  list->items = items;
  return (char *)list->items + size * list->count++;
}

// MARK: Taking down

struct collection {
  struct list *list;
  bool failed;
};

static int collect_method(mrb_state *mrb, mrb_sym name, mrb_method_t body, void *data) {
  (void)mrb;
  struct collection *collection = data;
  struct method *method = append(collection->list, sizeof *method);
  if (!method) return collection->failed = true;
  memset(method, 0, sizeof *method);
  method->name = name;
  method->body = body;
  return 0;
}

static int collect_variable(mrb_state *mrb, mrb_sym name, mrb_value value, void *data) {
  (void)mrb;
  struct collection *collection = data;
  struct variable *variable = append(collection->list, sizeof *variable);
  if (!variable) return collection->failed = true;
  *variable = (struct variable){name, value};
  return 0;
}

// What a singleton class is that of; NULL for any other class.
static struct RBasic *attached(mrb_state *mrb, struct RClass *klass) {
  if (klass->tt != MRB_TT_SCLASS) return NULL;
  mrb_value object = mrb_iv_get(mrb, mrb_obj_value(klass), mrb_intern_lit(mrb, "__attached__"));
  return mrb_immediate_p(object) ? NULL : mrb_basic_ptr(object);
}

static bool is_room(mrb_state *mrb, struct RBasic *object) {
  switch (object->tt) {
    case MRB_TT_CLASS:
    case MRB_TT_MODULE: return true;
    case MRB_TT_SCLASS: {
      struct RBasic *owner = attached(mrb, (struct RClass *)object);
      return owner &&
          (owner->tt == MRB_TT_CLASS || owner->tt == MRB_TT_MODULE ||
           owner == (struct RBasic *)mrb->top_self);
    }
    default: return false;
  }
}

static int collect_room(mrb_state *mrb, struct RBasic *object, void *data) {
  struct collection *collection = data;
  if (mrb_object_dead_p(mrb, object) || !is_room(mrb, object)) return MRB_EACH_OBJ_OK;
  struct room *room = append(collection->list, sizeof *room);
  if (!room) {
    collection->failed = true;
    return MRB_EACH_OBJ_BREAK;
  }
  *room = (struct room){.klass = (struct RClass *)object};
  return MRB_EACH_OBJ_OK;
}

static int by_address(const void *a, const void *b) {
  uintptr_t left = (uintptr_t)((const struct room *)a)->klass;
  uintptr_t right = (uintptr_t)((const struct room *)b)->klass;
  return (left > right) - (left < right);
}

static const struct room *find_room(const cmr_world *world, struct RClass *klass) {
  if (world->rooms.count == 0) return NULL;
  struct room wanted = {.klass = klass};
  return bsearch(
      &wanted, world->rooms.items, world->rooms.count, sizeof wanted, by_address);
}

// The class whose table holds the methods: another one behind prepended modules.
static struct RClass *origin(struct RClass *klass) {
  MRB_CLASS_ORIGIN(klass);
  return klass;
}

static bool save_methods(mrb_state *mrb, struct RClass *klass, struct list *list) {
  struct collection collection = {list, false};
  mrb_mt_foreach(mrb, origin(klass), collect_method, &collection);
  return !collection.failed;
}

static bool save_variables(mrb_state *mrb, struct RClass *klass, struct list *list) {
  // A singleton class has none but what it is attached to.
  if (klass->tt == MRB_TT_SCLASS) return true;
  struct collection collection = {list, false};
  mrb_iv_foreach(mrb, mrb_obj_value(klass), collect_variable, &collection);
  return !collection.failed;
}

static bool save_globals(mrb_state *mrb, struct list *list) {
  mrb_value names = mrb_f_global_variables(mrb, mrb_nil_value());
  for (mrb_int i = 0; i < RARRAY_LEN(names); i++) {
    mrb_sym name = mrb_symbol(RARRAY_PTR(names)[i]);
    struct variable *variable = append(list, sizeof *variable);
    if (!variable) return false;
    *variable = (struct variable){name, mrb_gv_get(mrb, name)};
  }
  return true;
}

static void keep_alive(mrb_state *mrb, cmr_world *world) {
  mrb_value alive = world->alive;
  for (size_t i = 0; i < world->rooms.count; i++) {
    struct room *room = &ITEM(struct room, world->rooms, i);
    mrb_ary_push(mrb, alive, mrb_obj_value(room->klass));
    if (room->super) mrb_ary_push(mrb, alive, mrb_obj_value(room->super));
  }
  for (size_t i = 0; i < world->methods.count; i++) {
    mrb_method_t body = ITEM(struct method, world->methods, i).body;
    if (MRB_METHOD_UNDEF_P(body) || !MRB_METHOD_PROC_P(body)) continue;
    struct RProc *proc = (struct RProc *)MRB_METHOD_PROC(body);
    // mruby's own library lies in read-only memory, and lives for ever.
    if (proc->color != MRB_GC_RED) mrb_ary_push(mrb, alive, mrb_obj_value(proc));
  }
  for (size_t i = 0; i < world->variables.count; i++) {
    mrb_ary_push(mrb, alive, ITEM(struct variable, world->variables, i).value);
  }
}

static mrb_value save(mrb_state *mrb, void *data) {
  cmr_world *world = data;
  struct collection collection = {&world->rooms, false};
  // This collects first, so what is garbage is not taken for a class.
  mrb_objspace_each_objects(mrb, collect_room, &collection);
  mrb->gc.disabled = TRUE;
  bool complete = !collection.failed;
  qsort(world->rooms.items, world->rooms.count, sizeof(struct room), by_address);
  for (size_t i = 0; complete && i < world->rooms.count; i++) {
    struct room *room = &ITEM(struct room, world->rooms, i);
    room->super = room->klass->super;
    room->methods = world->methods.count;
    room->variables = world->variables.count;
    complete = save_methods(mrb, room->klass, &world->methods) &&
        save_variables(mrb, room->klass, &world->variables);
    room->method_count = world->methods.count - room->methods;
    room->variable_count = world->variables.count - room->variables;
  }
  world->globals = world->variables.count;
  if (!complete || !save_globals(mrb, &world->variables)) {
    mrb_raise(mrb, E_RUNTIME_ERROR, "out of memory");
  }
  keep_alive(mrb, world);
  return mrb_nil_value();
}

static mrb_value make_alive(mrb_state *mrb, void *data) {
  cmr_world *world = data;
  world->alive = mrb_ary_new(mrb);
  mrb_gc_register(mrb, world->alive);
  return mrb_nil_value();
}

cmr_world *cmr_world_save(cmr_vm *vm) {
  cmr_world *world = calloc(1, sizeof *world);
  if (!world) return NULL;
  int arena = mrb_gc_arena_save(vm->mrb);
  bool failed = cmr_guard(vm, make_alive, world).raised;
  if (failed) {
    free(world);
    world = NULL;
  } else {
    // Nothing is collected between finding a class and keeping it alive.
    mrb_bool disabled = vm->mrb->gc.disabled;
    failed = cmr_guard(vm, save, world).raised;
    vm->mrb->gc.disabled = disabled;
  }
  mrb_gc_arena_restore(vm->mrb, arena);
  if (world && failed) {
    cmr_world_free(vm, world);
    world = NULL;
  }
  return world;
}

void cmr_world_free(cmr_vm *vm, cmr_world *world) {
  mrb_gc_unregister(vm->mrb, world->alive);
  free(world->rooms.items);
  free(world->methods.items);
  free(world->variables.items);
  free(world);
}

// MARK: Putting back

static const struct method *find_method(
    const struct method *methods, size_t count, mrb_sym name) {
  for (size_t i = 0; i < count; i++) {
    if (methods[i].name == name) return &methods[i];
  }
  return NULL;
}

static const struct variable *find_variable(
    const struct variable *variables, size_t count, mrb_sym name) {
  for (size_t i = 0; i < count; i++) {
    if (variables[i].name == name) return &variables[i];
  }
  return NULL;
}

// Written in C: by an extension, or by attr_accessor and the like.
static bool is_native(mrb_method_t body) {
  return !MRB_METHOD_UNDEF_P(body) && MRB_METHOD_CFUNC_P(body);
}

// What core.c gives the classes that Struct.new makes, in the place of a function.
static bool is_struct_new(mrb_state *mrb, mrb_method_t body) {
  const cmr_vm *vm = mrb->ud;
  return vm->class_new && !MRB_METHOD_FUNC_P(body) && MRB_METHOD_PROC(body) == vm->class_new;
}

// Gives a class these methods and no others, except native ones where those are to stay.
static void set_methods(
    mrb_state *mrb, struct RClass *klass, const struct method *wanted, size_t count,
    bool keeps_natives) {
  struct list now = {0};
  bool complete = save_methods(mrb, klass, &now);
  for (size_t i = 0; complete && i < now.count; i++) {
    struct method *method = &ITEM(struct method, now, i);
    if (find_method(wanted, count, method->name)) continue;
    if (keeps_natives && (is_native(method->body) || is_struct_new(mrb, method->body))) continue;
    mrb_remove_method(mrb, klass, method->name);
  }
  for (size_t i = 0; complete && i < count; i++) {
    const struct method *old = find_method(now.items, now.count, wanted[i].name);
    if (old && memcmp(&old->body, &wanted[i].body, sizeof old->body) == 0) continue;
    mrb_define_method_raw(mrb, klass, wanted[i].name, wanted[i].body);
  }
  free(now.items);
  if (!complete) mrb_raise(mrb, E_RUNTIME_ERROR, "out of memory");
}

static void set_super(mrb_state *mrb, struct RClass *klass, struct RClass *super) {
  if (klass->super == super || klass->flags & MRB_FL_CLASS_IS_PREPENDED) return;
  klass->super = super;
  if (super) mrb_field_write_barrier(mrb, (struct RBasic *)klass, (struct RBasic *)super);
}

static void set_variables(
    mrb_state *mrb, struct RClass *klass, const struct variable *wanted, size_t count) {
  struct list now = {0};
  bool complete = save_variables(mrb, klass, &now);
  mrb_value object = mrb_obj_value(klass);
  for (size_t i = 0; complete && i < now.count; i++) {
    mrb_sym name = ITEM(struct variable, now, i).name;
    if (!find_variable(wanted, count, name)) mrb_iv_remove(mrb, object, name);
  }
  for (size_t i = 0; complete && i < count; i++) {
    mrb_obj_iv_set_force(mrb, (struct RObject *)klass, wanted[i].name, wanted[i].value);
  }
  free(now.items);
  if (!complete) mrb_raise(mrb, E_RUNTIME_ERROR, "out of memory");
}

static void forget_methods_found(mrb_state *mrb) {
  // Every class inherits from Object, so this is all of the method cache.
  mrb_mc_clear_by_class(mrb, mrb->object_class);
}

struct change {
  const cmr_world *base, *before, *after;
  cmr_value names;
};

static mrb_value restore(mrb_state *mrb, void *data) {
  const struct change *change = data;
  const cmr_world *world = change->before;
  for (size_t i = 0; i < change->after->rooms.count; i++) {
    // Mostly garbage now; but a module that had no methods of its own may have them since.
    struct RClass *klass = ITEM(struct room, change->after->rooms, i).klass;
    if (!find_room(world, klass)) set_methods(mrb, klass, NULL, 0, false);
  }
  for (size_t i = 0; i < world->rooms.count; i++) {
    const struct room *room = &ITEM(struct room, world->rooms, i);
    const struct method *methods = &ITEM(struct method, world->methods, room->methods);
    set_methods(mrb, room->klass, methods, room->method_count, false);
    set_super(mrb, room->klass, room->super);
    if (room->klass->tt == MRB_TT_SCLASS) continue;
    set_variables(
        mrb, room->klass, &ITEM(struct variable, world->variables, room->variables),
        room->variable_count);
  }
  const struct variable *globals = &ITEM(struct variable, world->variables, world->globals);
  for (size_t i = change->after->globals; i < change->after->variables.count; i++) {
    mrb_sym name = ITEM(struct variable, change->after->variables, i).name;
    if (find_variable(globals, world->variables.count - world->globals, name)) continue;
    mrb_gv_remove(mrb, name);
  }
  for (size_t i = world->globals; i < world->variables.count; i++) {
    struct variable *variable = &ITEM(struct variable, world->variables, i);
    mrb_gv_set(mrb, variable->name, variable->value);
  }
  forget_methods_found(mrb);
  return mrb_nil_value();
}

cmr_result cmr_world_restore(cmr_vm *vm, const cmr_world *world, const cmr_world *now) {
  return cmr_guard(vm, restore, &(struct change){.before = world, .after = now});
}

// MARK: Clearing

// Without the modules that were included.
static struct RClass *plain_super(struct RClass *klass) {
  struct RClass *super = klass->super;
  while (super && super->tt == MRB_TT_ICLASS) super = super->super;
  return super;
}

// Whether it is a class that Struct.new made, or the singleton class of one: their native methods
// are not the script's, and are not defined again when the class is used again.
static bool is_struct(mrb_state *mrb, struct RClass *klass) {
  struct RBasic *owner = attached(mrb, klass);
  if (owner && owner->tt == MRB_TT_CLASS) klass = (struct RClass *)owner;
  return klass->tt == MRB_TT_CLASS && plain_super(klass) == mrb_class_get(mrb, "Struct");
}

static mrb_value clear(mrb_state *mrb, void *data) {
  const struct change *change = data;
  const cmr_world *base = change->base;
  for (size_t i = 0; i < change->before->rooms.count; i++) {
    struct RClass *klass = ITEM(struct room, change->before->rooms, i).klass;
    const struct room *room = find_room(base, klass);
    if (room) {
      const struct method *methods = &ITEM(struct method, base->methods, room->methods);
      set_methods(mrb, klass, methods, room->method_count, false);
      set_super(mrb, klass, room->super);
    } else {
      set_methods(mrb, klass, NULL, 0, is_struct(mrb, klass));
      set_super(mrb, klass, plain_super(klass));
    }
  }
  forget_methods_found(mrb);
  return mrb_nil_value();
}

cmr_result cmr_world_clear(cmr_vm *vm, const cmr_world *base, const cmr_world *now) {
  return cmr_guard(vm, clear, &(struct change){.base = base, .before = now});
}

static bool is_constant(mrb_state *mrb, mrb_sym name) {
  mrb_int count;
  const char *text = mrb_sym_name_len(mrb, name, &count);
  return count > 0 && text[0] >= 'A' && text[0] <= 'Z';
}

static bool contains(mrb_value symbols, mrb_sym name) {
  for (mrb_int i = 0; i < RARRAY_LEN(symbols); i++) {
    if (mrb_symbol(RARRAY_PTR(symbols)[i]) == name) return true;
  }
  return false;
}

static mrb_value prune(mrb_state *mrb, void *data) {
  const struct change *change = data;
  mrb_value names = cmr_unwrap(change->names);
  for (size_t i = 0; i < change->before->rooms.count; i++) {
    const struct room *room = &ITEM(struct room, change->before->rooms, i);
    const struct room *base = find_room(change->base, room->klass);
    mrb_value module = mrb_obj_value(room->klass);
    for (size_t j = 0; j < room->variable_count; j++) {
      const struct variable *old =
          &ITEM(struct variable, change->before->variables, room->variables + j);
      if (!is_constant(mrb, old->name) || contains(names, old->name)) continue;
      const struct variable *originals =
          base ? &ITEM(struct variable, change->base->variables, base->variables) : NULL;
      if (base && find_variable(originals, base->variable_count, old->name)) continue;
      if (!mrb_obj_eq(mrb, mrb_iv_get(mrb, module, old->name), old->value)) continue;
      mrb_iv_remove(mrb, module, old->name);
    }
  }
  return mrb_nil_value();
}

cmr_result cmr_world_prune(
    cmr_vm *vm, const cmr_world *base, const cmr_world *before, cmr_value names) {
  return cmr_guard(
      vm, prune, &(struct change){.base = base, .before = before, .names = names});
}

// MARK: What changed

static bool same_pool(const mrb_irep *a, const mrb_irep *b) {
  for (uint16_t i = 0; i < a->plen; i++) {
    const mrb_pool_value *x = &a->pool[i], *y = &b->pool[i];
    // The size of a String is packed into its type; one that is static differs only in that.
    bool text = !(x->tt & IREP_TT_NFLAG);
    if (text != !(y->tt & IREP_TT_NFLAG)) return false;
    if (text) {
      if (x->tt >> 2 != y->tt >> 2 || memcmp(x->u.str, y->u.str, x->tt >> 2) != 0) return false;
    } else if (x->tt != y->tt) {
      return false;
    } else if (x->tt == IREP_TT_INT32 ? x->u.i32 != y->u.i32 : x->u.i64 != y->u.i64) {
      return false;
    }
  }
  return true;
}

static bool same_code(const mrb_irep *a, const mrb_irep *b) {
  if (a == b) return true;
  if (a->ilen != b->ilen || a->clen != b->clen || a->plen != b->plen || a->slen != b->slen ||
      a->rlen != b->rlen || a->nregs != b->nregs) {
    return false;
  }
  // The table of rescues lies behind the code.
  size_t length = a->ilen + a->clen * sizeof(struct mrb_irep_catch_handler);
  if (memcmp(a->iseq, b->iseq, length) != 0) return false;
  if (a->slen && memcmp(a->syms, b->syms, a->slen * sizeof *a->syms) != 0) return false;
  if (!same_pool(a, b)) return false;
  for (uint16_t i = 0; i < a->rlen; i++) {
    if (!same_code(a->reps[i], b->reps[i])) return false;
  }
  return true;
}

static bool same_method(mrb_method_t a, mrb_method_t b) {
  if (memcmp(&a, &b, sizeof a) == 0) return true;
  if (MRB_METHOD_UNDEF_P(a) || MRB_METHOD_UNDEF_P(b)) return false;
  // attr_accessor of the same name is the same.
  if (MRB_METHOD_CFUNC_P(a) || MRB_METHOD_CFUNC_P(b)) return is_native(a) && is_native(b);
  const struct RProc *left = cmr_aliased(MRB_METHOD_PROC(a));
  const struct RProc *right = cmr_aliased(MRB_METHOD_PROC(b));
  return same_code(left->body.irep, right->body.irep);
}

static void tell(
    mrb_state *mrb, mrb_value list, struct RClass *klass, mrb_sym name, cmr_change_kind kind) {
  struct RBasic *owner = attached(mrb, klass);
  bool is_singleton = owner != NULL;
  if (owner && owner->tt != MRB_TT_CLASS && owner->tt != MRB_TT_MODULE) owner = NULL;
  if (owner) klass = (struct RClass *)owner;
  mrb_value text = mrb_str_new(mrb, NULL, 0);
  if (!is_singleton || owner) {
    mrb_value path = mrb_class_path(mrb, klass);
    // A class without a name is told of by what inherits from it.
    if (!mrb_string_p(path)) return;
    mrb_str_cat_str(mrb, text, path);
    mrb_str_cat_cstr(mrb, text, is_singleton ? "." : "#");
  }
  mrb_str_cat_str(mrb, text, mrb_sym_str(mrb, name));
  mrb_ary_push(mrb, list, mrb_assoc_new(mrb, text, mrb_fixnum_value(kind)));
}

// The methods of `one` that are not in `other` or, where they are to be compared, differ there.
static void compare(
    mrb_state *mrb, const cmr_world *one, const cmr_world *other, bool only_missing,
    cmr_change_kind missing, mrb_value list) {
  for (size_t i = 0; i < one->rooms.count; i++) {
    const struct room *room = &ITEM(struct room, one->rooms, i);
    const struct room *twin = find_room(other, room->klass);
    const struct method *twins =
        twin ? &ITEM(struct method, other->methods, twin->methods) : NULL;
    for (size_t j = 0; j < room->method_count; j++) {
      const struct method *method = &ITEM(struct method, one->methods, room->methods + j);
      const struct method *old =
          find_method(twins, twin ? twin->method_count : 0, method->name);
      if (!old) {
        tell(mrb, list, room->klass, method->name, missing);
      } else if (!only_missing && !same_method(old->body, method->body)) {
        tell(mrb, list, room->klass, method->name, CMR_CHANGED);
      }
    }
  }
}

// Whether the same modules are included; where they were once, they were by other ICLASSes.
static bool same_modules(const struct RClass *a, const struct RClass *b) {
  while (a && b && a->tt == MRB_TT_ICLASS && b->tt == MRB_TT_ICLASS) {
    if (a->c != b->c) return false;
    a = a->super;
    b = b->super;
  }
  return !(a && a->tt == MRB_TT_ICLASS) && !(b && b->tt == MRB_TT_ICLASS);
}

static void compare_modules(
    mrb_state *mrb, const cmr_world *before, const cmr_world *after, mrb_value list) {
  for (size_t i = 0; i < after->rooms.count; i++) {
    const struct room *room = &ITEM(struct room, after->rooms, i);
    const struct room *old = find_room(before, room->klass);
    // A class that was made anew is told of as such.
    if (!old || same_modules(old->super, room->super)) continue;
    struct RBasic *owner = attached(mrb, room->klass);
    mrb_value of = mrb_obj_value(owner ? (void *)owner : room->klass);
    mrb_value text = mrb_str_new_lit(mrb, "ancestors of ");
    mrb_str_cat_str(mrb, text, mrb_obj_as_string(mrb, of));
    mrb_ary_push(mrb, list, mrb_assoc_new(mrb, text, mrb_fixnum_value(CMR_CHANGED)));
  }
}

static mrb_value changes(mrb_state *mrb, void *data) {
  const struct change *change = data;
  mrb_value list = mrb_ary_new(mrb);
  compare_modules(mrb, change->before, change->after, list);
  compare(mrb, change->after, change->before, false, CMR_ADDED, list);
  compare(mrb, change->before, change->after, true, CMR_REMOVED, list);
  return list;
}

cmr_result cmr_world_changes(cmr_vm *vm, const cmr_world *before, const cmr_world *after) {
  return cmr_guard(vm, changes, &(struct change){.before = before, .after = after});
}
