#include "internal.h"

#include <string.h>

// ------------------------------------------------------------------------------------ answers

// Allow and deny each need a reason that fits. Whatever does not is no answer.
static bool is_consistent(const Scope__V1__CanSeeResponse *answer) {
  switch (answer->reason) {
    case SCOPE__V1__REASON__REASON_SYSTEM_FIELD:
    case SCOPE__V1__REASON__REASON_SIMPLE_MODE:
    case SCOPE__V1__REASON__REASON_SEE_ALL:
    case SCOPE__V1__REASON__REASON_SHARED_PROJECT:
      return answer->decision == SCOPE__V1__DECISION__DECISION_ALLOW;
    case SCOPE__V1__REASON__REASON_UNKNOWN_COMPANY:
    case SCOPE__V1__REASON__REASON_UNKNOWN_SUBJECT:
    case SCOPE__V1__REASON__REASON_SUBJECT_BLOCKED:
    case SCOPE__V1__REASON__REASON_UNKNOWN_OBJECT:
    case SCOPE__V1__REASON__REASON_NO_SHARED_PROJECT:
    case SCOPE__V1__REASON__REASON_RIGHT_MISSING:
    case SCOPE__V1__REASON__REASON_TILE_ONLY:
      return answer->decision == SCOPE__V1__DECISION__DECISION_DENY;
    default:
      return false;
  }
}

static void clear_answer(scope_answer *answer) {
  memset(answer, 0, sizeof *answer);
  answer->verdict = SCOPE_UNAVAILABLE;
  answer->reason_text = "unavailable";
}

static enum scope_handled take_answer(void *context, const Scope__V1__Response *response,
                                      const uint8_t *payload, size_t payload_bytes) {
  (void)payload, (void)payload_bytes;
  scope_answer *answer = context;
  if (response->result_case != SCOPE__V1__RESPONSE__RESULT_CAN_SEE) return SCOPE_HANDLED_BAD;
  const Scope__V1__CanSeeResponse *from = response->can_see;
  if (response->more || !is_consistent(from)) return SCOPE_HANDLED_BAD;
  if (!scope_copy_name(from->project, answer->project, sizeof answer->project) ||
      !scope_copy_name(from->group, answer->group, sizeof answer->group)) {
    return SCOPE_HANDLED_BAD;
  }
  answer->reason = (scope_reason)from->reason;
  answer->reason_text = scope_reason_text((int32_t)from->reason);
  answer->revision = response->revision;
  // Last: until here the answer is "unavailable".
  answer->verdict = from->decision == SCOPE__V1__DECISION__DECISION_ALLOW ? SCOPE_ALLOW : SCOPE_DENY;
  return SCOPE_HANDLED;
}

// ---------------------------------------------------------------------------------- questions

static bool take_question(Scope__V1__CanSeeRequest *question, const char *subject,
                          const char *object, const char *right, scope_error *error) {
  return scope_take_ref(subject, "the subject", &question->subject_type, &question->subject_id,
                        error) &&
         scope_take_ref(object, "the object", &question->object_type, &question->object_id, error) &&
         scope_take_optional_name(right, "the right", &question->right, error);
}

static bool ask(struct scope_call_state *call, Scope__V1__CanSeeRequest *question,
                scope_answer *answer) {
  Scope__V1__Request request = SCOPE__V1__REQUEST__INIT;
  request.call_case = SCOPE__V1__REQUEST__CALL_CAN_SEE;
  request.can_see = question;
  if (!scope_call_enter(call)) return false;
  bool answered = scope_exchange_request(call, &request, take_answer, answer);
  scope_call_leave(call);
  return answered;
}

// An answer that came apart half-way must not keep the half.
static bool finish(struct scope_call_state *call, bool answered, scope_answer *answer) {
  scope_call_finish(call, answered);
  if (!answered) {
    scope_error error = answer->error;
    clear_answer(answer);
    answer->error = error;
    return false;
  }
  bool allowed = answer->verdict == SCOPE_ALLOW;
  struct scope_atomic_counters *counters = &call->client->counters;
  atomic_fetch_add_explicit(allowed ? &counters->allow : &counters->deny, 1, memory_order_relaxed);
  return allowed;
}

bool scope_check_with(scope_client *client, const scope_call_options *options, const char *subject,
                      const char *object, const char *right, scope_answer *answer) {
  struct scope_call_state call;
  Scope__V1__CanSeeRequest question = SCOPE__V1__CAN_SEE_REQUEST__INIT;
  clear_answer(answer);
  scope_call_prepare(&call, client, options, &answer->error);
  bool answered = scope_call_take_company(&call, options) &&
                  take_question(&question, subject, object, right, &answer->error) &&
                  ask(&call, &question, answer);
  return finish(&call, answered, answer);
}

bool scope_check(scope_client *client, const char *subject, const char *object,
                 scope_answer *answer) {
  return scope_check_with(client, NULL, subject, object, NULL, answer);
}

// A right left out by mistake must not turn the question into a weaker one.
bool scope_check_right(scope_client *client, const char *subject, const char *object,
                       const char *right, scope_answer *answer) {
  if (right && *right) return scope_check_with(client, NULL, subject, object, right, answer);
  struct scope_call_state call;
  clear_answer(answer);
  scope_call_prepare(&call, client, NULL, &answer->error);
  scope_fail(&answer->error, SCOPE_STATUS_INVALID_ARGUMENT, "bad_argument", "the right is missing");
  return finish(&call, false, answer);
}
