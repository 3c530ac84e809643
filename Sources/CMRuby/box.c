// Boxes: Ruby objects that stand for an object of the host's, and let go of it when they are collected.

#include "internal.h"

#include <mruby/data.h>

static void release_boxed(mrb_state *mrb, void *object) {
  const cmr_vm *vm = mrb->ud;
  if (object) vm->release(object);
}

static const mrb_data_type box_type = {"box", release_boxed};

void cmr_define_box(cmr_vm *vm) {
  mrb_state *mrb = vm->mrb;
  struct RClass *klass = mrb_class_new(mrb, mrb->object_class);
  MRB_SET_INSTANCE_TT(klass, MRB_TT_DATA);
  mrb_undef_class_method(mrb, klass, "new");
  mrb_undef_class_method(mrb, klass, "allocate");
  vm->box_class = mrb_obj_value(klass);
  mrb_gc_register(mrb, vm->box_class);
}

cmr_value cmr_box_class(const cmr_vm *vm) { return cmr_wrap(vm->box_class); }

static mrb_value make_box(mrb_state *mrb, void *data) {
  (void)data;
  const cmr_vm *vm = mrb->ud;
  return mrb_obj_value(
      mrb_data_object_alloc(mrb, mrb_class_ptr(vm->box_class), NULL, &box_type));
}

cmr_result cmr_box(cmr_vm *vm, void *object, cmr_release release) {
  vm->release = release;
  cmr_result result = cmr_guard(vm, make_box, NULL);
  if (result.raised) {
    release(object);
  } else {
    DATA_PTR(cmr_unwrap(result.value)) = object;
  }
  return result;
}

void *cmr_boxed(cmr_value value) {
  mrb_value box = cmr_unwrap(value);
  if (mrb_type(box) != MRB_TT_DATA || DATA_TYPE(box) != &box_type) return NULL;
  return DATA_PTR(box);
}

struct keeping {
  cmr_value box, kept;
};

// Without an @ the name is none that a script could say.
static mrb_value keep(mrb_state *mrb, void *data) {
  const struct keeping *keeping = data;
  mrb_iv_set(
      mrb, cmr_unwrap(keeping->box), mrb_intern_lit(mrb, "kept"), cmr_unwrap(keeping->kept));
  return mrb_nil_value();
}

cmr_result cmr_box_keep(cmr_vm *vm, cmr_value box, cmr_value kept) {
  return cmr_guard(vm, keep, &(struct keeping){box, kept});
}

static mrb_value kept(mrb_state *mrb, void *data) {
  const struct keeping *keeping = data;
  return mrb_iv_get(mrb, cmr_unwrap(keeping->box), mrb_intern_lit(mrb, "kept"));
}

cmr_result cmr_box_kept(cmr_vm *vm, cmr_value box) {
  return cmr_guard(vm, kept, &(struct keeping){.box = box});
}
