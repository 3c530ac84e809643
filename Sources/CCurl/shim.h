#pragma once

#include <curl/curl.h>

#pragma clang assume_nonnull begin

// curl_easy_setopt, curl_easy_getinfo and curl_multi_setopt are variadic, and Swift calls no
// variadic C function. So each C type that an option takes has one function here; which type an
// option takes is in its manual page, CURLOPT_*(3), CURLINFO_*(3) and CURLMOPT_*(3).

// Options whose manual page says `long`. Swift's Int is that long; an int would be read as garbage.
static inline CURLcode ccurl_set_long(CURL *easy, CURLoption option, long value) {
  return curl_easy_setopt(easy, option, value);
}

// Options whose manual page says `curl_off_t`: the sizes that a 32-bit long could not hold.
static inline CURLcode ccurl_set_offset(CURL *easy, CURLoption option, curl_off_t value) {
  return curl_easy_setopt(easy, option, value);
}

// Options whose manual page says `char *`: libcurl copies the bytes, except for POSTFIELDS. They
// end with NUL, except for COPYPOSTFIELDS when its size has been set before.
static inline CURLcode ccurl_set_bytes(CURL *easy, CURLoption option, const void *_Nullable bytes) {
  return curl_easy_setopt(easy, option, bytes);
}

// Options whose manual page says `void *`, which libcurl only keeps: contexts and buffers.
static inline CURLcode ccurl_set_pointer(CURL *easy, CURLoption option, void *_Nullable pointer) {
  return curl_easy_setopt(easy, option, pointer);
}

// CURLOPT_HTTPHEADER: the list stays the caller's, and must outlive the transfer.
static inline CURLcode ccurl_set_headers(CURL *easy, struct curl_slist *_Nullable list) {
  return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
}

// WRITEFUNCTION and HEADERFUNCTION, which share one type. Typed, so that Swift checks the closure.
static inline CURLcode ccurl_set_writer(
    CURL *easy, CURLoption option, curl_write_callback writer, void *context) {
  CURLcode code = curl_easy_setopt(easy, option, writer);
  if (code != CURLE_OK) return code;
  return curl_easy_setopt(
      easy, option == CURLOPT_WRITEFUNCTION ? CURLOPT_WRITEDATA : CURLOPT_HEADERDATA,
      context);
}

// CURLOPT_OPENSOCKETFUNCTION. Typed, so that Swift checks the closure.
static inline CURLcode ccurl_set_socket_opener(CURL *easy, curl_opensocket_callback opener) {
  return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, opener);
}

// CURLINFO_PRIVATE: the context that CURLOPT_PRIVATE left with the handle, or NULL.
static inline void *_Nullable ccurl_private(CURL *easy) {
  char *context = NULL;
  return curl_easy_getinfo(easy, CURLINFO_PRIVATE, &context) == CURLE_OK ? context : NULL;
}

// CURLINFO_CONTENT_LENGTH_DOWNLOAD_T: the length that the answer claims, or -1 if it claims none.
static inline curl_off_t ccurl_content_length(CURL *easy) {
  curl_off_t length = -1;
  return curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK
             ? length : -1;
}

// The CURLMOPT_* options that take a `long`.
static inline CURLMcode ccurl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
  return curl_multi_setopt(multi, option, value);
}

#pragma clang assume_nonnull end
