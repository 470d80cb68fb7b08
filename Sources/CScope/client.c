#include "internal.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  CONNECTIONS_DEFAULT = 4,
  REQUEST_ARENA_BYTES = 2048,           // holds a check's request
  REQUEST_ARENA_LIMIT_BYTES = 16777216, // the longest request, packed, and the parts it is packed from
  REPLY_ARENA_BYTES = 8192,
  REPLY_ARENA_LIMIT_BYTES = 67108864    // one response of the longest size, unpacked; a response made of
                                        // empty parts could want 44 times its size
};

// ------------------------------------------------------------------------------------ options

void scope_options_init(scope_options *options, size_t size) {
  scope_options defaults = {
      .size = size,
      .timeout_ms = SCOPE_TIMEOUT_DEFAULT_MS,
      .backoff_min_ms = 10,
      .backoff_max_ms = 1000,
      .breaker_failures = 3,
      .breaker_open_ms = 1000,
      .connections = CONNECTIONS_DEFAULT,
  };
  memset(options, 0, size);
  memcpy(options, &defaults, size < sizeof defaults ? size : sizeof defaults);
}

// The program's options may be shorter or longer than this library's: the rest is default.
static bool take_options(const scope_options *given, scope_options *options, scope_error *error) {
  scope_options_init(options, sizeof *options);
  if (!given) return true;
  if (given->size < offsetof(scope_options, company)) {
    scope_fail(error, SCOPE_STATUS_INVALID_ARGUMENT, "bad_argument",
               "the options were not set by scope_options_init");
    return false;
  }
  memcpy(options, given, given->size < sizeof *options ? given->size : sizeof *options);
  if (options->connections > SCOPE_CONNECTIONS) {
    scope_fail(error, SCOPE_STATUS_INVALID_ARGUMENT, "bad_argument", "a handle has up to %d connections",
               SCOPE_CONNECTIONS);
    return false;
  }
  if (options->connections == 0) options->connections = CONNECTIONS_DEFAULT;
  if (options->timeout_ms == 0) options->timeout_ms = SCOPE_TIMEOUT_DEFAULT_MS;
  if (options->backoff_max_ms < options->backoff_min_ms) {
    options->backoff_max_ms = options->backoff_min_ms;
  }
  return true;
}

// ----------------------------------------------------------------------------- open and close

// What belongs to this process alone. Jitter and ids must differ between the children of one fork.
static void start_state(scope_client *client) {
  uint64_t seed = (uint64_t)scope_now() ^ ((uint64_t)getpid() << 40) ^ (uint64_t)(uintptr_t)client;
  client->random_state = seed;
  atomic_store(&client->last_id, scope_random(&client->random_state) >> 16);
  for (size_t i = 0; i < client->gate.lane_count; i++) {
    client->gate.lanes[i].connection.fd = -1;
    client->gate.lanes[i].was_connected = false;
  }
  scope_breaker_succeeded(&client->breaker);
  scope_backoff_succeeded(&client->backoff);
}

static bool set_up(scope_client *client, const char *address, const scope_options *options,
                   scope_error *error) {
  ProtobufCBinaryData company;
  if (!scope_address_parse(address, &client->address, error)) return false;
  if (!scope_take_optional_name(options->company, "the company", &company, error)) return false;
  if (company.len > 0) memcpy(client->company, company.data, company.len);  // the rest is zero
  client->timeout_ms = options->timeout_ms;
  client->breaker.limit = options->breaker_failures;
  client->breaker.open_ms = options->breaker_open_ms;
  client->backoff.min_ms = options->backoff_min_ms;
  client->backoff.max_ms = options->backoff_max_ms;
  client->gate.lanes = calloc(options->connections, sizeof *client->gate.lanes);
  if (client->gate.lanes) {
    client->gate.lane_count = options->connections;
    start_state(client);
    atomic_store(&client->gate.process, scope_process());
    if (scope_gate_make(&client->gate)) return true;
    free(client->gate.lanes);
  }
  scope_fail_no_memory(error);
  return false;
}

scope_client *scope_open(const char *address, const scope_options *options, scope_error *error) {
  scope_error ignored;
  scope_options taken;
  if (!error) error = &ignored;
  scope_error_clear(error);
  if (!take_options(options, &taken, error)) return NULL;
  scope_client *client = calloc(1, sizeof *client);
  if (!client) {
    scope_fail_no_memory(error);
    return NULL;
  }
  if (set_up(client, address, &taken, error)) return client;
  free(client);
  return NULL;
}

void scope_close(scope_client *client) {
  if (!client) return;
  scope_client_adopt(client);
  for (size_t i = 0; i < client->gate.lane_count; i++) {
    struct scope_lane *lane = &client->gate.lanes[i];
    scope_connection_free(&lane->connection);
    scope_arena_destroy(lane->request_arena);
    scope_arena_destroy(lane->reply_arena);
  }
  scope_gate_destroy(&client->gate);
  free(client->gate.lanes);
  free(client);
}

// --------------------------------------------------------------------------------------- fork

static void clear_counters(struct scope_atomic_counters *counters) {
  atomic_uint_fast64_t *all[] = {&counters->calls,    &counters->allow,         &counters->deny,
                                 &counters->unavailable, &counters->timeouts,
                                 &counters->breaker_skips, &counters->reconnects};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    atomic_store_explicit(all[i], 0, memory_order_relaxed);
  }
}

// In the child of a fork. If another thread was inside the gate, its buffers may be half changed:
// they are left behind, and new ones made by the next call. The mutex may be locked by a thread that
// is not there, so it is made anew, not unlocked.
static void start_over(scope_client *client) {
  for (size_t i = 0; i < client->gate.lane_count; i++) {
    struct scope_lane *lane = &client->gate.lanes[i];
    scope_connection_close(&lane->connection);
    if (lane->busy) memset(lane, 0, sizeof *lane);
  }
  start_state(client);
  clear_counters(&client->counters);
}

// Threads that the child made before its first call may come here together: one does the work.
void scope_client_adopt(scope_client *client) {
  int here = scope_process(), seen = atomic_load(&client->gate.process);
  while (seen != here) {
    if (seen != -here && atomic_compare_exchange_strong(&client->gate.process, &seen, -here)) {
      start_over(client);
      scope_gate_make(&client->gate);           // can't fail where it did not fail before
      atomic_store(&client->gate.process, here);    // lets the others go on
      return;
    }
    sched_yield();
    seen = atomic_load(&client->gate.process);
  }
}

// -------------------------------------------------------------------------------------- calls

static void count(atomic_uint_fast64_t *counter) {
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void scope_call_prepare(struct scope_call_state *call, scope_client *client,
                        const scope_call_options *options, scope_error *error) {
  scope_client_adopt(client);
  count(&client->counters.calls);
  scope_error_clear(error);
  uint32_t timeout_ms = options && options->timeout_ms ? options->timeout_ms : client->timeout_ms;
  *call = (struct scope_call_state){
      .client = client,
      .timeout_ms = timeout_ms,
      .begun = scope_now(),
      .deadline = scope_deadline_after(timeout_ms),
      .min_revision = options ? options->min_revision : 0,
      .resendable = true,
      .error = error,
  };
}

bool scope_call_take_company(struct scope_call_state *call, const scope_call_options *options) {
  const char *company = options && options->company ? options->company : call->client->company;
  return scope_take_name(company, "the company", &call->company, call->error);
}

static bool have_memory(struct scope_lane *lane) {
  if (!lane->request_arena) {
    lane->request_arena = scope_arena_create(REQUEST_ARENA_BYTES, REQUEST_ARENA_LIMIT_BYTES);
  }
  if (!lane->reply_arena) {
    lane->reply_arena = scope_arena_create(REPLY_ARENA_BYTES, REPLY_ARENA_LIMIT_BYTES);
  }
  return lane->request_arena && lane->reply_arena;
}

static bool refuse_entry(scope_error *error, enum scope_gate_result result) {
  if (result == SCOPE_GATE_TIMEOUT) {
    scope_fail(error, SCOPE_STATUS_DEADLINE_EXCEEDED, "timeout",
               "other threads used the handle's connections until the deadline");
  } else if (result == SCOPE_GATE_SAME_THREAD) {
    scope_fail(error, SCOPE_STATUS_FAILED_PRECONDITION, "handle_in_use",
               "a callback must not use the handle that calls it");
  } else {
    scope_fail(error, SCOPE_STATUS_INTERNAL, "internal", "a thread function of the system failed");
  }
  return false;
}

bool scope_call_enter(struct scope_call_state *call) {
  struct scope_gate *gate = &call->client->gate;
  enum scope_gate_result result = scope_gate_enter(gate, call->deadline, &call->lane);
  if (result != SCOPE_GATE_ENTERED) return refuse_entry(call->error, result);
  if (have_memory(call->lane)) return true;
  scope_gate_leave(gate, call->lane);
  scope_fail_no_memory(call->error);
  return false;
}

void scope_call_leave(struct scope_call_state *call) {
  scope_arena_reset(call->lane->request_arena);
  scope_arena_reset(call->lane->reply_arena);
  scope_gate_leave(&call->client->gate, call->lane);
}

bool scope_call_finish(struct scope_call_state *call, bool succeeded) {
  if (succeeded) return true;
  struct scope_atomic_counters *counters = &call->client->counters;
  count(&counters->unavailable);
  if (call->error->from_daemon) return false;
  if (!strcmp(call->error->reason, "timeout")) count(&counters->timeouts);
  if (!strcmp(call->error->reason, "breaker_open")) count(&counters->breaker_skips);
  return false;
}

static uint64_t read_counter(atomic_uint_fast64_t *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

void scope_counters_read(scope_client *client, scope_counters *counters) {
  scope_client_adopt(client);
  struct scope_atomic_counters *from = &client->counters;
  *counters = (scope_counters){
      .calls = read_counter(&from->calls),
      .allow = read_counter(&from->allow),
      .deny = read_counter(&from->deny),
      .unavailable = read_counter(&from->unavailable),
      .timeouts = read_counter(&from->timeouts),
      .breaker_skips = read_counter(&from->breaker_skips),
      .reconnects = read_counter(&from->reconnects),
  };
}

// A handle asks 2^48 questions before it would begin again at its first ids.
uint64_t scope_next_id(scope_client *client) {
  scope_client_adopt(client);
  return atomic_fetch_add(&client->last_id, 1) + 1;
}
