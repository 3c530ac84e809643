// Hash#[]= as it should be.
//
// To mruby (3.1.0 and 3.3.0 were tried) a key that is there already is a new one where the search for it passes the place
// of a key that was deleted: it is there twice then. Only tables do so, which a Hash is once it has had
// more than 16 keys.

#include "internal.h"

#include <mruby/hash.h>

// Looks at whether a Hash is a table.
#if CMR_MRUBY != 301 && CMR_MRUBY != 303
#error "hash.c was tried with mruby 3.1.0 and 3.3.0: see whether ht_set in mruby's hash.c still needs it"
#endif

static void set(mrb_state *mrb, mrb_value self, mrb_value key, mrb_value value) {
  bool known = (RHASH(self)->flags & MRB_HASH_HT) && mrb_hash_key_p(mrb, self, key);
  mrb_int size = mrb_hash_size(mrb, self);
  mrb_hash_set(mrb, self, key, value);
  // Of a key that is there twice it keeps the first place and the last value.
  if (known && mrb_hash_size(mrb, self) > size) mrb_funcall(mrb, self, "rehash", 0);
}

static mrb_value store(mrb_state *mrb, mrb_value self) {
  mrb_value key, value;
  mrb_get_args(mrb, "oo", &key, &value);
  set(mrb, self, key, value);
  return value;
}

// What merge and merge! are made of since 3.2; before, they call []=.
static mrb_value merge(mrb_state *mrb, mrb_value self) {
  const mrb_value *others;
  mrb_int count;
  mrb_get_args(mrb, "*", &others, &count);
  for (mrb_int i = 0; i < count; i++) {
    mrb_value other = mrb_ensure_hash_type(mrb, others[i]);
    mrb_value keys = mrb_hash_keys(mrb, other);
    int arena = mrb_gc_arena_save(mrb);
    for (mrb_int j = 0; j < RARRAY_LEN(keys); j++) {
      mrb_value key = RARRAY_PTR(keys)[j];
      set(mrb, self, key, mrb_hash_fetch(mrb, other, key, mrb_nil_value()));
      mrb_gc_arena_restore(mrb, arena);
    }
  }
  return self;
}

void cmr_mend_hash(mrb_state *mrb) {
  mrb_define_method(mrb, mrb->hash_class, "[]=", store, MRB_ARGS_REQ(2));
  mrb_define_method(mrb, mrb->hash_class, "store", store, MRB_ARGS_REQ(2));
  if (CMR_MRUBY > 301) mrb_define_method(mrb, mrb->hash_class, "__merge", merge, MRB_ARGS_ANY());
}
