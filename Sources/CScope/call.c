#include "internal.h"

#include <string.h>

enum { LENGTH_BYTES = 4, ID_FIELD_TAG = 0x08 };

struct raw_call {
  struct scope_call_state call;
  scope_response_callback callback;
  void *context;
  scope_result *result;
};

static enum scope_handled take_response(void *context, const Scope__V1__Response *response,
                                        const uint8_t *payload, size_t payload_bytes) {
  struct raw_call *raw = context;
  scope_result_note_revision(raw->result, response, raw->result->rows == 0);
  raw->result->rows++;
  return raw->callback(raw->context, payload, payload_bytes) ? SCOPE_HANDLED : SCOPE_HANDLED_STOP;
}

// Found out before anything is sent: a change sent under another id would be applied, and its answer
// not recognised.
static bool begins_with_id(const uint8_t *request, size_t bytes, uint64_t id) {
  uint64_t found = 0;
  if (bytes < 2 || request[0] != ID_FIELD_TAG) return false;
  for (size_t i = 1, shift = 0; i < bytes && shift < 64; i++, shift += 7) {
    found |= (uint64_t)(request[i] & 0x7f) << shift;
    if (!(request[i] & 0x80)) return found == id;
  }
  return false;
}

static bool is_valid(const struct raw_call *raw, uint64_t id, const uint8_t *request, size_t bytes) {
  scope_error *error = raw->call.error;
  if (bytes > SCOPE_REQUEST_BYTES) {
    scope_fail(error, SCOPE_STATUS_INVALID_ARGUMENT, "too_large", "the request is too long");
    return false;
  }
  if (id != 0 && request && begins_with_id(request, bytes, id)) return true;
  scope_fail(error, SCOPE_STATUS_INVALID_ARGUMENT, "bad_argument",
             "the request does not begin with its id");
  return false;
}

static bool send_inside(struct raw_call *raw, uint64_t id, const uint8_t *request, size_t bytes) {
  uint8_t *frame = scope_arena_allocate(raw->call.lane->request_arena, LENGTH_BYTES + bytes);
  if (!frame) {
    scope_fail_no_memory(raw->call.error);
    return false;
  }
  scope_write_length(frame, bytes);
  memcpy(frame + LENGTH_BYTES, request, bytes);
  struct scope_exchange exchange = {.id = id,
                                    .frame = frame,
                                    .frame_bytes = LENGTH_BYTES + bytes,
                                    .raw = true,
                                    .handler = take_response,
                                    .context = raw};
  return scope_exchange_run(&raw->call, &exchange);
}

static bool run(struct raw_call *raw, uint64_t id, const uint8_t *request, size_t bytes) {
  if (!is_valid(raw, id, request, bytes) || !scope_call_enter(&raw->call)) return false;
  bool complete = send_inside(raw, id, request, bytes);
  scope_call_leave(&raw->call);
  return complete;
}

bool scope_call(scope_client *client, const scope_call_options *options, uint64_t id,
                const uint8_t *request, size_t request_bytes, uint32_t flags,
                scope_response_callback callback, void *context, scope_result *result) {
  scope_result ignored;
  if (!result) result = &ignored;
  memset(result, 0, sizeof *result);
  struct raw_call raw = {.callback = callback, .context = context, .result = result};
  scope_call_prepare(&raw.call, client, options, &result->error);
  raw.call.resendable = (flags & SCOPE_CALL_RESENDABLE) != 0;
  raw.call.streams = (flags & SCOPE_CALL_STREAM) != 0;
  return scope_call_finish(&raw.call, run(&raw, id, request, request_bytes));
}
