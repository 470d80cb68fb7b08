#include "internal.h"

#include <string.h>

// One listing on its way; one of the two callbacks is set.
struct listing {
  struct scope_call_state call;
  scope_project_callback take_project;
  scope_object_callback take_object;
  void *context;
  scope_result *result;
  bool answered_before;
};

// --------------------------------------------------------------------------------------- rows

// A string that ends in NUL, in the reply's arena. NULL without memory or if there is a NUL inside,
// which would cut the name short.
static const char *text(struct listing *listing, ProtobufCBinaryData bytes) {
  char *copy = scope_arena_allocate(listing->call.lane->reply_arena, bytes.len + 1);
  return copy && scope_copy_name(bytes, copy, bytes.len + 1) ? copy : NULL;
}

static enum scope_handled hand_project(struct listing *listing, const Scope__V1__ProjectTile *tile) {
  scope_project row = {.id = text(listing, tile->id),
                       .name = text(listing, tile->name),
                       .description = text(listing, tile->description),
                       .contents_visible = tile->contents_visible};
  if (!row.id || !*row.id || !row.name || !row.description) return SCOPE_HANDLED_BAD;
  listing->result->rows++;
  return listing->take_project(listing->context, &row) ? SCOPE_HANDLED : SCOPE_HANDLED_STOP;
}

static enum scope_handled hand_object(struct listing *listing, const Scope__V1__ObjectRow *object) {
  scope_object row = {.type = (int32_t)object->type,
                      .type_name = scope_type_name((int32_t)object->type),
                      .id = text(listing, object->id),
                      .name = text(listing, object->name),
                      .system = object->system};
  if (!row.type_name || !row.id || !*row.id || !row.name) return SCOPE_HANDLED_BAD;
  listing->result->rows++;
  return listing->take_object(listing->context, &row) ? SCOPE_HANDLED : SCOPE_HANDLED_STOP;
}

static void note_part(struct listing *listing, const Scope__V1__Response *response) {
  scope_result_note_revision(listing->result, response, !listing->answered_before);
  listing->answered_before = true;
}

static enum scope_handled take_projects(void *context, const Scope__V1__Response *response,
                                        const uint8_t *payload, size_t payload_bytes) {
  (void)payload, (void)payload_bytes;
  struct listing *listing = context;
  if (response->result_case != SCOPE__V1__RESPONSE__RESULT_LIST_PROJECTS) return SCOPE_HANDLED_BAD;
  const Scope__V1__ListProjectsResponse *part = response->list_projects;
  note_part(listing, response);
  for (size_t i = 0; i < part->n_projects; i++) {
    enum scope_handled handled = hand_project(listing, part->projects[i]);
    if (handled != SCOPE_HANDLED) return handled;
  }
  return SCOPE_HANDLED;
}

static enum scope_handled take_objects(void *context, const Scope__V1__Response *response,
                                       const uint8_t *payload, size_t payload_bytes) {
  (void)payload, (void)payload_bytes;
  struct listing *listing = context;
  if (response->result_case != SCOPE__V1__RESPONSE__RESULT_LIST_OBJECTS) return SCOPE_HANDLED_BAD;
  const Scope__V1__ListObjectsResponse *part = response->list_objects;
  note_part(listing, response);
  for (size_t i = 0; i < part->n_objects; i++) {
    enum scope_handled handled = hand_object(listing, part->objects[i]);
    if (handled != SCOPE_HANDLED) return handled;
  }
  return SCOPE_HANDLED;
}

// -------------------------------------------------------------------------------------- calls

static void begin(struct listing *listing, scope_client *client, const scope_call_options *options,
                  scope_result *result) {
  memset(result, 0, sizeof *result);
  listing->result = result;
  scope_call_prepare(&listing->call, client, options, &result->error);
}

static bool run(struct listing *listing, Scope__V1__Request *request,
                scope_response_handler handler) {
  if (!scope_call_enter(&listing->call)) return false;
  bool complete = scope_exchange_request(&listing->call, request, handler, listing);
  scope_call_leave(&listing->call);
  return complete;
}

static bool take_user(const char *text, ProtobufCBinaryData *user, scope_error *error) {
  Scope__V1__EntityType type;
  if (!scope_take_ref(text, "the user", &type, user, error)) return false;
  if (type == SCOPE__V1__ENTITY_TYPE__ENTITY_TYPE_USER) return true;
  scope_fail(error, SCOPE_STATUS_INVALID_ARGUMENT, "bad_argument", "the user is of another type");
  return false;
}

bool scope_list_projects(scope_client *client, const scope_call_options *options, const char *user,
                         scope_project_callback callback, void *context, scope_result *result) {
  scope_result ignored;
  struct listing listing = {.take_project = callback, .context = context};
  begin(&listing, client, options, result ? result : &ignored);
  Scope__V1__ListProjectsRequest question = SCOPE__V1__LIST_PROJECTS_REQUEST__INIT;
  Scope__V1__Request request = SCOPE__V1__REQUEST__INIT;
  request.call_case = SCOPE__V1__REQUEST__CALL_LIST_PROJECTS;
  request.list_projects = &question;
  bool complete = scope_call_take_company(&listing.call, options) &&
                  take_user(user, &question.user, listing.call.error) &&
                  run(&listing, &request, take_projects);
  return scope_call_finish(&listing.call, complete);
}

enum { TYPES_MAX = 64 };  // more than there are

static bool take_types(const char *const *names, size_t count, Scope__V1__EntityType *types,
                       scope_error *error) {
  if (count > TYPES_MAX) {
    scope_fail(error, SCOPE_STATUS_INVALID_ARGUMENT, "bad_argument", "there are too many types");
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    if (!scope_take_type(names[i], &types[i], error)) return false;
  }
  return true;
}

bool scope_list_objects(scope_client *client, const scope_call_options *options,
                        const char *subject, const char *const *types, size_t type_count,
                        const char *project, scope_object_callback callback, void *context,
                        scope_result *result) {
  scope_result ignored;
  struct listing listing = {.take_object = callback, .context = context};
  begin(&listing, client, options, result ? result : &ignored);
  scope_error *error = listing.call.error;
  Scope__V1__EntityType numbers[TYPES_MAX];
  Scope__V1__ListObjectsRequest question = SCOPE__V1__LIST_OBJECTS_REQUEST__INIT;
  question.n_object_types = type_count;
  question.object_types = numbers;
  Scope__V1__Request request = SCOPE__V1__REQUEST__INIT;
  request.call_case = SCOPE__V1__REQUEST__CALL_LIST_OBJECTS;
  request.list_objects = &question;
  bool complete =
      scope_call_take_company(&listing.call, options) &&
      scope_take_ref(subject, "the subject", &question.subject_type, &question.subject_id, error) &&
      take_types(types, type_count, numbers, error) &&
      scope_take_optional_name(project, "the project", &question.project, error) &&
      run(&listing, &request, take_objects);
  return scope_call_finish(&listing.call, complete);
}
