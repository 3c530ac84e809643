// The guarded twin of mruby's C API: all that Swift can see of it.
//
//   normal flow        Swift -> cmr_x -> mrb_protect_error -> mruby ... returns -> Swift
//   exception flow     Swift -> cmr_x -> mrb_protect_error <- longjmp - mruby; `raised` is set -> Swift
//   a native method    mruby -> trampoline -> Swift fills a reply, returns -> only then C raises
//
// Invariant: no longjmp crosses a Swift frame. It is structural: this header does not include
// mruby.h, so Swift cannot name a function that raises; what is declared here never does. A function
// that could raise inside returns a `cmr_result`; the others only read.
//
// A value is good until the arena is restored below the point at which it was made, or for as long
// as something that is rooted refers to it (cmr_root_set).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// An mruby state with what the guard needs beside it.
typedef struct cmr_vm cmr_vm;

/// A Ruby value: one opaque word, which is mruby's own (word boxing).
typedef struct {
  uintptr_t word;
} cmr_value;

/// An interned name; 0 is none.
typedef uint32_t cmr_symbol;

/// What a call came to: a value, or the exception that it raised.
typedef struct {
  cmr_value value;
  bool raised;
} cmr_result;

/// The types that the host tells apart.
typedef enum {
  CMR_NIL,
  CMR_FALSE,
  CMR_TRUE,
  CMR_INTEGER,
  CMR_FLOAT,
  CMR_SYMBOL,
  CMR_STRING,
  CMR_ARRAY,
  CMR_HASH,
  CMR_EXCEPTION,
  CMR_CLASS,
  CMR_PROC,
  CMR_OTHER,
} cmr_type;

/// Bytes that belong to the caller or the VM. They may hold NUL and need not be UTF-8.
typedef struct {
  const char *_Nullable start;
  size_t count;
} cmr_bytes;

// MARK: The machine (vm.c, memory.c)

/// What a native method is told: which one it is, its arguments, its block (nil where none).
typedef struct {
  uint32_t index;
  int64_t count;
  const cmr_value *_Nullable arguments;
  cmr_value block;
} cmr_call;

/// What a native method returns: the value to return, or, with `raised`, the exception to raise.
typedef cmr_result (*cmr_dispatch)(void *_Nullable context, const cmr_call *call);

/// Opens a VM (mrb_open_allocf) whose native methods are called by `dispatch`; NULL when out of memory.
cmr_vm *_Nullable cmr_open(cmr_dispatch dispatch, void *_Nullable context);
void cmr_close(cmr_vm *vm);

/// Defines `module.name` as the native number `index`; the module is made where it is missing.
cmr_result cmr_define(cmr_vm *vm, const char *module, const char *name, uint32_t index);

/// Where a source does not parse.
typedef struct {
  bool failed;
  /// The source ends in the middle of something: a prompt would ask for another line.
  bool incomplete;
  int line;
  int column;
  char message[240];
} cmr_syntax;

/// Parses without running (mrb_parse_nstring).
cmr_syntax cmr_check(cmr_vm *vm, cmr_bytes source, const char *file);
/// The local variables that a source sets at its top level, as an Array of Symbols.
cmr_result cmr_locals(cmr_vm *vm, cmr_bytes source);
/// Parses and runs at the top level, from C: no Fiber.yield can leave it.
cmr_result cmr_evaluate(cmr_vm *vm, cmr_bytes source, const char *file);

/// The VM's memory: bytes that are allocated now, and all that ever were.
typedef struct {
  size_t live;
  size_t total;
  /// Bytes over which an allocation is refused (a full collection, then NoMemoryError); 0 is none.
  size_t limit;
  size_t objects;
} cmr_memory;
cmr_memory cmr_memory_use(const cmr_vm *vm);
void cmr_memory_limit(cmr_vm *vm, size_t bytes);
/// A word that others set to interrupt what runs: the next native method that is called raises
/// Interrupt instead, and clears it. NULL, as at first, for none. mruby looks at nothing while it
/// runs, so code that calls no native is not interrupted.
void cmr_interrupt_at(cmr_vm *vm, uint64_t *_Nullable word);
/// Collects when many bytes have gone by since the last time, which mruby, counting objects, does
/// not see. Cheap when there is nothing to do; to be called between two stretches of fibers.
void cmr_collect_if_due(cmr_vm *vm);
void cmr_collect(cmr_vm *vm);

int cmr_arena_save(const cmr_vm *vm);
void cmr_arena_restore(cmr_vm *vm, int index);

// MARK: Values (value.c)

cmr_type cmr_type_of(cmr_value value);
/// Ruby's nil: the word 0 (asserted in value.c), so that asking for it costs nothing.
static inline cmr_value cmr_nil(void) { return (cmr_value){0}; }
/// Whether the value is an Integer that is kept in the word itself, as all but very large ones are.
static inline bool cmr_is_small(cmr_value value) { return value.word & 1; }
/// The value of such an Integer (the layout is asserted in value.c).
static inline int64_t cmr_small(cmr_value value) { return (intptr_t)value.word >> 1; }
cmr_value cmr_bool(bool value);
bool cmr_truthy(cmr_value value);
int64_t cmr_integer_of(cmr_value value);
double cmr_float_of(cmr_value value);
/// The string's own bytes: good until the string is changed or collected.
cmr_bytes cmr_string_of(cmr_value value);
int64_t cmr_array_count(cmr_value array);
/// The element, or nil where there is none.
cmr_value cmr_array_at(cmr_value array, int64_t index);
cmr_symbol cmr_symbol_of(cmr_value value);
/// The name's bytes: good until the next call that asks for one.
cmr_bytes cmr_symbol_name(cmr_vm *vm, cmr_symbol symbol);
cmr_bytes cmr_class_name(cmr_vm *vm, cmr_value value);
/// An element of a list of names: a String or Symbol, or an Array of one of these and a stat-like.
/// Where it is neither, the name's start is NULL.
typedef struct {
  cmr_value element;
  cmr_bytes name;
  cmr_value stat;
} cmr_listed;
cmr_listed cmr_listed_at(cmr_vm *vm, cmr_value array, int64_t index);
bool cmr_kind_of(cmr_vm *vm, cmr_value value, cmr_value klass);

/// Keeps a value alive until the arena is restored below this point, whatever becomes of what holds it.
void cmr_hold(cmr_vm *vm, cmr_value value);

cmr_result cmr_intern(cmr_vm *vm, cmr_bytes name);
cmr_value cmr_symbol_value(cmr_symbol symbol);
cmr_result cmr_integer(cmr_vm *vm, int64_t value);
cmr_result cmr_float(cmr_vm *vm, double value);
cmr_result cmr_string(cmr_vm *vm, cmr_bytes bytes);
/// A frozen String with the bytes that another one has now, without a copy where they are many.
cmr_result cmr_share(cmr_vm *vm, cmr_value string);
cmr_result cmr_array(cmr_vm *vm, const cmr_value *_Nullable values, int64_t count);
cmr_result cmr_array_push(cmr_vm *vm, cmr_value array, cmr_value value);
cmr_result cmr_hash(cmr_vm *vm);
cmr_result cmr_hash_set(cmr_vm *vm, cmr_value hash, cmr_value key, cmr_value value);
/// The value at `key`, or nil; a default block is not run.
cmr_result cmr_hash_get(cmr_vm *vm, cmr_value hash, cmr_value key);
cmr_result cmr_hash_keys(cmr_vm *vm, cmr_value hash);
/// The constant under `scope` (a class or module), or at the top level where `scope` is nil.
cmr_result cmr_constant(cmr_vm *vm, cmr_value scope, const char *name);
cmr_result cmr_constant_set(cmr_vm *vm, cmr_value scope, const char *name, cmr_value value);
/// A new exception of the named class (RuntimeError where that is no exception class).
cmr_result cmr_exception(cmr_vm *vm, const char *klass, cmr_bytes message);
/// Lets the exception be raised again with a backtrace of its own.
void cmr_forget_backtrace(cmr_vm *vm, cmr_value exception);
cmr_result cmr_inspect(cmr_vm *vm, cmr_value value);
/// Where the code that runs is, as an Array of "file:line:in method", innermost first.
cmr_result cmr_backtrace(cmr_vm *vm);

/// Keeps `value` alive at `index` of the one rooted container.
cmr_result cmr_root_set(cmr_vm *vm, int64_t index, cmr_value value);
cmr_value cmr_root_at(const cmr_vm *vm, int64_t index);

// MARK: Boxes (box.c)

/// What lets go of an object that was in a box, in the middle of a collection: the VM is out of bounds.
typedef void (*cmr_release)(void *object);
/// A Ruby object that has one of the host's in it, and lets go of it when it is collected; `release` is
/// the same for all boxes. Where it cannot be made the object is let go of at once.
cmr_result cmr_box(cmr_vm *vm, void *object, cmr_release release);
/// What is in the box; NULL where the value is none.
void *_Nullable cmr_boxed(cmr_value value);
/// Keeps a value alive for as long as the box is.
cmr_result cmr_box_keep(cmr_vm *vm, cmr_value box, cmr_value kept);
/// The value that was last kept so, or nil.
cmr_result cmr_box_kept(cmr_vm *vm, cmr_value box);
/// The class of all boxes, which makes none for a script.
cmr_value cmr_box_class(const cmr_vm *vm);

// MARK: Building from a tape (build.c)

/// A value, and the values in it, one after the other. The high 8 bits of a word are a character:
///
///     r    the beginning of all, and, as the last word, the end
///     { [  the beginning of a Hash or Array: in the low 32 bits the place behind its end, in the 24 above
///          how many members it has, or more than 0xFFFFFE. A Hash's are a String and a value each
///     } ]  its end
///     "    a String: where, in `strings`, its length stands as 4 bytes, and then it
///     l u  an Integer, signed or one of 2^63 and above, which is the next word
///     d    a Float, which is the next word
///     t f n  true, false, nil
typedef struct {
  const uint64_t *words;
  size_t count;
  const char *strings;
} cmr_tape;

/// How far the building of a value has come.
typedef struct cmr_builder cmr_builder;

/// The tape stays the caller's, and there, until the builder is freed. `symbolizes`: names become
/// Symbols. `maximum_depth`: how deep Arrays and Hashes may be in each other; 0 for any. NULL when out of
/// memory.
cmr_builder *_Nullable cmr_builder_make(
    cmr_tape tape, bool symbolizes, size_t maximum_depth);
void cmr_builder_free(cmr_builder *_Nullable builder);
/// Begins, with a value on which everything hangs that is built, and which the caller has to keep.
cmr_result cmr_builder_begin(cmr_vm *vm, cmr_builder *builder);

typedef struct {
  /// The value where it is complete, or the exception.
  cmr_result result;
  bool is_complete;
  /// It will not be complete.
  bool is_too_deep;
} cmr_built;
/// Builds for about so long. Of two equal names the last wins; an Integer over 64 bits is a Float.
cmr_built cmr_builder_go_on(
    cmr_vm *vm, cmr_builder *builder, cmr_value list, uint64_t nanoseconds);

// MARK: Writing as JSON (write.c)

enum { CMR_NUMBER_BYTES = 40 };
/// How to write. The bytes stay the caller's, and there, until the writer is freed.
typedef struct {
  cmr_bytes indent, space, object_nl, array_nl;
  /// How deep what is written stands already, and how deep it may become; 0 for any.
  size_t depth, maximum_depth;
  bool allows_nan;
  /// The value itself is written as a String, Array or Hash even if its class is none of Ruby's own.
  bool takes_any_class;
  bool (*is_utf8)(const char *_Nullable text, size_t count);
  /// Writes a finite number in at most CMR_NUMBER_BYTES bytes, and returns in how many.
  size_t (*write_number)(double number, char *out);
} cmr_writing;

/// A text that is being written.
typedef struct cmr_writer cmr_writer;

/// NULL when out of memory.
cmr_writer *_Nullable cmr_writer_make(const cmr_writing *writing);
void cmr_writer_free(cmr_writer *_Nullable writer);
/// Begins, with a value on which everything hangs that is being written, and which the caller has to keep.
cmr_result cmr_writer_begin(cmr_vm *vm, cmr_writer *writer, cmr_value value);

/// How far the writing has come, and what the value is that comes with it.
typedef enum {
  CMR_WRITTEN_IN_PART,
  /// The text.
  CMR_WRITTEN,
  /// An object that only Ruby can write, or a name that only Ruby can say: `cmr_writer_add` is next.
  CMR_WRITTEN_ASKS,
  /// How deep it would become.
  CMR_WRITTEN_TOO_DEEP,
  /// A String or Symbol that is not UTF-8.
  CMR_WRITTEN_NO_TEXT,
  /// What is no number, or infinite.
  CMR_WRITTEN_NO_NUMBER,
} cmr_written_kind;

typedef struct {
  cmr_result result;
  cmr_written_kind kind;
} cmr_written;

/// Writes for about so long.
cmr_written cmr_writer_go_on(
    cmr_vm *vm, cmr_writer *writer, cmr_value list, uint64_t nanoseconds);
/// What is asked for: an object's text, or a name.
cmr_written cmr_writer_add(cmr_vm *vm, cmr_writer *writer, cmr_bytes bytes);
bool cmr_writer_asks_name(const cmr_writer *writer);
/// How deep the object stands that is asked for.
size_t cmr_writer_depth(const cmr_writer *writer);

// MARK: Calls (call.c, turn.c)

/// Calls a method from C: a wait inside it is done in place.
cmr_result cmr_send(
    cmr_vm *vm, cmr_value receiver, cmr_symbol method, int64_t count,
    const cmr_value *_Nullable arguments);

/// Calls a Proc from C, with self as where it was made.
cmr_result cmr_call_proc(
    cmr_vm *vm, cmr_value proc, int64_t count, const cmr_value *_Nullable arguments);

/// What `accepts` returns for a method that takes any number of arguments.
#define CMR_ANY INT32_MAX
/// How many positional arguments the method takes at most; -1 where there is no such method.
int32_t cmr_accepts(cmr_vm *vm, cmr_value receiver, cmr_symbol method);
/// The same for instances of `klass`.
int32_t cmr_instances_accept(cmr_vm *vm, cmr_value klass, cmr_symbol method);

/// How an argument is yet to be made into a Ruby value, inside the guard of the call it is for.
typedef enum {
  CMR_ARGUMENT_VALUE,
  CMR_ARGUMENT_INTEGER,
  CMR_ARGUMENT_BYTES,
} cmr_argument_kind;

typedef struct {
  cmr_argument_kind kind;
  union {
    cmr_value value;
    int64_t integer;
    cmr_bytes bytes;
  };
} cmr_argument;

enum { CMR_MOST_ARGUMENTS = 10 };
typedef struct {
  cmr_argument at[CMR_MOST_ARGUMENTS];
} cmr_arguments;

/// How a fiber came back.
typedef enum {
  CMR_RETURNED,
  CMR_RAISED,
  /// It waits: the value is `cmr_parked` and a wait was begun by a native.
  CMR_PARKED,
  /// The fiber itself is broken or at its end, and must not be resumed again.
  CMR_ENDED,
} cmr_outcome;

typedef struct {
  cmr_value value;
  cmr_outcome outcome;
  /// What stands in the first parameter of the fiber's block, the receiver or what the block has put in
  /// its place; nil where the fiber ended.
  cmr_value made;
} cmr_turn;

/// Resumes `fiber`, which rests, with a receiver and the first `count` arguments for the method that it
/// calls. Its block has just as many parameters.
cmr_turn cmr_turn_call(
    cmr_vm *vm, cmr_value fiber, cmr_value receiver, uint32_t count,
    const cmr_arguments *arguments);
/// Resumes `fiber`, which is parked, with what it waited for.
cmr_turn cmr_turn_continue(cmr_vm *vm, cmr_value fiber, cmr_value outcome);
/// The object that the source of a fiber calls: `fiber { |receiver, ...| }` makes one, `start` brings that
/// one to its first rest; `rest(value)` ends a call, and comes back with the next one's receiver and
/// arguments in the parameters of the fiber's block; `raised(exception)` says that what a call ends with
/// is an exception, and returns it.
cmr_value cmr_turns(const cmr_vm *vm);
/// The object that a fiber yields when it waits.
cmr_value cmr_parked(const cmr_vm *vm);
/// Whether the running code could yield: `fiber` is at its root, directly or through
/// fibers of the script's own, and no C function stands between.
bool cmr_can_park(const cmr_vm *vm, cmr_value fiber);

/// Reads members of a stat-like by name: from a Hash by Symbol or String key, from any other object
/// by the methods that it has. Bit i of the result says that `values[i]` was there and is not nil.
/// At most 32.
typedef struct {
  uint32_t present;
  bool raised;
  cmr_value exception;
} cmr_members;
cmr_members cmr_read_members(
    cmr_vm *vm, cmr_value object, const cmr_symbol *names, uint32_t count, cmr_value *values);
/// Whether `klass.new` is Ruby's own, so that what it makes is a `klass`, and its instances have the
/// method.
bool cmr_makes_plainly(cmr_vm *vm, cmr_value klass, cmr_symbol method);
/// Forgets which class has which members: for after code was evaluated anew.
void cmr_forget_members(cmr_vm *vm);

// MARK: The world (world.c, definitions.c)

/// A copy of what all classes and modules consist of (methods, constants, variables, ancestors) and
/// of the global variables. Objects are not copied.
typedef struct cmr_world cmr_world;

/// Takes down the world as it is, after a full collection; NULL when out of memory.
cmr_world *_Nullable cmr_world_save(cmr_vm *vm);
void cmr_world_free(cmr_vm *vm, cmr_world *world);
/// Puts everything back as it was when `world` was saved; `now` is a world just saved. Classes that
/// were made since become garbage.
cmr_result cmr_world_restore(cmr_vm *vm, const cmr_world *world, const cmr_world *now);
/// Gives the classes of `now` the methods and ancestors that they had in `base`; those that are not
/// in `base` lose all of them. Constants and variables stay.
cmr_result cmr_world_clear(cmr_vm *vm, const cmr_world *base, const cmr_world *now);
/// Takes away the constants of `before` that are neither in `base`, nor among `names`, an Array of
/// Symbols, nor have another value since.
cmr_result cmr_world_prune(
    cmr_vm *vm, const cmr_world *base, const cmr_world *before, cmr_value names);

typedef enum {
  CMR_CHANGED,
  CMR_ADDED,
  CMR_REMOVED,
} cmr_change_kind;
/// An Array of [method, kind] for the methods that differ, such as ["Hello#on_read", CMR_CHANGED].
cmr_result cmr_world_changes(cmr_vm *vm, const cmr_world *before, const cmr_world *after);

/// The constants that a source assigns, as Symbols; `:const_set` among them says that there may be
/// others. Empty where it does not parse.
cmr_result cmr_definitions(cmr_vm *vm, cmr_bytes source, const char *file);

#pragma clang assume_nonnull end
