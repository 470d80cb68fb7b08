#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void scope_error_clear(scope_error *error) { memset(error, 0, sizeof *error); }

// All but `request_sent`, which the exchange sets as it goes.
static void begin(scope_error *error, scope_status status, bool from_daemon) {
  error->status = status;
  error->from_daemon = from_daemon;
  error->reason[0] = 0;
  error->message[0] = 0;
}

void scope_fail(scope_error *error, scope_status status, const char *reason, const char *format,
                ...) {
  begin(error, status, false);
  snprintf(error->reason, sizeof error->reason, "%s", reason);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
}

void scope_fail_timeout(scope_error *error) {
  scope_fail(error, SCOPE_STATUS_DEADLINE_EXCEEDED, "timeout", "no complete answer in time");
}

void scope_fail_bad_reply(scope_error *error, const char *what) {
  scope_fail(error, SCOPE_STATUS_INTERNAL, "bad_reply", "the daemon's reply is not valid: %s", what);
}

void scope_fail_no_memory(scope_error *error) {
  scope_fail(error, SCOPE_STATUS_RESOURCE_EXHAUSTED, "no_memory", "no memory for the call");
}

// Cuts between characters of UTF-8, and keeps control characters out of logs.
static void copy_words(ProtobufCBinaryData words, char *buffer, size_t capacity) {
  size_t count = words.len < capacity ? words.len : capacity - 1;
  if (count < words.len) {
    while (count > 0 && (words.data[count] & 0xc0) == 0x80) count--;
  }
  for (size_t i = 0; i < count; i++) {
    uint8_t byte = words.data[i];
    buffer[i] = byte < 0x20 || byte == 0x7f ? '?' : (char)byte;
  }
  buffer[count] = 0;
}

void scope_fail_by_daemon(scope_error *error, const Scope__V1__Response *response) {
  bool known = scope_status_text((int32_t)response->code) != NULL;
  begin(error, known ? (scope_status)response->code : SCOPE_STATUS_UNKNOWN, true);
  copy_words(response->reason, error->reason, sizeof error->reason);
  copy_words(response->message, error->message, sizeof error->message);
  if (!error->reason[0]) snprintf(error->reason, sizeof error->reason, "unspecified");
}
