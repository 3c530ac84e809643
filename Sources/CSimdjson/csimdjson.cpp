#include "csimdjson.h"

#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <charconv>
#include <cstring>
#include <new>

struct cjson_parser {
  simdjson::dom::parser parser;
  simdjson::error_code error = simdjson::SUCCESS;
};

cjson_parser *cjson_parser_make() { return new (std::nothrow) cjson_parser; }

void cjson_parser_free(cjson_parser *parser) { delete parser; }

static cjson_outcome outcome(simdjson::error_code error) {
  switch (error) {
    case simdjson::SUCCESS: return CJSON_FINE;
    case simdjson::DEPTH_ERROR: return CJSON_TOO_DEEP;
    case simdjson::MEMALLOC: return CJSON_NO_MEMORY;
    default: return CJSON_REFUSED;
  }
}

cjson_outcome cjson_parse(
    cjson_parser *parser, const char *text, size_t count, size_t maximum_depth) {
  auto &dom = parser->parser;
  // It refuses the level at its own bound, and takes the document for one.
  size_t depth = maximum_depth + 2;
  parser->error = simdjson::SUCCESS;
  if (dom.capacity() < count || dom.max_depth() != depth) {
    parser->error = dom.allocate(count, depth);
  }
  if (!parser->error) parser->error = dom.parse(text, count, false).error();
  return outcome(parser->error);
}

const char *cjson_error(const cjson_parser *parser) {
  return simdjson::error_message(parser->error);
}

const uint64_t *cjson_tape(const cjson_parser *parser, size_t *count) {
  const uint64_t *tape = parser->parser.doc.tape.get();
  // The first word says where the last one stands behind.
  *count = tape ? tape[0] & 0x00FFFFFFFFFFFFFF : 0;
  return tape;
}

const char *cjson_strings(const cjson_parser *parser) {
  return reinterpret_cast<const char *>(parser->parser.doc.string_buf.get());
}

bool cjson_is_utf8(const char *text, size_t count) {
  return count == 0 || simdjson::validate_utf8(text, count);
}

// MARK: Numbers

static uint64_t bits_of(double number) {
  uint64_t bits;
  memcpy(&bits, &number, sizeof bits);
  return bits;
}

static double double_of(uint64_t bits) {
  double number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

static constexpr uint64_t lost = 3;

// Whether mruby reads the text as these bits.
static bool reads_as(const char *start, const char *end, uint64_t bits) {
  double read = 0;
  auto result = std::from_chars(start, end, read);
  return result.ec == std::errc() && (bits_of(read) & ~lost) == (bits & ~lost);
}

// Every double that mruby takes for this one is tried, with ever more digits.
static char *write_shortest(uint64_t bits, char *out) {
  for (int digits = 15; digits < 17; digits++) {
    for (uint64_t more = 0; more <= lost; more++) {
      double number = double_of((bits & ~lost) + more);
      auto written = std::to_chars(
          out, out + CJSON_NUMBER_BYTES - 2, number, std::chars_format::general, digits);
      if (reads_as(out, written.ptr, bits)) return written.ptr;
    }
  }
  return std::to_chars(
             out, out + CJSON_NUMBER_BYTES - 2, double_of(bits), std::chars_format::general, 17)
      .ptr;
}

size_t cjson_write_number(double number, char *out) {
  char *end = write_shortest(bits_of(number), out);
  bool is_integer = true;
  for (const char *place = out; place < end; place++) {
    if (*place != '-' && (*place < '0' || *place > '9')) is_integer = false;
  }
  if (is_integer) {
    *end++ = '.';
    *end++ = '0';
  }
  return (size_t)(end - out);
}
