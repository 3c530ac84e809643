// Values: reading them, which never raises, and making them, which is guarded because it allocates.

#include "internal.h"

cmr_type cmr_type_of(cmr_value wrapped) {
  mrb_value value = cmr_unwrap(wrapped);
  if (mrb_nil_p(value)) return CMR_NIL;
  switch (mrb_type(value)) {
    case MRB_TT_FALSE: return CMR_FALSE;
    case MRB_TT_TRUE: return CMR_TRUE;
    case MRB_TT_INTEGER: return CMR_INTEGER;
    case MRB_TT_FLOAT: return CMR_FLOAT;
    case MRB_TT_SYMBOL: return CMR_SYMBOL;
    case MRB_TT_STRING: return CMR_STRING;
    case MRB_TT_ARRAY: return CMR_ARRAY;
    case MRB_TT_HASH: return CMR_HASH;
    case MRB_TT_EXCEPTION: return CMR_EXCEPTION;
    case MRB_TT_CLASS: return CMR_CLASS;
    case MRB_TT_PROC: return CMR_PROC;
    default: return CMR_OTHER;
  }
}

_Static_assert(MRB_Qnil == 0, "nil is the word 0");
_Static_assert(
    WORDBOX_FIXNUM_FLAG == 1 && WORDBOX_FIXNUM_MASK == 1 && WORDBOX_FIXNUM_SHIFT == 1,
    "a small Integer is twice itself and one");
cmr_value cmr_bool(bool value) { return cmr_wrap(mrb_bool_value(value)); }
bool cmr_truthy(cmr_value value) { return mrb_test(cmr_unwrap(value)); }

// Each makes sure that the value is what it is taken for: a script decides what stands anywhere.

int64_t cmr_integer_of(cmr_value wrapped) {
  mrb_value value = cmr_unwrap(wrapped);
  return mrb_integer_p(value) ? mrb_integer(value) : 0;
}

double cmr_float_of(cmr_value wrapped) {
  mrb_value value = cmr_unwrap(wrapped);
  return mrb_float_p(value) ? mrb_float(value) : 0;
}

cmr_bytes cmr_string_of(cmr_value value) {
  mrb_value string = cmr_unwrap(value);
  if (!mrb_string_p(string)) return (cmr_bytes){NULL, 0};
  return (cmr_bytes){RSTRING_PTR(string), (size_t)RSTRING_LEN(string)};
}

int64_t cmr_array_count(cmr_value array) {
  mrb_value values = cmr_unwrap(array);
  return mrb_array_p(values) ? RARRAY_LEN(values) : 0;
}

cmr_value cmr_array_at(cmr_value array, int64_t index) {
  mrb_value values = cmr_unwrap(array);
  if (!mrb_array_p(values) || index < 0 || index >= RARRAY_LEN(values)) return cmr_nil();
  return cmr_wrap(RARRAY_PTR(values)[index]);
}

cmr_symbol cmr_symbol_of(cmr_value value) {
  return mrb_symbol_p(cmr_unwrap(value)) ? mrb_symbol(cmr_unwrap(value)) : 0;
}
cmr_value cmr_symbol_value(cmr_symbol symbol) { return cmr_wrap(mrb_symbol_value(symbol)); }

cmr_bytes cmr_symbol_name(cmr_vm *vm, cmr_symbol symbol) {
  mrb_int count;
  const char *name = mrb_sym_name_len(vm->mrb, symbol, &count);
  return (cmr_bytes){name, name ? (size_t)count : 0};
}

static mrb_value class_name(mrb_state *mrb, void *data) {
  return mrb_class_path(mrb, mrb_obj_class(mrb, cmr_unwrap(*(cmr_value *)data)));
}

cmr_bytes cmr_class_name(cmr_vm *vm, cmr_value value) {
  cmr_result name = cmr_guard(vm, class_name, &value);
  if (name.raised || cmr_type_of(name.value) != CMR_STRING) return (cmr_bytes){"Object", 6};
  return cmr_string_of(name.value);
}

cmr_listed cmr_listed_at(cmr_vm *vm, cmr_value array, int64_t index) {
  cmr_listed listed = {.element = cmr_array_at(array, index), .stat = cmr_nil()};
  mrb_value name = cmr_unwrap(listed.element);
  if (mrb_array_p(name) && RARRAY_LEN(name) == 2) {
    listed.stat = cmr_wrap(RARRAY_PTR(name)[1]);
    name = RARRAY_PTR(name)[0];
  }
  if (mrb_string_p(name)) {
    listed.name = cmr_string_of(cmr_wrap(name));
  } else if (mrb_symbol_p(name)) {
    listed.name = cmr_symbol_name(vm, mrb_symbol(name));
  }
  return listed;
}

bool cmr_kind_of(cmr_vm *vm, cmr_value value, cmr_value klass) {
  enum mrb_vtype type = mrb_type(cmr_unwrap(klass));
  if (type != MRB_TT_CLASS && type != MRB_TT_MODULE) return false;
  return mrb_obj_is_kind_of(vm->mrb, cmr_unwrap(value), mrb_class_ptr(cmr_unwrap(klass)));
}

void cmr_hold(cmr_vm *vm, cmr_value value) { mrb_gc_protect(vm->mrb, cmr_unwrap(value)); }

// MARK: Making

// What a maker is given, whichever of it that one needs.
struct parts {
  int64_t integer;
  double number;
  cmr_bytes bytes;
  const char *name;
  const cmr_value *values;
  cmr_value receiver, key, value;
};

static mrb_value intern(mrb_state *mrb, void *data) {
  struct parts *parts = data;
  return mrb_symbol_value(mrb_intern(mrb, parts->bytes.start, parts->bytes.count));
}

cmr_result cmr_intern(cmr_vm *vm, cmr_bytes name) {
  return cmr_guard(vm, intern, &(struct parts){.bytes = name});
}

static mrb_value make_integer(mrb_state *mrb, void *data) {
  return mrb_int_value(mrb, ((struct parts *)data)->integer);
}

cmr_result cmr_integer(cmr_vm *vm, int64_t value) {
  if (FIXABLE(value)) return (cmr_result){.value = cmr_wrap(mrb_fixnum_value(value))};
  return cmr_guard(vm, make_integer, &(struct parts){.integer = value});
}

static mrb_value make_float(mrb_state *mrb, void *data) {
  return mrb_float_value(mrb, ((struct parts *)data)->number);
}

cmr_result cmr_float(cmr_vm *vm, double value) {
  return cmr_guard(vm, make_float, &(struct parts){.number = value});
}

static mrb_value make_string(mrb_state *mrb, void *data) {
  struct parts *parts = data;
  return mrb_str_new(mrb, parts->bytes.start, parts->bytes.count);
}

cmr_result cmr_string(cmr_vm *vm, cmr_bytes bytes) {
  return cmr_guard(vm, make_string, &(struct parts){.bytes = bytes});
}

static mrb_value share(mrb_state *mrb, void *data) {
  mrb_value shared = mrb_str_dup(mrb, cmr_unwrap(((struct parts *)data)->receiver));
  cmr_hide(mrb, shared);
  MRB_SET_FROZEN_FLAG(mrb_basic_ptr(shared));
  return shared;
}

cmr_result cmr_share(cmr_vm *vm, cmr_value string) {
  return cmr_guard(vm, share, &(struct parts){.receiver = string});
}

static mrb_value make_array(mrb_state *mrb, void *data) {
  struct parts *parts = data;
  return mrb_ary_new_from_values(mrb, parts->integer, (const mrb_value *)parts->values);
}

cmr_result cmr_array(cmr_vm *vm, const cmr_value *values, int64_t count) {
  return cmr_guard(vm, make_array, &(struct parts){.values = values, .integer = count});
}

static mrb_value array_push(mrb_state *mrb, void *data) {
  struct parts *parts = data;
  mrb_ary_push(mrb, cmr_unwrap(parts->receiver), cmr_unwrap(parts->value));
  return mrb_nil_value();
}

cmr_result cmr_array_push(cmr_vm *vm, cmr_value array, cmr_value value) {
  return cmr_guard(vm, array_push, &(struct parts){.receiver = array, .value = value});
}

static mrb_value make_hash(mrb_state *mrb, void *data) {
  (void)data;
  return mrb_hash_new(mrb);
}

cmr_result cmr_hash(cmr_vm *vm) { return cmr_guard(vm, make_hash, NULL); }

static mrb_value hash_set(mrb_state *mrb, void *data) {
  struct parts *parts = data;
  mrb_hash_set(
      mrb, cmr_unwrap(parts->receiver), cmr_unwrap(parts->key), cmr_unwrap(parts->value));
  return mrb_nil_value();
}

cmr_result cmr_hash_set(cmr_vm *vm, cmr_value hash, cmr_value key, cmr_value value) {
  return cmr_guard(vm, hash_set, &(struct parts){.receiver = hash, .key = key, .value = value});
}

static mrb_value hash_get(mrb_state *mrb, void *data) {
  struct parts *parts = data;
  return mrb_hash_fetch(
      mrb, cmr_unwrap(parts->receiver), cmr_unwrap(parts->key), mrb_nil_value());
}

cmr_result cmr_hash_get(cmr_vm *vm, cmr_value hash, cmr_value key) {
  return cmr_guard(vm, hash_get, &(struct parts){.receiver = hash, .key = key});
}

static mrb_value hash_keys(mrb_state *mrb, void *data) {
  return mrb_hash_keys(mrb, cmr_unwrap(((struct parts *)data)->receiver));
}

cmr_result cmr_hash_keys(cmr_vm *vm, cmr_value hash) {
  return cmr_guard(vm, hash_keys, &(struct parts){.receiver = hash});
}

// MARK: Constants and exceptions

static mrb_value scope_of(mrb_state *mrb, cmr_value scope) {
  mrb_value value = cmr_unwrap(scope);
  return mrb_nil_p(value) ? mrb_obj_value(mrb->object_class) : value;
}

static mrb_value constant(mrb_state *mrb, void *data) {
  struct parts *parts = data;
  return mrb_const_get(
      mrb, scope_of(mrb, parts->receiver), mrb_intern_cstr(mrb, parts->name));
}

cmr_result cmr_constant(cmr_vm *vm, cmr_value scope, const char *name) {
  return cmr_guard(vm, constant, &(struct parts){.receiver = scope, .name = name});
}

static mrb_value constant_set(mrb_state *mrb, void *data) {
  struct parts *parts = data;
  mrb_const_set(
      mrb, scope_of(mrb, parts->receiver), mrb_intern_cstr(mrb, parts->name),
      cmr_unwrap(parts->value));
  return mrb_nil_value();
}

cmr_result cmr_constant_set(cmr_vm *vm, cmr_value scope, const char *name, cmr_value value) {
  return cmr_guard(
      vm, constant_set, &(struct parts){.receiver = scope, .name = name, .value = value});
}

static mrb_value make_exception(mrb_state *mrb, void *data) {
  struct parts *parts = data;
  struct RClass *klass = E_RUNTIME_ERROR;
  if (mrb_class_defined(mrb, parts->name)) klass = mrb_class_get(mrb, parts->name);
  return mrb_exc_new(mrb, klass, parts->bytes.start, parts->bytes.count);
}

cmr_result cmr_exception(cmr_vm *vm, const char *klass, cmr_bytes message) {
  return cmr_guard(vm, make_exception, &(struct parts){.name = klass, .bytes = message});
}

static mrb_value forget_backtrace(mrb_state *mrb, void *data) {
  mrb_value exception = cmr_unwrap(*(cmr_value *)data);
#if CMR_MRUBY > 301
  (void)mrb;
  if (mrb_type(exception) == MRB_TT_EXCEPTION) mrb_exc_ptr(exception)->backtrace = NULL;
#else
  mrb_iv_remove(mrb, exception, mrb_intern_lit(mrb, "backtrace"));
#endif
  return mrb_nil_value();
}

void cmr_forget_backtrace(cmr_vm *vm, cmr_value exception) {
  cmr_guard(vm, forget_backtrace, &exception);
}

static mrb_value inspect(mrb_state *mrb, void *data) {
  return mrb_inspect(mrb, cmr_unwrap(((struct parts *)data)->receiver));
}

static mrb_value backtrace(mrb_state *mrb, void *data) {
  (void)data;
  return mrb_get_backtrace(mrb);
}

cmr_result cmr_backtrace(cmr_vm *vm) { return cmr_guard(vm, backtrace, NULL); }

cmr_result cmr_inspect(cmr_vm *vm, cmr_value value) {
  return cmr_guard(vm, inspect, &(struct parts){.receiver = value});
}

// MARK: Roots

static mrb_value root_set(mrb_state *mrb, void *data) {
  struct parts *parts = data;
  cmr_vm *vm = mrb->ud;
  mrb_ary_set(mrb, vm->roots, parts->integer, cmr_unwrap(parts->value));
  return mrb_nil_value();
}

cmr_result cmr_root_set(cmr_vm *vm, int64_t index, cmr_value value) {
  if (index >= 0 && index < RARRAY_LEN(vm->roots) && mrb_immediate_p(cmr_unwrap(value))) {
    // Clearing a slot cannot raise: no guard, no barrier.
    RARRAY_PTR(vm->roots)[index] = cmr_unwrap(value);
    return (cmr_result){.value = cmr_nil()};
  }
  return cmr_guard(vm, root_set, &(struct parts){.integer = index, .value = value});
}

cmr_value cmr_root_at(const cmr_vm *vm, int64_t index) {
  return cmr_array_at(cmr_wrap(vm->roots), index);
}
