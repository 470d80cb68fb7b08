#include "internal.h"

#include <errno.h>
#include <time.h>

static bool make_condition(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes) != 0) return false;
  bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(condition, &attributes) == 0;
  pthread_condattr_destroy(&attributes);
  return made;
}

bool scope_gate_make(struct scope_gate *gate) {
  if (pthread_mutex_init(&gate->mutex, NULL) != 0) return false;
  if (make_condition(&gate->left)) return true;
  pthread_mutex_destroy(&gate->mutex);
  return false;
}

void scope_gate_destroy(struct scope_gate *gate) {
  pthread_cond_destroy(&gate->left);
  pthread_mutex_destroy(&gate->mutex);
}

// A thread has one lane at most, or its callbacks could wait for each other.
static enum scope_gate_result find_free(struct scope_gate *gate, struct scope_lane **lane) {
  *lane = NULL;
  for (size_t i = gate->lane_count; i-- > 0;) {
    struct scope_lane *each = &gate->lanes[i];
    if (!each->busy) *lane = each;
    if (each->busy && pthread_equal(each->holder, pthread_self())) return SCOPE_GATE_SAME_THREAD;
  }
  return SCOPE_GATE_ENTERED;
}

// Waits for a lane. The mutex is held.
static enum scope_gate_result await_free(struct scope_gate *gate, int64_t deadline,
                                         struct scope_lane **lane) {
  struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000),
                           .tv_nsec = (long)(deadline % 1000000000)};
  for (int waited = 0;;) {
    enum scope_gate_result found = find_free(gate, lane);
    if (found != SCOPE_GATE_ENTERED || *lane) return found;
    if (waited == ETIMEDOUT) return SCOPE_GATE_TIMEOUT;
    if (waited != 0) return SCOPE_GATE_BROKEN;
    waited = pthread_cond_timedwait(&gate->left, &gate->mutex, &until);
  }
}

enum scope_gate_result scope_gate_enter(struct scope_gate *gate, int64_t deadline,
                                        struct scope_lane **lane) {
  if (pthread_mutex_lock(&gate->mutex) != 0) return SCOPE_GATE_BROKEN;
  enum scope_gate_result result = await_free(gate, deadline, lane);
  if (result == SCOPE_GATE_ENTERED) {
    (*lane)->busy = true;
    (*lane)->holder = pthread_self();
  }
  pthread_mutex_unlock(&gate->mutex);
  return result;
}

void scope_gate_leave(struct scope_gate *gate, struct scope_lane *lane) {
  pthread_mutex_lock(&gate->mutex);
  lane->busy = false;
  pthread_cond_signal(&gate->left);
  pthread_mutex_unlock(&gate->mutex);
}
