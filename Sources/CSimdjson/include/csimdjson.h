// simdjson, and the conversions of numbers of C++, as C functions.
//
// Invariant: no exception leaves a function. simdjson is built to return error codes, and nothing else
// here throws.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma clang assume_nonnull begin

/// A parser with the memory that it needs, which it keeps for the next text.
typedef struct cjson_parser cjson_parser;

/// What became of a text.
typedef enum {
  CJSON_FINE,
  CJSON_TOO_DEEP,
  CJSON_NO_MEMORY,
  /// It is no JSON, or has a number in it that is none for simdjson.
  CJSON_REFUSED,
} cjson_outcome;

/// The bytes that a text must have behind its end; they may be anything.
enum { CJSON_PADDING = 64 };

/// NULL when out of memory.
cjson_parser *_Nullable cjson_parser_make(void);
void cjson_parser_free(cjson_parser *_Nullable parser);

/// Reads a text. Arrays and objects may be nested so deep, of which innermost empty ones are not counted.
cjson_outcome cjson_parse(
    cjson_parser *parser, const char *text, size_t count, size_t maximum_depth);
/// What became of the last text, in simdjson's words.
const char *cjson_error(const cjson_parser *parser);

/// The tape of the last text, if it was fine: so many words, good until the next text.
const uint64_t *_Nullable cjson_tape(const cjson_parser *parser, size_t *count);
/// The strings that go with it.
const char *_Nullable cjson_strings(const cjson_parser *parser);

bool cjson_is_utf8(const char *_Nullable text, size_t count);

/// At most so many bytes are written for a number.
enum { CJSON_NUMBER_BYTES = 40 };
/// Writes the shortest text that mruby reads as this number, with a point or an exponent in it; returns how
/// many bytes it has. The number is finite.
///
/// A word-boxed Float lacks the last two bits of its mantissa, so 0.1 is a little less than the nearest
/// double, and what is shortest for that one is not what the script wrote.
size_t cjson_write_number(double number, char *out);

#pragma clang assume_nonnull end

#ifdef __cplusplus
}
#endif
