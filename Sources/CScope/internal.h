// What the files of libscope share. From the bottom up:
//   clock, failure, names, ref,
//   version                      small helpers
//   process                      whether this is a child by now
//   address                      text to socket address
//   breaker                      when to try at all; decisions only, no I/O
//   connection                   one socket: connect, send a frame, receive a frame
//   gate                         which thread has which connection of a handle, and forks
//   exchange                     one request and its responses, sent a second time if need be
//   client                       the handle, and what every call begins and ends with
//   check, filter, listing, call the public calls
#ifndef SCOPE_INTERNAL_H
#define SCOPE_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // SOCK_NONBLOCK and SOCK_CLOEXEC, also under -std=c11
#endif

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "CScopeWire.h"
#include "scope.h"

#pragma GCC visibility push(hidden)

// ------------------------------------------------------------------------------------- clock

// Monotonic time in nanoseconds. Deadlines are such times.
int64_t scope_now(void);
int64_t scope_deadline_after(uint32_t milliseconds);
// Milliseconds until the deadline, rounded up, so that a poll of so many does not end before it; 0
// once it has passed.
int scope_milliseconds_left(int64_t deadline);
// The next number of a pseudo-random sequence (splitmix64). For jitter and ids, not for secrets.
uint64_t scope_random(uint64_t *state);

// ----------------------------------------------------------------------------------- process

// Which process this is, above 0: another number than that of any ancestor whose memory it has.
int scope_process(void);

// ----------------------------------------------------------------------------------- failure

void scope_error_clear(scope_error *error);
// Fills `error` with a failure found here. Never echo what the caller handed in: it may be a phone
// number, and messages end in logs.
__attribute__((format(printf, 4, 5))) void scope_fail(scope_error *error, scope_status status,
                                                      const char *reason, const char *format, ...);
void scope_fail_timeout(scope_error *error);
void scope_fail_bad_reply(scope_error *error, const char *what);
void scope_fail_no_memory(scope_error *error);
// Fills `error` with the failure that the daemon reported.
void scope_fail_by_daemon(scope_error *error, const Scope__V1__Response *response);

// ---------------------------------------------------------------------------------- text in, out

// A name of 1 to SCOPE_NAME_BYTES bytes; false and `error` otherwise. `what` names it for people.
bool scope_take_name(const char *text, const char *what, ProtobufCBinaryData *name,
                     scope_error *error);
// The same, but NULL and "" are allowed and give an empty one.
bool scope_take_optional_name(const char *text, const char *what, ProtobufCBinaryData *name,
                              scope_error *error);
bool scope_take_ref(const char *text, const char *what, Scope__V1__EntityType *type,
                    ProtobufCBinaryData *id, scope_error *error);
bool scope_take_type(const char *name, Scope__V1__EntityType *type, scope_error *error);
// Copies bytes that the daemon sent into a buffer and ends them in NUL. False if they don't fit or
// hold a NUL, which no name does.
bool scope_copy_name(ProtobufCBinaryData name, char *buffer, size_t capacity);

// ----------------------------------------------------------------------------------- address

struct scope_address {
  struct sockaddr_storage socket;
  socklen_t bytes;
};

bool scope_address_parse(const char *text, struct scope_address *address, scope_error *error);

// ----------------------------------------------------------------------------------- breaker

// Both parts are pure: they are told the time and what happened.
struct scope_breaker {
  uint32_t limit;  // failures in a row that open it; 0: never
  uint32_t open_ms;
  uint32_t in_row;
  int64_t failed_at;  // when the last of them was counted
  int64_t open_until;
};

// Whether a call may be tried. Once the time is over, one is, and the others wait for what comes of it.
bool scope_breaker_admits(struct scope_breaker *breaker, int64_t now);
// Calls that were under way or waiting when another failed share its fate: one stall counts once.
void scope_breaker_failed(struct scope_breaker *breaker, int64_t begun, int64_t now);
void scope_breaker_succeeded(struct scope_breaker *breaker);
// What was admitted was not tried after all.
void scope_breaker_untried(struct scope_breaker *breaker, int64_t now);

struct scope_backoff {
  uint32_t min_ms;
  uint32_t max_ms;
  uint32_t next_ms;  // length of the next pause before jitter; 0: the last attempt succeeded
  int64_t until;
};

bool scope_backoff_is_over(const struct scope_backoff *backoff, int64_t now);
void scope_backoff_failed(struct scope_backoff *backoff, int64_t now, uint64_t random);
void scope_backoff_succeeded(struct scope_backoff *backoff);

// -------------------------------------------------------------------------------- connection

// How an operation on the socket went. Values but for OK leave the connection useless.
enum scope_io {
  SCOPE_IO_OK,
  SCOPE_IO_TIMEOUT,
  SCOPE_IO_CLOSED,     // by the other side, or broken
  SCOPE_IO_TOO_LARGE,  // the length of a frame is beyond the limit
  SCOPE_IO_NO_MEMORY
};

struct scope_connection {
  int fd;  // -1: not connected
  dev_t device;      // of the socket: which file the number stood for when it was opened
  ino_t inode;
  int system_error;  // errno of the last failure, for the message
  bool received;     // a byte has arrived since the last send
  uint8_t *buffer;   // what was received: [begin, end) is not yet taken
  size_t capacity, begin, end;
};

enum scope_io scope_connection_open(struct scope_connection *connection,
                                    const struct scope_address *address, int64_t deadline);
void scope_connection_close(struct scope_connection *connection);
// Forgets the connection if the program has closed its descriptor: the number may be another file's by
// now, which is neither read, written nor closed.
void scope_connection_check(struct scope_connection *connection);
void scope_connection_free(struct scope_connection *connection);
// Whether the other side has ended the connection, or sent what nobody asked for. Does not wait.
bool scope_connection_is_stale(const struct scope_connection *connection);
enum scope_io scope_connection_send(struct scope_connection *connection, const uint8_t *bytes,
                                    size_t count, int64_t deadline);
// The next frame's content, valid until the next call.
enum scope_io scope_connection_receive(struct scope_connection *connection, int64_t deadline,
                                       const uint8_t **payload, size_t *payload_bytes);

// -------------------------------------------------------------------------------------- gate

enum scope_gate_result {
  SCOPE_GATE_ENTERED,
  SCOPE_GATE_TIMEOUT,
  SCOPE_GATE_SAME_THREAD,  // the caller is inside already
  SCOPE_GATE_BROKEN        // a pthread function failed
};

// A connection, and what a call on it needs. While busy it belongs to its holder.
struct scope_lane {
  bool busy;
  pthread_t holder;
  struct scope_connection connection;
  bool was_connected;
  struct scope_arena *request_arena;  // made by the first call; NULL before, and after some forks
  struct scope_arena *reply_arena;    // reset for each response
};

// Lets as many threads in as there are lanes: the first that is free, so that a program with one thread has
// one connection. The mutex is held for moments only, never during I/O, so that waiting can have a deadline.
struct scope_gate {
  pthread_mutex_t mutex;
  pthread_cond_t left;
  struct scope_lane *lanes;
  size_t lane_count;
  atomic_int process;  // whose gate this is; negative while that process makes it anew
};

bool scope_gate_make(struct scope_gate *gate);
void scope_gate_destroy(struct scope_gate *gate);
enum scope_gate_result scope_gate_enter(struct scope_gate *gate, int64_t deadline,
                                        struct scope_lane **lane);
void scope_gate_leave(struct scope_gate *gate, struct scope_lane *lane);

// ------------------------------------------------------------------------------------ client

struct scope_atomic_counters {
  atomic_uint_fast64_t calls, allow, deny, unavailable, timeouts, breaker_skips, reconnects;
};

struct scope_client {
  struct scope_gate gate;
  struct scope_address address;
  char company[SCOPE_NAME_BYTES + 1];  // empty: each call names its own
  uint32_t timeout_ms;
  struct scope_atomic_counters counters;
  atomic_uint_fast64_t last_id;
  // What follows is looked at and changed under the gate's mutex.
  struct scope_breaker breaker;
  struct scope_backoff backoff;
  uint64_t random_state;
};

// One call on its way.
struct scope_call_state {
  scope_client *client;
  struct scope_lane *lane;  // from scope_call_enter to scope_call_leave
  uint32_t timeout_ms;
  int64_t begun;
  int64_t deadline;
  ProtobufCBinaryData company;
  uint64_t min_revision;
  bool resendable;
  bool streams;        // each response moves the deadline to `timeout_ms` from then
  scope_error *error;  // never NULL
};

// Makes the handle fit for this process if it comes from before a fork. First thing in every call.
void scope_client_adopt(scope_client *client);
// Counts the call and reads its options.
void scope_call_prepare(struct scope_call_state *call, scope_client *client,
                        const scope_call_options *options, scope_error *error);
// The company asked about. Required by all calls but scope_call.
bool scope_call_take_company(struct scope_call_state *call, const scope_call_options *options);
// Enters the gate and takes a lane; on true, scope_call_leave must follow.
bool scope_call_enter(struct scope_call_state *call);
void scope_call_leave(struct scope_call_state *call);
// Counts how it ended. Last thing in every call; hands `succeeded` back.
bool scope_call_finish(struct scope_call_state *call, bool succeeded);

// ---------------------------------------------------------------------------------- exchange

enum scope_handled {
  SCOPE_HANDLED,
  SCOPE_HANDLED_STOP,  // the caller wants no more
  SCOPE_HANDLED_BAD    // the response breaks the contract
};

// Looks at one response with the right id. The exchange fills the call's error, the handler does not.
typedef enum scope_handled (*scope_response_handler)(void *context,
                                                     const Scope__V1__Response *response,
                                                     const uint8_t *payload, size_t payload_bytes);

struct scope_exchange {
  uint64_t id;
  const uint8_t *frame;  // with the four bytes of length
  size_t frame_bytes;
  bool raw;              // the handler sees responses with an error code too
  scope_response_handler handler;
  void *context;
};

// Writes the four bytes in front of a message.
void scope_write_length(uint8_t *bytes, size_t length);

// Sends the frame and hands each response to the handler. Needs a lane. True when the last
// response came with code OK and the handler took all.
bool scope_exchange_run(struct scope_call_state *call, const struct scope_exchange *exchange);

// Completes `request` (id, company, timeout, lowest revision), packs it and runs the exchange. Needs
// a lane. What `request` points to may live in the request arena, which is reset afterwards.
bool scope_exchange_request(struct scope_call_state *call, Scope__V1__Request *request,
                            scope_response_handler handler, void *context);

// Notes a response's revision in a result.
void scope_result_note_revision(scope_result *result, const Scope__V1__Response *response,
                                bool first);

#pragma GCC visibility pop

#endif
