// Writing values as JSON, a stretch at a time, with one guard for the whole stretch.
//
// Invariants: nothing of Ruby's runs while values are looked at; what has to be asked of Ruby ends the
// stretch. Arrays and Hashes that are being written hang on the list that `cmr_writer_begin` made, a Hash
// as an Array of its names and values, since a script may change it meanwhile. No script has the list.
// There is no recursion.

#include "internal.h"

#include <stdlib.h>

enum level_kind { ROOT, ARRAY, HASH };

struct level {
  enum level_kind kind;
  // The next element, or twice the next pair.
  mrb_int next;
};

enum { LOOKED_AT = 512 };

struct cmr_writer {
  cmr_writing writing;
  char *text;
  size_t count, room;
  struct level *levels;
  size_t depth, capacity;
  // What Ruby was asked for is a name.
  bool asks_name;
  bool symbols_are_plain;
  uint64_t deadline;
  // What ended the stretch, with the value that it is about.
  cmr_written_kind ending;
  mrb_value about;
};

cmr_writer *cmr_writer_make(const cmr_writing *writing) {
  cmr_writer *writer = calloc(1, sizeof *writer);
  if (!writer) return NULL;
  writer->writing = *writing;
  return writer;
}

void cmr_writer_free(cmr_writer *writer) {
  if (!writer) return;
  free(writer->text);
  free(writer->levels);
  free(writer);
}

// MARK: Text

static void make_room(mrb_state *mrb, cmr_writer *writer, size_t more) {
  if (more < writer->room - writer->count) return;
  size_t room = writer->room * 2;
  // One byte more, so that a String can take it over.
  if (room < writer->count + more + 1) room = writer->count + more + 256;
  char *text = realloc(writer->text, room);
  if (!text) mrb_exc_raise(mrb, mrb_obj_value(mrb->nomem_err));
  writer->text = text;
  writer->room = room;
}

static void put(mrb_state *mrb, cmr_writer *writer, cmr_bytes bytes) {
  make_room(mrb, writer, bytes.count);
  if (bytes.count) memcpy(writer->text + writer->count, bytes.start, bytes.count);
  writer->count += bytes.count;
}

static void put_char(mrb_state *mrb, cmr_writer *writer, char character) {
  make_room(mrb, writer, 1);
  writer->text[writer->count++] = character;
}

#define PUT(mrb, writer, literal) put(mrb, writer, (cmr_bytes){literal, sizeof literal - 1})

static uint64_t each(uint8_t byte) { return 0x0101010101010101 * byte; }

static uint64_t bytes_of(uint64_t word, uint8_t byte) {
  uint64_t other = word ^ each(byte);
  return (other - each(1)) & ~other & each(0x80);
}

// How many bytes from the start are written as they are; what is no ASCII is noted.
static size_t plain(cmr_bytes bytes, bool *is_ascii) {
  size_t i = 0;
  uint64_t high = 0;
  for (; i + 8 <= bytes.count; i += 8) {
    uint64_t word;
    memcpy(&word, bytes.start + i, 8);
    high |= word & each(0x80);
    if (((word - each(0x20)) & ~word & each(0x80)) | bytes_of(word, '"') | bytes_of(word, '\\')) {
      break;
    }
  }
  for (; i < bytes.count; i++) {
    uint8_t byte = (uint8_t)bytes.start[i];
    if (byte < 0x20 || byte == '"' || byte == '\\') break;
    high |= byte & 0x80;
  }
  if (high) *is_ascii = false;
  return i;
}

static void put_escaped(mrb_state *mrb, cmr_writer *writer, uint8_t byte) {
  switch (byte) {
    case '"': PUT(mrb, writer, "\\\""); return;
    case '\\': PUT(mrb, writer, "\\\\"); return;
    case '\b': PUT(mrb, writer, "\\b"); return;
    case '\f': PUT(mrb, writer, "\\f"); return;
    case '\n': PUT(mrb, writer, "\\n"); return;
    case '\r': PUT(mrb, writer, "\\r"); return;
    case '\t': PUT(mrb, writer, "\\t"); return;
  }
  static const char digits[] = "0123456789abcdef";
  char escape[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
  put(mrb, writer, (cmr_bytes){escape, sizeof escape});
}

// False where it is not UTF-8.
static bool put_string(mrb_state *mrb, cmr_writer *writer, cmr_bytes bytes) {
  bool is_ascii = true;
  cmr_bytes rest = bytes;
  put_char(mrb, writer, '"');
  while (true) {
    size_t count = plain(rest, &is_ascii);
    put(mrb, writer, (cmr_bytes){rest.start, count});
    if (count == rest.count) break;
    put_escaped(mrb, writer, (uint8_t)rest.start[count]);
    rest.start += count + 1;
    rest.count -= count + 1;
  }
  put_char(mrb, writer, '"');
  return is_ascii || writer->writing.is_utf8(bytes.start, bytes.count);
}

static void put_integer(mrb_state *mrb, cmr_writer *writer, mrb_int number) {
  char digits[24];
  char *start = digits + sizeof digits;
  uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  do {
    *--start = (char)('0' + rest % 10);
  } while (rest /= 10);
  if (number < 0) *--start = '-';
  put(mrb, writer, (cmr_bytes){start, (size_t)(digits + sizeof digits - start)});
}

static void put_margin(mrb_state *mrb, cmr_writer *writer, size_t depth) {
  if (!writer->writing.indent.count) return;
  for (size_t i = 0; i < depth; i++) put(mrb, writer, writer->writing.indent);
}

// MARK: Values

// Ends the stretch.
static void stop(cmr_writer *writer, cmr_written_kind ending, mrb_value about) {
  writer->ending = ending;
  writer->about = about;
}

// How deep what is written stands: the root is no level of its own.
static size_t depth_of(const cmr_writer *writer) {
  return writer->writing.depth + writer->depth - 1;
}

static int push_pair(mrb_state *mrb, mrb_value key, mrb_value value, void *pairs) {
  mrb_ary_push(mrb, *(mrb_value *)pairs, key);
  mrb_ary_push(mrb, *(mrb_value *)pairs, value);
  return 0;
}

static void open_level(
    mrb_state *mrb, cmr_writer *writer, mrb_value list, mrb_value members,
    enum level_kind kind) {
  struct level *levels =
      cmr_room(writer->levels, writer->depth, &writer->capacity, sizeof *levels);
  if (!levels) mrb_exc_raise(mrb, mrb_obj_value(mrb->nomem_err));
  writer->levels = levels;
  mrb_ary_push(mrb, list, members);
  writer->levels[writer->depth++] = (struct level){kind, 0};
}

// Goes into an Array or Hash that is not empty.
static void enter(mrb_state *mrb, cmr_writer *writer, mrb_value list, mrb_value value) {
  size_t depth = depth_of(writer) + 1;
  if (writer->writing.maximum_depth && depth > writer->writing.maximum_depth) {
    stop(writer, CMR_WRITTEN_TOO_DEEP, mrb_int_value(mrb, (mrb_int)depth));
  } else if (mrb_array_p(value)) {
    put_char(mrb, writer, '[');
    put(mrb, writer, writer->writing.array_nl);
    open_level(mrb, writer, list, value, ARRAY);
  } else {
    mrb_value pairs = mrb_ary_new_capa(mrb, mrb_hash_size(mrb, value) * 2);
    cmr_hide(mrb, pairs);
    mrb_hash_foreach(mrb, mrb_hash_ptr(value), push_pair, &pairs);
    put_char(mrb, writer, '{');
    put(mrb, writer, writer->writing.object_nl);
    open_level(mrb, writer, list, pairs, HASH);
  }
}

static void put_float(mrb_state *mrb, cmr_writer *writer, mrb_value value) {
  double number = mrb_float(value);
  if (number - number == 0) {
    char text[CMR_NUMBER_BYTES];
    put(mrb, writer, (cmr_bytes){text, writer->writing.write_number(number, text)});
  } else if (!writer->writing.allows_nan) {
    stop(writer, CMR_WRITTEN_NO_NUMBER, value);
  } else if (number != number) {
    PUT(mrb, writer, "NaN");
  } else if (number > 0) {
    PUT(mrb, writer, "Infinity");
  } else {
    PUT(mrb, writer, "-Infinity");
  }
}

static void put_text(mrb_state *mrb, cmr_writer *writer, mrb_value value) {
  cmr_bytes bytes = mrb_symbol_p(value) ? cmr_symbol_name(mrb->ud, mrb_symbol(value))
                                        : cmr_string_of(cmr_wrap(value));
  if (!put_string(mrb, writer, bytes)) stop(writer, CMR_WRITTEN_NO_TEXT, value);
}

// Whether the value is to be written as what it is, and not by a to_json of its class.
static bool is_plain(mrb_state *mrb, const cmr_writer *writer, mrb_value value) {
  if (mrb_symbol_p(value)) return writer->symbols_are_plain;
  if (writer->writing.takes_any_class && writer->depth == 1) return true;
  const struct RClass *klass = mrb_class(mrb, value);
  return klass == mrb->string_class || klass == mrb->array_class || klass == mrb->hash_class;
}

// Writes the value, goes into it, or asks for it.
static void put_value(mrb_state *mrb, cmr_writer *writer, mrb_value list, mrb_value value) {
  if (mrb_nil_p(value)) {
    PUT(mrb, writer, "null");
  } else if (mrb_true_p(value)) {
    PUT(mrb, writer, "true");
  } else if (mrb_false_p(value)) {
    PUT(mrb, writer, "false");
  } else if (mrb_integer_p(value)) {
    put_integer(mrb, writer, mrb_integer(value));
  } else if (mrb_float_p(value)) {
    put_float(mrb, writer, value);
  } else if (!is_plain(mrb, writer, value)) {
    writer->asks_name = false;
    stop(writer, CMR_WRITTEN_ASKS, value);
  } else if (mrb_string_p(value) || mrb_symbol_p(value)) {
    put_text(mrb, writer, value);
  } else if (mrb_array_p(value) && RARRAY_LEN(value) == 0) {
    PUT(mrb, writer, "[]");
  } else if (mrb_hash_p(value) && mrb_hash_empty_p(mrb, value)) {
    PUT(mrb, writer, "{}");
  } else if (mrb_array_p(value) || mrb_hash_p(value)) {
    enter(mrb, writer, list, value);
  } else {
    writer->asks_name = false;
    stop(writer, CMR_WRITTEN_ASKS, value);
  }
}

static void put_colon(mrb_state *mrb, cmr_writer *writer) {
  put_char(mrb, writer, ':');
  put(mrb, writer, writer->writing.space);
}

static void put_name(mrb_state *mrb, cmr_writer *writer, mrb_value name) {
  const struct RClass *klass = mrb_class(mrb, name);
  if (klass == mrb->string_class || mrb_symbol_p(name)) {
    put_text(mrb, writer, name);
  } else if (mrb_integer_p(name)) {
    put_char(mrb, writer, '"');
    put_integer(mrb, writer, mrb_integer(name));
    put_char(mrb, writer, '"');
  } else {
    writer->asks_name = true;
    stop(writer, CMR_WRITTEN_ASKS, name);
    return;
  }
  put_colon(mrb, writer);
}

// MARK: Levels

static void leave(mrb_state *mrb, cmr_writer *writer, mrb_value list, enum level_kind kind) {
  if (kind != ROOT) {
    put(mrb, writer, kind == HASH ? writer->writing.object_nl : writer->writing.array_nl);
    put_margin(mrb, writer, depth_of(writer) - 1);
    put_char(mrb, writer, kind == HASH ? '}' : ']');
  }
  writer->depth--;
  mrb_ary_pop(mrb, list);
}

// Writes the next name or element of the innermost level, or leaves it.
static void put_next(mrb_state *mrb, cmr_writer *writer, mrb_value list) {
  struct level *level = &writer->levels[writer->depth - 1];
  mrb_value members = RARRAY_PTR(list)[writer->depth - 1];
  if (level->next >= RARRAY_LEN(members)) {
    leave(mrb, writer, list, level->kind);
    return;
  }
  mrb_value member = RARRAY_PTR(members)[level->next];
  bool is_name = level->kind == HASH && level->next % 2 == 0;
  if (level->kind != ROOT && (is_name || level->kind == ARRAY)) {
    if (level->next > 0) {
      put_char(mrb, writer, ',');
      put(mrb, writer, is_name ? writer->writing.object_nl : writer->writing.array_nl);
    }
    put_margin(mrb, writer, depth_of(writer));
  }
  level->next++;
  if (is_name) {
    put_name(mrb, writer, member);
  } else {
    put_value(mrb, writer, list, member);
  }
}

// MARK: Stretches

struct stretch {
  cmr_writer *writer;
  cmr_value list, value;
};

static mrb_value begin(mrb_state *mrb, void *data) {
  const struct stretch *stretch = data;
  mrb_value list = mrb_ary_new(mrb);
  cmr_hide(mrb, list);
  mrb_value root = cmr_unwrap(stretch->value);
  mrb_value members = mrb_ary_new_from_values(mrb, 1, &root);
  cmr_hide(mrb, members);
  open_level(mrb, stretch->writer, list, members, ROOT);
  return list;
}

cmr_result cmr_writer_begin(cmr_vm *vm, cmr_writer *writer, cmr_value value) {
  return cmr_guard(vm, begin, &(struct stretch){.writer = writer, .value = value});
}

// Whether a Symbol's to_json is the one of all objects, which writes the name.
static bool symbols_are_plain(mrb_state *mrb) {
  struct RClass *klass = mrb->symbol_class;
  mrb_method_search_vm(mrb, &klass, mrb_intern_lit(mrb, "to_json"));
  return klass == mrb->object_class;
}

// Makes the text a String, a piece in a stretch: much of it takes its time to be copied.
static void take(mrb_state *mrb, cmr_writer *writer, mrb_value list) {
  enum { PIECE = 4 << 20 };
  if (writer->count <= PIECE) {
    stop(writer, CMR_WRITTEN, mrb_str_new(mrb, writer->text, (mrb_int)writer->count));
    return;
  }
  if (RARRAY_LEN(list) == 0) {
    mrb_value made = mrb_str_new_capa(mrb, (mrb_int)writer->count);
    cmr_hide(mrb, made);
    mrb_ary_push(mrb, list, made);
  }
  mrb_value string = RARRAY_PTR(list)[0];
  size_t taken = (size_t)RSTRING_LEN(string);
  size_t rest = writer->count - taken;
  mrb_str_cat(mrb, string, writer->text + taken, rest < PIECE ? rest : PIECE);
  if (rest > PIECE) return;
  mrb_basic_ptr(string)->c = mrb->string_class;
  stop(writer, CMR_WRITTEN, string);
}

static mrb_value go_on(mrb_state *mrb, void *data) {
  const struct stretch *stretch = data;
  cmr_writer *writer = stretch->writer;
  mrb_value list = cmr_unwrap(stretch->list);
  writer->symbols_are_plain = symbols_are_plain(mrb);
  int arena = mrb_gc_arena_save(mrb);
  do {
    for (int i = 0; i < LOOKED_AT && writer->ending == CMR_WRITTEN_IN_PART; i++) {
      if (writer->depth == 0) {
        take(mrb, writer, list);
        return writer->about;
      }
      put_next(mrb, writer, list);
      mrb->gc.arena_idx = arena;
    }
  } while (writer->ending == CMR_WRITTEN_IN_PART && cmr_now() < writer->deadline);
  return writer->about;
}

cmr_written cmr_writer_go_on(
    cmr_vm *vm, cmr_writer *writer, cmr_value list, uint64_t nanoseconds) {
  writer->deadline = cmr_now() + nanoseconds;
  stop(writer, CMR_WRITTEN_IN_PART, mrb_nil_value());
  cmr_result result = cmr_guard(vm, go_on, &(struct stretch){.writer = writer, .list = list});
  return (cmr_written){result, writer->ending};
}

struct reply {
  cmr_writer *writer;
  cmr_bytes bytes;
  bool is_text;
};

static mrb_value add(mrb_state *mrb, void *data) {
  struct reply *reply = data;
  cmr_writer *writer = reply->writer;
  if (!writer->asks_name) {
    put(mrb, writer, reply->bytes);
  } else {
    reply->is_text = put_string(mrb, writer, reply->bytes);
    put_colon(mrb, writer);
  }
  return mrb_nil_value();
}

cmr_written cmr_writer_add(cmr_vm *vm, cmr_writer *writer, cmr_bytes bytes) {
  struct reply reply = {writer, bytes, true};
  cmr_result result = cmr_guard(vm, add, &reply);
  return (cmr_written){result, reply.is_text ? CMR_WRITTEN_IN_PART : CMR_WRITTEN_NO_TEXT};
}

bool cmr_writer_asks_name(const cmr_writer *writer) { return writer->asks_name; }

size_t cmr_writer_depth(const cmr_writer *writer) { return depth_of(writer); }
