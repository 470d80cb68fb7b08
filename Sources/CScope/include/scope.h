// libscope: the C client of scoped, the daemon that says who may see and use what.
//
//   scope_client *client = scope_open("unix:/run/scoped/scoped.sock", &options, &error);
//   scope_answer answer;
//   if (scope_check(client, "user:1001", "sip_provider:carrier-a", &answer)) {
//     // allowed; anything else, failures included, does not come here
//   } else if (answer.verdict == SCOPE_DENY) {
//     // SIP: 403
//   } else {
//     // SIP: 503, and answer.error says why
//   }
//
// Three answers. Allow, deny and unavailable stay three different things: SCOPE_ALLOW and SCOPE_DENY
// are only ever the daemon's own words, and whatever goes wrong is SCOPE_UNAVAILABLE. Functions that
// return bool return true only for allow, or for a result that is complete, so that a plain `if` is
// safe.
//
// Time. Each call has one deadline for everything it does: waiting for the handle, connecting,
// writing and reading; the time callbacks take counts as well. It runs on the monotonic clock. Nothing
// here blocks longer, and no call sleeps between attempts. A watch alone has no end: SCOPE_CALL_STREAM.
//
// Threads. A handle may be used by several threads. It has a few connections (`connections`), made as
// they are needed: so many calls run at once, and others wait for their turn, which counts against the
// deadline. A program that asks from many threads all the time, or mixes long calls with checks, opens
// one handle per thread or per kind of call. `scope_close` must be the
// last use of a handle, by one thread. A callback must not use the handle that calls it (such a call
// fails at once), and must not leave by longjmp or an exception. Nothing here may be called from a
// signal handler.
//
// Processes. A handle may be opened before fork(). The child notices, closes its
// copies of the connections without disturbing the parent, and connects anew at its first call; counters
// start at zero there. A fork while another thread is inside a call on the handle is allowed: the
// child starts over with the handle, and the memory of the interrupted call is lost to it. Not allowed
// are a child made by vfork(), and a fork while another thread is in scope_open or scope_close.
//
// Memory. Strings and arrays handed in are read during the call only and never kept. Strings in rows
// are valid during the callback only. `scope_answer`, `scope_error` and `scope_result` hold no
// pointers that need freeing.
#ifndef SCOPE_H
#define SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SCOPE_VERSION "1.0.0"

#if defined(__GNUC__)
#define SCOPE_API __attribute__((visibility("default")))
#else
#define SCOPE_API
#endif

enum {
  SCOPE_CONNECTIONS = 64,              // most connections of a handle
  SCOPE_NAME_BYTES = 128,              // longest id, name or right, in bytes
  SCOPE_REQUEST_BYTES = 4194304,       // longest request, in bytes: 4 MiB
  SCOPE_RESPONSE_BYTES = 4259840,      // longest response accepted, in bytes: 4 MiB + 64 KiB
  SCOPE_IDS_PER_REQUEST = 65536,       // ids of one request; scope_filter splits what is longer
  SCOPE_TIMEOUT_DEFAULT_MS = 50        // deadline of a call unless options say otherwise
};

// ----------------------------------------------------------------------------------- version

// For programs that load the library as they run, and declare its structs in a language of their own.

// SCOPE_VERSION of the library that runs: "1.0.0". Static.
SCOPE_API const char *scope_version(void);

// Size of a struct of this header in the library that runs, in bytes, by its name ("scope_answer"); 0
// if there is none of that name.
SCOPE_API size_t scope_struct_bytes(const char *name);

// ---------------------------------------------------------------------------------- verdicts

// The answer to a check. Memory set to zero says "unavailable".
typedef enum scope_verdict {
  SCOPE_UNAVAILABLE = 0,  // no answer was had; see scope_answer.error
  SCOPE_ALLOW = 1,        // the daemon said: may see and use it
  SCOPE_DENY = 2          // the daemon said: may not
} scope_verdict;

// The rule that decided. The numbers are the wire contract's.
typedef enum scope_reason {
  SCOPE_REASON_NONE = 0,               // no answer
  SCOPE_REASON_UNKNOWN_COMPANY = 1,    // deny
  SCOPE_REASON_UNKNOWN_SUBJECT = 2,    // deny
  SCOPE_REASON_SUBJECT_BLOCKED = 3,    // deny
  SCOPE_REASON_UNKNOWN_OBJECT = 4,     // deny
  SCOPE_REASON_SYSTEM_FIELD = 5,       // allow
  SCOPE_REASON_SIMPLE_MODE = 6,        // allow
  SCOPE_REASON_SEE_ALL = 7,            // allow
  SCOPE_REASON_SHARED_PROJECT = 8,     // allow
  SCOPE_REASON_NO_SHARED_PROJECT = 9,  // deny
  SCOPE_REASON_RIGHT_MISSING = 10,     // deny
  SCOPE_REASON_TILE_ONLY = 11          // deny: a project of which the user may see name and description alone
} scope_reason;

// How a call went. The numbers are gRPC's, and the daemon's.
typedef enum scope_status {
  SCOPE_STATUS_OK = 0,
  SCOPE_STATUS_CANCELLED = 1,
  SCOPE_STATUS_UNKNOWN = 2,
  SCOPE_STATUS_INVALID_ARGUMENT = 3,
  SCOPE_STATUS_DEADLINE_EXCEEDED = 4,
  SCOPE_STATUS_NOT_FOUND = 5,
  SCOPE_STATUS_ALREADY_EXISTS = 6,
  SCOPE_STATUS_PERMISSION_DENIED = 7,
  SCOPE_STATUS_RESOURCE_EXHAUSTED = 8,
  SCOPE_STATUS_FAILED_PRECONDITION = 9,
  SCOPE_STATUS_ABORTED = 10,
  SCOPE_STATUS_OUT_OF_RANGE = 11,
  SCOPE_STATUS_UNIMPLEMENTED = 12,
  SCOPE_STATUS_INTERNAL = 13,
  SCOPE_STATUS_UNAVAILABLE = 14,
  SCOPE_STATUS_DATA_LOSS = 15,
  SCOPE_STATUS_UNAUTHENTICATED = 16
} scope_status;

// Why a call has no result. Texts end in NUL, are cut to fit, and hold no control characters.
//
// Reasons of the library itself (`from_daemon` is false), with their status:
//   bad_argument    INVALID_ARGUMENT     a ref, name or option is wrong; nothing was sent
//   too_large       INVALID_ARGUMENT     the request is longer than SCOPE_REQUEST_BYTES
//   handle_in_use   FAILED_PRECONDITION  a callback used the handle that called it
//   no_memory       RESOURCE_EXHAUSTED   this process has no memory left
//   timeout         DEADLINE_EXCEEDED    the deadline passed
//   connect_failed  UNAVAILABLE          no connection: not there, refused, or its backlog is full
//   connect_backoff UNAVAILABLE          the last attempt to connect failed a moment ago; not tried
//   breaker_open    UNAVAILABLE          several calls in a row failed; not tried
//   connection_lost UNAVAILABLE          the connection ended before the answer was complete
//   bad_reply       INTERNAL             the reply breaks the contract; it was not believed
//   stopped         CANCELLED            a callback asked to stop
//   internal        INTERNAL             a fault of the system's thread functions
typedef struct scope_error {
  scope_status status;  // SCOPE_STATUS_OK: no error
  bool from_daemon;     // the daemon answered so; otherwise the library found it
  bool request_sent;    // the whole request left this process. A change whose call failed with
                        // `request_sent` and without `from_daemon` may or may not have been applied
  char reason[64];      // stable code, for machines; empty with OK
  char message[256];    // words for people; empty with OK
} scope_error;

// The answer to one check, fully set whatever happened.
typedef struct scope_answer {
  scope_verdict verdict;
  scope_reason reason;      // SCOPE_REASON_NONE when unavailable
  const char *reason_text;  // stable text of `reason`, such as "no_shared_project"; "unavailable" when
                            // there is none. Static, never NULL
  uint64_t revision;        // of the rules the answer was computed at; 0 when unavailable
  char project[SCOPE_NAME_BYTES + 1];  // with SHARED_PROJECT: the project shared; otherwise empty
  char group[SCOPE_NAME_BYTES + 1];    // the group by which the user is in it; empty: directly
  scope_error error;        // why unavailable; status OK with allow and deny
} scope_answer;

// What came of a call that gives many rows, fully set whatever happened.
typedef struct scope_result {
  uint64_t rows;           // scope_filter: ids visible; listings: rows delivered; scope_call: responses
  uint64_t revision;       // lowest revision among the responses; 0 if there was none
  uint64_t revision_last;  // highest revision among them. If it differs from `revision`, the rules
                           // changed between two parts
  scope_error error;       // status OK if the result is complete
} scope_result;

// ------------------------------------------------------------------------------------ handles

// The way to the daemon: connections, made when they are needed and kept between calls.
typedef struct scope_client scope_client;

// How a handle behaves. Set by scope_options_init, then altered.
typedef struct scope_options {
  size_t size;                // set by scope_options_init; leave it
  const char *company;        // company asked about, 1 to 128 bytes; copied. NULL, the default: each
                              // call names its own
  uint32_t timeout_ms;        // deadline of a call, in milliseconds. Default 50; 0: the default
  uint32_t backoff_min_ms;    // after a failed attempt to connect, time before the next, in
                              // milliseconds; doubled by each further one. Calls in between fail at
                              // once. Default 10; 0: no backoff
  uint32_t backoff_max_ms;    // longest such time, in milliseconds. Default 1000. Each time is cut at
                              // random by up to half, so that many clients don't come back together
  uint32_t breaker_failures;  // after so many failed calls in a row, calls are not tried at all for
                              // `breaker_open_ms`. A failure is a call without a well-formed reply in
                              // time; a reply that says "error" is none. Default 3; 0: never
                              // Calls that overlap one that failed, and fail as well, are one
                              // failure: a stall counts once, however many threads it held up
  uint32_t breaker_open_ms;   // in milliseconds; then one call tries again. Default 1000
  uint32_t connections;       // calls that run at once, each on a connection of its own; 1 to 64.
                              // Default 4; 0: the default. A thread alone makes one
} scope_options;

// Fills `options` with the defaults. `size` is sizeof(scope_options) as the program was compiled, so
// that a newer library can tell which fields there are.
SCOPE_API void scope_options_init(scope_options *options, size_t size);

// Opens a handle. Never connects, so it succeeds while the daemon is down.
//   address  "unix:/run/scoped/scoped.sock", "/run/scoped/scoped.sock", "tcp:127.0.0.1:7400" or
//            "tcp:[::1]:7400". Host names are not taken: looking them up can't keep a deadline
//   options  NULL: the defaults
//   error    filled on failure; may be NULL
// Returns NULL if the address or an option is wrong, or without memory.
SCOPE_API scope_client *scope_open(const char *address, const scope_options *options,
                                   scope_error *error);

// Closes the connection and frees the handle. NULL is allowed.
SCOPE_API void scope_close(scope_client *client);

// What one call does differently from its handle. Memory set to zero changes nothing, so
// `scope_call_options options = {0};` is a good start. NULL does the same.
typedef struct scope_call_options {
  const char *company;    // NULL: the handle's
  uint32_t timeout_ms;    // deadline of this call, in milliseconds; 0: the handle's
  uint64_t min_revision;  // lowest acceptable revision; 0: any
} scope_call_options;

// What a handle did since it was opened, or since the fork in a child.
typedef struct scope_counters {
  uint64_t calls;          // calls of every kind
  uint64_t allow;          // checks answered with allow
  uint64_t deny;           // checks answered with deny
  uint64_t unavailable;    // calls of every kind that ended with an error
  uint64_t timeouts;       // of those: the deadline passed
  uint64_t breaker_skips;  // of those: not tried, the breaker was open
  uint64_t reconnects;     // connections made after the first
} scope_counters;

// Reads the counters, without waiting for a call that runs.
SCOPE_API void scope_counters_read(scope_client *client, scope_counters *counters);

// --------------------------------------------------------------------------------------- refs

// A thing as text: the name of its type, a colon, its id ("user:1001", "queue:support",
// "project:clinic", "sip_provider:x"). The id is everything behind the first colon, taken as bytes,
// 1 to 128 of them.
typedef struct scope_ref {
  int32_t type;     // number of the type in the wire contract
  const char *id;   // points into the text that was parsed
  size_t id_bytes;  // length of the id, in bytes
} scope_ref;

// Takes a text apart. On failure returns false, sets `ref` to zero and fills `error` (may be NULL).
SCOPE_API bool scope_ref_parse(const char *text, scope_ref *ref, scope_error *error);

// Number of a type in the wire contract, 18 for "sip_provider"; 0 if there is none of that name.
SCOPE_API int32_t scope_type_number(const char *name);

// Name of a type, "sip_provider" for 18; NULL if there is none of that number. Static.
SCOPE_API const char *scope_type_name(int32_t number);

// Stable text of a reason, "shared_project" for 8; NULL if there is none of that number. Static.
SCOPE_API const char *scope_reason_text(int32_t reason);

// Stable text of a status, "deadline_exceeded" for 4; NULL if there is none of that number. Static.
SCOPE_API const char *scope_status_text(int32_t status);

// ------------------------------------------------------------------------------------- checks

// May the subject see and use the object? True only if the daemon said allow. `answer` is always set
// and must not be NULL. Both subject and object are refs.
SCOPE_API bool scope_check(scope_client *client, const char *subject, const char *object,
                           scope_answer *answer);

// The same, and the subject must hold `right` as well (1 to 128 bytes, such as "report.agents").
SCOPE_API bool scope_check_right(scope_client *client, const char *subject, const char *object,
                                 const char *right, scope_answer *answer);

// The same with all there is: `options` and `right` may be NULL.
SCOPE_API bool scope_check_with(scope_client *client, const scope_call_options *options,
                                const char *subject, const char *object, const char *right,
                                scope_answer *answer);

// Which of these objects does the subject see?
//   object_type  name of the type of every id
//   ids, count   ids without their type; any number, duplicates allowed
//   project      id of a project to narrow to (without "project:"); NULL: none
//   visible      `count` bytes: visible[i] becomes 1 if ids[i] is visible, otherwise 0
//   result       may be NULL; rows: how many are visible
// Returns true if all ids were answered; otherwise all of `visible` is 0. More ids than fit into a
// request (SCOPE_IDS_PER_REQUEST, SCOPE_REQUEST_BYTES) go as several, one after another, within the
// one deadline. Each of those is answered from one state of the rules; a change may fall between two
// of them, then `revision` and `revision_last` of the result differ, and a program that needs one
// state for all asks again. Without ids, nothing is sent and the result is true.
SCOPE_API bool scope_filter(scope_client *client, const scope_call_options *options,
                            const char *subject, const char *object_type, const char *const *ids,
                            size_t count, const char *project, uint8_t *visible,
                            scope_result *result);

// ----------------------------------------------------------------------------------- listings

// A project as a user sees it. All strings end in NUL.
typedef struct scope_project {
  const char *id;
  const char *name;
  const char *description;  // may be empty
  bool contents_visible;    // false: only these words may be shown
} scope_project;

// An object in a listing. All strings end in NUL.
typedef struct scope_object {
  int32_t type;           // number of the type in the wire contract
  const char *type_name;  // static
  const char *id;
  const char *name;
  bool system;            // a system contact field
} scope_object;

// Called for each row; false stops the listing, which then fails with the reason "stopped".
typedef bool (*scope_project_callback)(void *context, const scope_project *row);
typedef bool (*scope_object_callback)(void *context, const scope_object *row);

// Which projects does a user see? Rows come in byte order of ids. `user` is a ref ("user:1001");
// `result` may be NULL. Returns true only when the last row was delivered: after false, the rows so
// far are not the whole. An unknown or blocked user has no rows, which is no error.
SCOPE_API bool scope_list_projects(scope_client *client, const scope_call_options *options,
                                   const char *user, scope_project_callback callback, void *context,
                                   scope_result *result);

// What does the subject see? Rows come in order of type and bytes of the id.
//   types, type_count  names of the types wanted; none: all
//   project            id of a project to narrow to (without "project:"); NULL: none
// Otherwise like scope_list_projects.
SCOPE_API bool scope_list_objects(scope_client *client, const scope_call_options *options,
                                  const char *subject, const char *const *types, size_t type_count,
                                  const char *project, scope_object_callback callback, void *context,
                                  scope_result *result);

// ------------------------------------------------------------------------------- any other call

enum {
  SCOPE_CALL_RESENDABLE = 1, // the call only reads: if a kept connection turns out to be dead, it is
                             // sent a second time. Never set it for Apply
  SCOPE_CALL_STREAM = 2      // the call is a watch, which may last for days: the deadline counts anew
                             // from each response, once the callback has returned. Ask for heartbeats
                             // more often than that, so that quiet is told from a dead connection. The
                             // callback ends it by false; until then the handle is in use, so open one
                             // for each watch
};

// Called with each response, a packed scope.v1.Response, valid during the callback; errors of the
// daemon too, whose `error` in the result says the same. False stops the call.
typedef bool (*scope_response_callback)(void *context, const uint8_t *bytes, size_t count);

// A request id not used on this handle before. Never 0.
SCOPE_API uint64_t scope_next_id(scope_client *client);

// Sends one packed scope.v1.Request, without the four bytes of length, and hands over the responses
// until one says that no more follow.
//   options        only timeout_ms is used. Company, timeout and min_revision are in the request
//   id             the request's id, not 0. The request must begin with it (field 1), which is how
//                  protobuf libraries write it; otherwise nothing is sent
//   flags          0, or SCOPE_CALL_RESENDABLE and SCOPE_CALL_STREAM joined by |
//   result         may be NULL
// Returns true if all responses came and the last one's code is OK. Without SCOPE_CALL_RESENDABLE the
// request leaves at most once.
SCOPE_API bool scope_call(scope_client *client, const scope_call_options *options, uint64_t id,
                          const uint8_t *request, size_t request_bytes, uint32_t flags,
                          scope_response_callback callback, void *context, scope_result *result);

#ifdef __cplusplus
}
#endif

#endif
