#include "internal.h"

#include <string.h>

enum { LENGTH_BYTES = 4 };

// How an attempt went, for the breaker and for the question whether to send again.
enum attempt {
  ATTEMPT_DONE,      // all responses are there; perhaps with an error of the daemon
  ATTEMPT_STOPPED,   // by the handler; the daemon is alive
  ATTEMPT_FAILED,
  ATTEMPT_UNTRIED,   // it is too early to connect again
  ATTEMPT_STALE      // the kept connection was dead before it
};

void scope_result_note_revision(scope_result *result, const Scope__V1__Response *response,
                                bool first) {
  if (first || response->revision < result->revision) result->revision = response->revision;
  if (first || response->revision > result->revision_last) {
    result->revision_last = response->revision;
  }
}

// ------------------------------------------------------------------------------- connecting

static void fail_connect(scope_error *error, enum scope_io result, int system_error) {
  char words[128];
  if (result == SCOPE_IO_TIMEOUT) {
    scope_fail_timeout(error);
    return;
  }
  // The GNU variant: the result may or may not be in `words`.
  scope_fail(error, SCOPE_STATUS_UNAVAILABLE, "connect_failed", "cannot connect to the daemon: %s",
             strerror_r(system_error, words, sizeof words));
}

static bool may_connect(scope_client *client) {
  pthread_mutex_lock(&client->gate.mutex);
  bool may = scope_backoff_is_over(&client->backoff, scope_now());
  pthread_mutex_unlock(&client->gate.mutex);
  return may;
}

static void note_connected(scope_client *client, bool connected) {
  pthread_mutex_lock(&client->gate.mutex);
  if (connected) {
    scope_backoff_succeeded(&client->backoff);
  } else {
    scope_backoff_failed(&client->backoff, scope_now(), scope_random(&client->random_state));
  }
  pthread_mutex_unlock(&client->gate.mutex);
}

static enum attempt connect_now(struct scope_call_state *call) {
  scope_client *client = call->client;
  struct scope_lane *lane = call->lane;
  if (!may_connect(client)) {
    scope_fail(call->error, SCOPE_STATUS_UNAVAILABLE, "connect_backoff",
               "the last attempt to connect failed a moment ago");
    return ATTEMPT_UNTRIED;
  }
  enum scope_io opened = scope_connection_open(&lane->connection, &client->address, call->deadline);
  note_connected(client, opened == SCOPE_IO_OK);
  if (opened != SCOPE_IO_OK) {
    fail_connect(call->error, opened, lane->connection.system_error);
    return ATTEMPT_FAILED;
  }
  if (lane->was_connected) {
    atomic_fetch_add_explicit(&client->counters.reconnects, 1, memory_order_relaxed);
  }
  lane->was_connected = true;
  return ATTEMPT_DONE;
}

// -------------------------------------------------------------------------------- responses

static void fail_io(scope_error *error, enum scope_io result) {
  switch (result) {
    case SCOPE_IO_TIMEOUT: scope_fail_timeout(error); break;
    case SCOPE_IO_TOO_LARGE: scope_fail_bad_reply(error, "a frame beyond the limit"); break;
    case SCOPE_IO_NO_MEMORY: scope_fail_no_memory(error); break;
    case SCOPE_IO_OK:
    case SCOPE_IO_CLOSED:
      scope_fail(error, SCOPE_STATUS_UNAVAILABLE, "connection_lost",
                 "the connection ended before the answer was complete");
  }
}

static enum attempt fail_reply(struct scope_call_state *call, const char *what) {
  scope_fail_bad_reply(call->error, what);
  return ATTEMPT_FAILED;
}

static enum attempt hand_over(struct scope_call_state *call, const struct scope_exchange *exchange,
                              const Scope__V1__Response *response, const uint8_t *payload,
                              size_t payload_bytes) {
  switch (exchange->handler(exchange->context, response, payload, payload_bytes)) {
    case SCOPE_HANDLED: return ATTEMPT_DONE;
    case SCOPE_HANDLED_BAD: return fail_reply(call, "not what was asked for");
    case SCOPE_HANDLED_STOP: break;
  }
  scope_fail(call->error, SCOPE_STATUS_CANCELLED, "stopped", "the callback asked to stop");
  return ATTEMPT_STOPPED;
}

// Id 0 says that the daemon could not read the request: its words are worth more than "wrong id".
static bool is_ours(const Scope__V1__Response *response, uint64_t id) {
  return response->id == id || (response->id == 0 && response->code != SCOPE__V1__CODE__CODE_OK);
}

// An error is the last response. If the daemon could not read the request, or means to send more, the
// connection is of no further use. Closing leaves the payload where it is.
static void take_error(struct scope_call_state *call, const struct scope_exchange *exchange,
                       const Scope__V1__Response *response, const uint8_t *payload,
                       size_t payload_bytes) {
  scope_fail_by_daemon(call->error, response);
  if (response->id == 0 || response->more) scope_connection_close(&call->lane->connection);
  if (exchange->raw) exchange->handler(exchange->context, response, payload, payload_bytes);
}

// One response. Sets `more`.
static enum attempt take(struct scope_call_state *call, const struct scope_exchange *exchange,
                         const uint8_t *payload, size_t payload_bytes, bool *more) {
  struct scope_arena *arena = call->lane->reply_arena;
  scope_arena_reset(arena);
  Scope__V1__Response *response =
      scope__v1__response__unpack(&arena->allocator, payload_bytes, payload);
  if (!response) return fail_reply(call, "it cannot be read");
  if (!is_ours(response, exchange->id)) return fail_reply(call, "it answers another request");
  if (response->code == SCOPE__V1__CODE__CODE_OK) {
    *more = response->more;
    return hand_over(call, exchange, response, payload, payload_bytes);
  }
  *more = false;
  take_error(call, exchange, response, payload, payload_bytes);
  return ATTEMPT_DONE;
}

static enum attempt take_all(struct scope_call_state *call, const struct scope_exchange *exchange,
                             bool kept) {
  struct scope_connection *connection = &call->lane->connection;
  for (bool more = true; more;) {
    const uint8_t *payload;
    size_t payload_bytes;
    enum scope_io received =
        scope_connection_receive(connection, call->deadline, &payload, &payload_bytes);
    if (received == SCOPE_IO_CLOSED && kept && !connection->received) return ATTEMPT_STALE;
    if (received != SCOPE_IO_OK) {
      fail_io(call->error, received);
      return ATTEMPT_FAILED;
    }
    enum attempt taken = take(call, exchange, payload, payload_bytes, &more);
    if (taken != ATTEMPT_DONE) return taken;
    if (call->streams) call->deadline = scope_deadline_after(call->timeout_ms);
  }
  return ATTEMPT_DONE;
}

// --------------------------------------------------------------------------------- attempts

static enum attempt send_and_take(struct scope_call_state *call,
                                  const struct scope_exchange *exchange, bool kept) {
  enum scope_io sent = scope_connection_send(&call->lane->connection, exchange->frame,
                                             exchange->frame_bytes, call->deadline);
  if (sent == SCOPE_IO_OK) call->error->request_sent = true;
  if (sent == SCOPE_IO_TIMEOUT) {
    scope_fail_timeout(call->error);
    return ATTEMPT_FAILED;
  }
  // A daemon that refuses a connection may say why before it closes, so there may be something to
  // read although nothing more can be written.
  return take_all(call, exchange, kept);
}

// Only a connection without anything outstanding is kept: what comes late can then never be taken for
// an answer.
static enum attempt attempt(struct scope_call_state *call, const struct scope_exchange *exchange) {
  struct scope_connection *connection = &call->lane->connection;
  scope_connection_check(connection);
  bool kept = connection->fd >= 0;
  // What must not be sent twice is not sent into a connection that is known to be dead.
  if (kept && !call->resendable && scope_connection_is_stale(connection)) {
    scope_connection_close(connection);
    kept = false;
  }
  if (!kept) {
    enum attempt connected = connect_now(call);
    if (connected != ATTEMPT_DONE) return connected;
  }
  enum attempt result = send_and_take(call, exchange, kept);
  bool clean = result == ATTEMPT_DONE && connection->begin == connection->end;
  if (!clean) scope_connection_close(connection);
  return result;
}

static enum attempt attempt_twice(struct scope_call_state *call,
                                  const struct scope_exchange *exchange) {
  enum attempt result = attempt(call, exchange);
  if (result != ATTEMPT_STALE) return result;
  if (call->resendable) {
    call->error->request_sent = false;
    return attempt(call, exchange);  // on a new connection, so not stale again
  }
  fail_io(call->error, SCOPE_IO_CLOSED);
  return ATTEMPT_FAILED;
}

static bool is_admitted(scope_client *client) {
  pthread_mutex_lock(&client->gate.mutex);
  bool admitted = scope_breaker_admits(&client->breaker, scope_now());
  pthread_mutex_unlock(&client->gate.mutex);
  return admitted;
}

static void note_attempt(struct scope_call_state *call, enum attempt result) {
  struct scope_breaker *breaker = &call->client->breaker;
  pthread_mutex_lock(&call->client->gate.mutex);
  switch (result) {
    case ATTEMPT_DONE:
    case ATTEMPT_STOPPED: scope_breaker_succeeded(breaker); break;
    case ATTEMPT_FAILED: scope_breaker_failed(breaker, call->begun, scope_now()); break;
    case ATTEMPT_UNTRIED:
    case ATTEMPT_STALE: scope_breaker_untried(breaker, scope_now());
  }
  pthread_mutex_unlock(&call->client->gate.mutex);
}

bool scope_exchange_run(struct scope_call_state *call, const struct scope_exchange *exchange) {
  if (!is_admitted(call->client)) {
    scope_fail(call->error, SCOPE_STATUS_UNAVAILABLE, "breaker_open",
               "several calls in a row failed; not tried for a moment");
    return false;
  }
  enum attempt result = ATTEMPT_UNTRIED;
  if (scope_milliseconds_left(call->deadline) == 0) {
    scope_fail_timeout(call->error);
  } else {
    result = attempt_twice(call, exchange);
  }
  note_attempt(call, result);
  return result == ATTEMPT_DONE && call->error->status == SCOPE_STATUS_OK;
}

// ---------------------------------------------------------------------------------- packing

void scope_write_length(uint8_t *bytes, size_t length) {
  bytes[0] = (uint8_t)(length >> 24);
  bytes[1] = (uint8_t)(length >> 16);
  bytes[2] = (uint8_t)(length >> 8);
  bytes[3] = (uint8_t)length;
}

static void complete(struct scope_call_state *call, Scope__V1__Request *request) {
  int left = scope_milliseconds_left(call->deadline);
  request->id = scope_next_id(call->client);
  request->timeout_ms = left > 0 ? (uint32_t)left : 1;  // 0 would mean the daemon's default
  request->company = call->company;
  request->min_revision = call->min_revision;
}

bool scope_exchange_request(struct scope_call_state *call, Scope__V1__Request *request,
                            scope_response_handler handler, void *context) {
  complete(call, request);
  size_t bytes = scope__v1__request__get_packed_size(request);
  if (bytes > SCOPE_REQUEST_BYTES) {
    scope_fail(call->error, SCOPE_STATUS_INVALID_ARGUMENT, "too_large", "the request is too long");
    return false;
  }
  uint8_t *frame = scope_arena_allocate(call->lane->request_arena, LENGTH_BYTES + bytes);
  if (!frame) {
    scope_fail_no_memory(call->error);
    return false;
  }
  scope_write_length(frame, bytes);
  scope__v1__request__pack(request, frame + LENGTH_BYTES);
  struct scope_exchange exchange = {.id = request->id,
                                    .frame = frame,
                                    .frame_bytes = LENGTH_BYTES + bytes,
                                    .handler = handler,
                                    .context = context};
  return scope_exchange_run(call, &exchange);
}
