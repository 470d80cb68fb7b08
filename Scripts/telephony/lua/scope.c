// require "scope": libscope for Lua 5.1 to 5.4, for scripts in a call path. README.md beside this file is
// its manual.
//
// Nothing here raises an error for what a script hands in or for what the daemon does: an error in a call
// path leaves the call without an answer. Wrong arguments are a failure like any other, "unavailable" with
// the reason "bad_argument", and nothing is sent. Only Lua itself may raise, when it has no memory left.
#define _POSIX_C_SOURCE 200809L  // strdup

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope.h"

static const char HANDLE[] = "scope.handle";

struct handle {
  scope_client *client;  // NULL: closed
  bool shared;           // belongs to the process, not to this Lua state
};

// --------------------------------------------------------------------------------- arguments

__attribute__((format(printf, 2, 3))) static bool refuse(scope_error *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  memset(error, 0, sizeof *error);
  error->status = SCOPE_STATUS_INVALID_ARGUMENT;
  snprintf(error->reason, sizeof error->reason, "bad_argument");
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return false;
}

// A string proper, not a number. With a NUL inside, C would see a shorter name than Lua does: another one.
static bool take_text(lua_State *L, int index, const char *what, const char **text, scope_error *error) {
  if (lua_type(L, index) != LUA_TSTRING) return refuse(error, "%s is not a string", what);
  size_t bytes;
  *text = lua_tolstring(L, index, &bytes);
  if (strlen(*text) != bytes) return refuse(error, "%s has a NUL inside", what);
  return true;
}

static bool take_number(lua_State *L, int index, const char *what, double limit, double *number,
                        scope_error *error) {
  if (lua_type(L, index) != LUA_TNUMBER) return refuse(error, "%s is not a number", what);
  *number = (double)lua_tonumber(L, index);
  if (*number >= 0 && *number <= limit && (double)(uint64_t)*number == *number) return true;
  return refuse(error, "%s is not a whole number from 0 to %.0f", what, limit);
}

// An option by name, and where its value goes; the last of a list has no name.
struct field {
  const char *name;
  enum { TEXT, NUMBER, REVISION, FLAG } kind;
  void *to;
};

static const double REVISION_LIMIT = 9007199254740992;  // 2^53: a number of Lua 5.1 is a double

// The value is on top of the stack. A text stays where it is: in the caller's table.
static bool take_field(lua_State *L, const struct field *field, scope_error *error) {
  double number = 0;
  if (field->kind == TEXT) {
    if (!take_text(L, -1, field->name, field->to, error)) return false;
    // An empty right or company would ask a weaker question than the script meant to.
    return **(const char **)field->to ? true : refuse(error, "%s is empty", field->name);
  }
  if (field->kind == FLAG) {
    if (lua_type(L, -1) != LUA_TBOOLEAN) return refuse(error, "%s is neither true nor false", field->name);
    *(bool *)field->to = lua_toboolean(L, -1);
    return true;
  }
  double limit = field->kind == REVISION ? REVISION_LIMIT : (double)UINT32_MAX;
  if (!take_number(L, -1, field->name, limit, &number, error)) return false;
  if (field->kind == REVISION) *(uint64_t *)field->to = (uint64_t)number;
  if (field->kind == NUMBER) *(uint32_t *)field->to = (uint32_t)number;
  return true;
}

static const struct field *find_field(lua_State *L, const struct field *fields) {
  if (lua_type(L, -2) != LUA_TSTRING) return NULL;
  const char *name = lua_tostring(L, -2);
  while (fields->name && strcmp(fields->name, name)) fields++;
  return fields->name ? fields : NULL;
}

// An option that is not known is refused: a "rigth" passed over would be a right not asked for.
static bool take_options(lua_State *L, int index, const struct field *fields, scope_error *error) {
  if (lua_isnoneornil(L, index)) return true;
  if (lua_type(L, index) != LUA_TTABLE) return refuse(error, "the options are not a table");
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    const struct field *field = find_field(L, fields);
    if (!field) {
      refuse(error, "there is no option '%.64s'", lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?");
    }
    if (!field || !take_field(L, field, error)) {
      lua_pop(L, 2);
      return false;
    }
  }
  return true;
}

// luaL_checkudata would raise.
static struct handle *to_handle(lua_State *L, scope_error *error) {
  struct handle *handle = lua_touserdata(L, 1);
  bool is_ours = false;
  if (handle && lua_getmetatable(L, 1)) {
    luaL_getmetatable(L, HANDLE);
    is_ours = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  if (!is_ours) {
    refuse(error, "no handle of scope.open: call it as handle:check(…)");
    return NULL;
  }
  if (handle->client) return handle;
  refuse(error, "the handle is closed");
  return NULL;
}

// ----------------------------------------------------------------------------------- results

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, uint64_t number) {
  lua_pushnumber(L, (lua_Number)number);
  lua_setfield(L, -2, name);
}

// A table of what went wrong; with status "ok", nothing did.
static void push_detail(lua_State *L, const scope_error *error) {
  const char *status = scope_status_text((int32_t)error->status);
  lua_createtable(L, 0, 8);
  set_text(L, "status", status ? status : "unknown");
  if (error->status == SCOPE_STATUS_OK) return;
  set_text(L, "reason", error->reason);
  set_text(L, "message", error->message);
  lua_pushboolean(L, error->from_daemon);
  lua_setfield(L, -2, "from_daemon");
}

// ------------------------------------------------------------------------------------- checks

// The three words of the contract. Whatever is not allow or deny is unavailable.
static const char *verdict_text(scope_verdict verdict) {
  switch (verdict) {
    case SCOPE_ALLOW: return "allow";
    case SCOPE_DENY: return "deny";
    case SCOPE_UNAVAILABLE: break;
  }
  return "unavailable";
}

static int push_answer(lua_State *L, const scope_answer *answer) {
  lua_pushstring(L, verdict_text(answer->verdict));
  push_detail(L, &answer->error);
  set_number(L, "revision", answer->revision);
  if (answer->verdict == SCOPE_UNAVAILABLE) return 2;
  set_text(L, "reason", answer->reason_text);
  if (answer->project[0]) set_text(L, "project", answer->project);
  if (answer->group[0]) set_text(L, "group", answer->group);
  return 2;
}

// handle:check(subject, object[, options]) -> verdict, detail
static int check(lua_State *L) {
  scope_answer answer;
  scope_call_options options = {0};
  const char *subject, *object, *right = NULL;
  memset(&answer, 0, sizeof answer);
  lua_settop(L, 4);
  const struct field fields[] = {{"right", TEXT, &right},
                                 {"company", TEXT, &options.company},
                                 {"timeout_ms", NUMBER, &options.timeout_ms},
                                 {"min_revision", REVISION, &options.min_revision},
                                 {NULL, TEXT, NULL}};
  struct handle *handle = to_handle(L, &answer.error);
  if (handle && take_text(L, 2, "the subject", &subject, &answer.error) &&
      take_text(L, 3, "the object", &object, &answer.error) && take_options(L, 4, fields, &answer.error)) {
    scope_check_with(handle->client, &options, subject, object, right, &answer);
  }
  return push_answer(L, &answer);
}

// ------------------------------------------------------------------------------------- filter

// The ids as C strings, which stay the table's; on the stack's top. NULL if one is no name.
static const char **take_ids(lua_State *L, size_t count, scope_error *error) {
  const char **ids = lua_newuserdata(L, (count + 1) * sizeof *ids);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 4, (int)i + 1);
    bool taken = take_text(L, -1, "an id", &ids[i], error);
    lua_pop(L, 1);
    if (!taken) return NULL;
  }
  return ids;
}

static size_t count_ids(lua_State *L) {
#if LUA_VERSION_NUM >= 502
  return lua_rawlen(L, 4);
#else
  return lua_objlen(L, 4);
#endif
}

static void push_visible(lua_State *L, const uint8_t *visible, size_t count) {
  int next = 1;
  lua_newtable(L);
  for (size_t i = 0; i < count; i++) {
    if (!visible[i]) continue;
    lua_rawgeti(L, 4, (int)i + 1);
    lua_rawseti(L, -2, next++);
  }
}

static bool ask_filter(lua_State *L, struct handle *handle, scope_result *result) {
  scope_call_options options = {0};
  const char *subject, *type, *project = NULL;
  scope_error *error = &result->error;
  const struct field fields[] = {{"project", TEXT, &project},
                                 {"company", TEXT, &options.company},
                                 {"timeout_ms", NUMBER, &options.timeout_ms},
                                 {"min_revision", REVISION, &options.min_revision},
                                 {NULL, TEXT, NULL}};
  if (!take_text(L, 2, "the subject", &subject, error) || !take_text(L, 3, "the type", &type, error)) return false;
  if (!take_options(L, 5, fields, error)) return false;
  if (lua_type(L, 4) != LUA_TTABLE) return refuse(error, "the ids are not a table");
  size_t count = count_ids(L);
  const char **ids = take_ids(L, count, error);
  if (!ids) return false;
  uint8_t *visible = lua_newuserdata(L, count + 1);
  if (!scope_filter(handle->client, &options, subject, type, ids, count, project, visible, result)) return false;
  push_visible(L, visible, count);
  return true;
}

// handle:filter(subject, type, ids[, options]) -> visible ids in the order asked, or nil; detail
static int filter(lua_State *L) {
  scope_result result;
  memset(&result, 0, sizeof result);
  lua_settop(L, 5);
  struct handle *handle = to_handle(L, &result.error);
  if (!handle || !ask_filter(L, handle, &result)) lua_pushnil(L);
  push_detail(L, &result.error);
  set_number(L, "revision", result.revision);
  set_number(L, "revision_last", result.revision_last);
  return 2;
}

// ----------------------------------------------------------------------------- shared handles

// Where each call runs in a Lua state of its own (FreeSWITCH), a handle that lives as long as the process
// keeps its connection, and its breaker remembers that the daemon is away. They are never closed; the
// library is linked so that closing a Lua state does not unload it.
enum { SHARED_LIMIT = 64 };

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared {
  char *address, *company;
  scope_options options;
  scope_client *client;
} shared[SHARED_LIMIT];
static size_t shared_count;

static bool is_same_text(const char *a, const char *b) { return a && b ? !strcmp(a, b) : a == b; }

static bool is_like(const struct shared *entry, const char *address, const scope_options *options) {
  const scope_options *own = &entry->options;
  return !strcmp(entry->address, address) && is_same_text(entry->company, options->company) &&
         own->timeout_ms == options->timeout_ms && own->backoff_min_ms == options->backoff_min_ms &&
         own->backoff_max_ms == options->backoff_max_ms &&
         own->breaker_failures == options->breaker_failures && own->breaker_open_ms == options->breaker_open_ms &&
         own->connections == options->connections;
}

static scope_client *add_shared(const char *address, const scope_options *options, scope_error *error) {
  if (shared_count == SHARED_LIMIT) {
    refuse(error, "more than %d different shared handles; open them all alike", SHARED_LIMIT);
    return NULL;
  }
  struct shared *entry = &shared[shared_count];
  *entry = (struct shared){strdup(address), options->company ? strdup(options->company) : NULL, *options, NULL};
  if (entry->address && (entry->company || !options->company)) entry->client = scope_open(address, options, error);
  if (entry->client) {
    shared_count++;
    return entry->client;
  }
  free(entry->address);
  free(entry->company);
  return NULL;
}

static scope_client *open_shared(const char *address, const scope_options *options, scope_error *error) {
  scope_client *client = NULL;
  pthread_mutex_lock(&shared_lock);
  for (size_t i = 0; i < shared_count && !client; i++) {
    if (is_like(&shared[i], address, options)) client = shared[i].client;
  }
  if (!client) client = add_shared(address, options, error);
  pthread_mutex_unlock(&shared_lock);
  return client;
}

// ----------------------------------------------------------------------------- open and close

static scope_client *open_with(lua_State *L, bool *is_shared, scope_error *error) {
  scope_options options;
  const char *address;
  scope_options_init(&options, sizeof options);
  const struct field fields[] = {{"company", TEXT, &options.company},
                                 {"timeout_ms", NUMBER, &options.timeout_ms},
                                 {"backoff_min_ms", NUMBER, &options.backoff_min_ms},
                                 {"backoff_max_ms", NUMBER, &options.backoff_max_ms},
                                 {"breaker_failures", NUMBER, &options.breaker_failures},
                                 {"breaker_open_ms", NUMBER, &options.breaker_open_ms},
                                 {"connections", NUMBER, &options.connections},
                                 {"shared", FLAG, is_shared},
                                 {NULL, TEXT, NULL}};
  if (!take_text(L, 1, "the address", &address, error) || !take_options(L, 2, fields, error)) return NULL;
  return *is_shared ? open_shared(address, &options, error) : scope_open(address, &options, error);
}

// scope.open(address[, options]) -> handle, or nil and a message. Never connects.
static int open_handle(lua_State *L) {
  scope_error error = {0};
  lua_settop(L, 2);
  struct handle *handle = lua_newuserdata(L, sizeof *handle);  // first: what may raise must not leak a client
  *handle = (struct handle){NULL, false};
  luaL_getmetatable(L, HANDLE);
  lua_setmetatable(L, -2);
  handle->client = open_with(L, &handle->shared, &error);
  if (handle->client) return 1;
  lua_pushnil(L);
  lua_pushstring(L, error.message[0] ? error.message : "no memory");
  return 2;
}

// handle:close(), and __gc. Twice is allowed.
static int close_handle(lua_State *L) {
  scope_error ignored;
  struct handle *handle = to_handle(L, &ignored);
  if (!handle) return 0;
  if (!handle->shared) scope_close(handle->client);
  handle->client = NULL;
  return 0;
}

// handle:counters() -> table; all zero for a closed handle
static int read_counters(lua_State *L) {
  scope_error ignored;
  scope_counters counters = {0};
  struct handle *handle = to_handle(L, &ignored);
  if (handle) scope_counters_read(handle->client, &counters);
  lua_createtable(L, 0, 7);
  set_number(L, "calls", counters.calls);
  set_number(L, "allow", counters.allow);
  set_number(L, "deny", counters.deny);
  set_number(L, "unavailable", counters.unavailable);
  set_number(L, "timeouts", counters.timeouts);
  set_number(L, "breaker_skips", counters.breaker_skips);
  set_number(L, "reconnects", counters.reconnects);
  return 1;
}

static void set_function(lua_State *L, const char *name, lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_setfield(L, -2, name);
}

static void make_metatable(lua_State *L) {
  luaL_newmetatable(L, HANDLE);
  set_function(L, "__gc", close_handle);
  set_text(L, "__metatable", HANDLE);
  lua_newtable(L);
  set_function(L, "check", check);
  set_function(L, "filter", filter);
  set_function(L, "counters", read_counters);
  set_function(L, "close", close_handle);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

__attribute__((visibility("default"))) int luaopen_scope(lua_State *L) {
  make_metatable(L);
  lua_newtable(L);
  set_function(L, "open", open_handle);
  set_text(L, "version", SCOPE_VERSION);
  return 1;
}
