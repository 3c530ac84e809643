// Hash#[]= as it should be.
//
// To mruby up to 3.4 a key that is there already is a new one where the search for it passes the place
// of a key that was deleted: it is there twice then. Only tables do so, which a Hash is once it has had
// more than 16 keys.

#include "internal.h"

#include <mruby/hash.h>

static mrb_value store(mrb_state *mrb, mrb_value self) {
  mrb_value key, value;
  mrb_get_args(mrb, "oo", &key, &value);
  bool known = (RHASH(self)->flags & MRB_HASH_HT) && mrb_hash_key_p(mrb, self, key);
  mrb_int size = mrb_hash_size(mrb, self);
  mrb_hash_set(mrb, self, key, value);
  // Of a key that is there twice it keeps the first place and the last value.
  if (known && mrb_hash_size(mrb, self) > size) mrb_funcall(mrb, self, "rehash", 0);
  return value;
}

void cmr_mend_hash(mrb_state *mrb) {
  mrb_define_method(mrb, mrb->hash_class, "[]=", store, MRB_ARGS_REQ(2));
  mrb_define_method(mrb, mrb->hash_class, "store", store, MRB_ARGS_REQ(2));
}
