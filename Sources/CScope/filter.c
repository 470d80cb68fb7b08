#include "internal.h"

#include <string.h>

enum {
  // What a request holds beside the ids: company, subject, project and the envelope's numbers.
  OVERHEAD_BYTES = 1024,
  // What an id costs beside its bytes: field number, and a length of up to 128 in two bytes.
  ID_OVERHEAD_BYTES = 3
};

struct filter {
  struct scope_call_state call;
  Scope__V1__FilterObjectsRequest question;  // all but the ids
  const char *const *ids;
  size_t count;
  uint8_t *visible;
  scope_result *result;
  // The part on its way: ids[first] and the `part` after it.
  size_t first, part;
  bool answered_before;
};

// ------------------------------------------------------------------------------------- parts

// How many ids from `first` on fit into one request. They are known to be valid.
static size_t measure_part(const struct filter *filter) {
  size_t bytes = OVERHEAD_BYTES, part = 0;
  while (filter->first + part < filter->count && part < SCOPE_IDS_PER_REQUEST) {
    bytes += strlen(filter->ids[filter->first + part]) + ID_OVERHEAD_BYTES;
    if (bytes > SCOPE_REQUEST_BYTES) break;
    part++;
  }
  return part;
}

// Bits beyond the last id are not looked at, but the count in words must agree with the bits.
static bool spread_bits(const struct filter *filter, ProtobufCBinaryData bits, uint32_t expected) {
  size_t seen = 0;
  if (bits.len != (filter->part + 7) / 8) return false;
  for (size_t i = 0; i < filter->part; i++) {
    uint8_t bit = bits.data[i / 8] >> (i % 8) & 1;
    filter->visible[filter->first + i] = bit;
    seen += bit;
  }
  return seen == expected;
}

static enum scope_handled take_part(void *context, const Scope__V1__Response *response,
                                    const uint8_t *payload, size_t payload_bytes) {
  (void)payload, (void)payload_bytes;
  struct filter *filter = context;
  if (response->result_case != SCOPE__V1__RESPONSE__RESULT_FILTER_OBJECTS) return SCOPE_HANDLED_BAD;
  const Scope__V1__FilterObjectsResponse *part = response->filter_objects;
  if (response->more || part->n_object_ids > 0) return SCOPE_HANDLED_BAD;
  if (!spread_bits(filter, part->bitmap, part->visible)) return SCOPE_HANDLED_BAD;
  filter->result->rows += part->visible;
  scope_result_note_revision(filter->result, response, !filter->answered_before);
  filter->answered_before = true;
  return SCOPE_HANDLED;
}

static bool ask_part(struct filter *filter) {
  struct scope_arena *arena = filter->call.lane->request_arena;
  scope_arena_reset(arena);
  ProtobufCBinaryData *ids = scope_arena_allocate(arena, filter->part * sizeof *ids);
  if (!ids) {
    scope_fail_no_memory(filter->call.error);
    return false;
  }
  for (size_t i = 0; i < filter->part; i++) {
    const char *id = filter->ids[filter->first + i];
    ids[i] = (ProtobufCBinaryData){strlen(id), (uint8_t *)id};  // packing only reads it
  }
  filter->question.n_object_ids = filter->part;
  filter->question.object_ids = ids;
  Scope__V1__Request request = SCOPE__V1__REQUEST__INIT;
  request.call_case = SCOPE__V1__REQUEST__CALL_FILTER_OBJECTS;
  request.filter_objects = &filter->question;
  return scope_exchange_request(&filter->call, &request, take_part, filter);
}

static bool ask_all(struct filter *filter) {
  if (filter->count == 0) return true;
  if (!scope_call_enter(&filter->call)) return false;
  bool answered = true;
  while (answered && filter->first < filter->count) {
    filter->part = measure_part(filter);
    answered = ask_part(filter);
    filter->first += filter->part;
  }
  scope_call_leave(&filter->call);
  return answered;
}

// ---------------------------------------------------------------------------------- questions

static bool ids_are_valid(const struct filter *filter) {
  ProtobufCBinaryData ignored;
  for (size_t i = 0; i < filter->count; i++) {
    if (!scope_take_name(filter->ids[i], "an id", &ignored, filter->call.error)) return false;
  }
  return true;
}

static bool take_question(struct filter *filter, const char *subject, const char *object_type,
                          const char *project) {
  Scope__V1__FilterObjectsRequest *question = &filter->question;
  scope_error *error = filter->call.error;
  question->as_bitmap = true;
  return scope_take_ref(subject, "the subject", &question->subject_type, &question->subject_id,
                        error) &&
         scope_take_type(object_type, &question->object_type, error) &&
         scope_take_optional_name(project, "the project", &question->project, error) &&
         ids_are_valid(filter);
}

bool scope_filter(scope_client *client, const scope_call_options *options, const char *subject,
                  const char *object_type, const char *const *ids, size_t count,
                  const char *project, uint8_t *visible, scope_result *result) {
  scope_result ignored;
  if (!result) result = &ignored;
  memset(result, 0, sizeof *result);
  if (count > 0) memset(visible, 0, count);
  struct filter filter = {.question = SCOPE__V1__FILTER_OBJECTS_REQUEST__INIT,
                          .ids = ids,
                          .count = count,
                          .visible = visible,
                          .result = result};
  scope_call_prepare(&filter.call, client, options, &result->error);
  bool answered = scope_call_take_company(&filter.call, options) &&
                  take_question(&filter, subject, object_type, project) && ask_all(&filter);
  if (!answered) {
    if (count > 0) memset(visible, 0, count);
    result->rows = 0;
  }
  return scope_call_finish(&filter.call, answered);
}
