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
  if (!make_condition(&gate->left)) {
    pthread_mutex_destroy(&gate->mutex);
    return false;
  }
  gate->busy = false;
  return true;
}

void scope_gate_destroy(struct scope_gate *gate) {
  pthread_cond_destroy(&gate->left);
  pthread_mutex_destroy(&gate->mutex);
}

// Waits until nobody is inside. The mutex is held.
static enum scope_gate_result await_empty(struct scope_gate *gate, int64_t deadline) {
  struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000),
                           .tv_nsec = (long)(deadline % 1000000000)};
  int waited = 0;
  while (gate->busy) {
    if (pthread_equal(gate->holder, pthread_self())) return SCOPE_GATE_SAME_THREAD;
    if (waited == ETIMEDOUT) return SCOPE_GATE_TIMEOUT;
    if (waited != 0) return SCOPE_GATE_BROKEN;
    waited = pthread_cond_timedwait(&gate->left, &gate->mutex, &until);
  }
  return SCOPE_GATE_ENTERED;
}

enum scope_gate_result scope_gate_enter(struct scope_gate *gate, int64_t deadline) {
  if (pthread_mutex_lock(&gate->mutex) != 0) return SCOPE_GATE_BROKEN;
  enum scope_gate_result result = await_empty(gate, deadline);
  if (result == SCOPE_GATE_ENTERED) {
    gate->busy = true;
    gate->holder = pthread_self();
  }
  pthread_mutex_unlock(&gate->mutex);
  return result;
}

void scope_gate_leave(struct scope_gate *gate) {
  pthread_mutex_lock(&gate->mutex);
  gate->busy = false;
  pthread_cond_signal(&gate->left);
  pthread_mutex_unlock(&gate->mutex);
}
