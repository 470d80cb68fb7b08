#include "internal.h"

static int64_t nanoseconds(uint32_t milliseconds) { return (int64_t)milliseconds * 1000000; }

static bool has_tripped(const struct scope_breaker *breaker) {
  return breaker->limit > 0 && breaker->in_row >= breaker->limit;
}

bool scope_breaker_admits(struct scope_breaker *breaker, int64_t now) {
  if (!has_tripped(breaker)) return true;
  if (now < breaker->open_until) return false;
  breaker->open_until = now + nanoseconds(breaker->open_ms);
  return true;
}

// Once open and over, one more failure opens it again: `in_row` only falls by success.
void scope_breaker_failed(struct scope_breaker *breaker, int64_t begun, int64_t now) {
  if (breaker->in_row > 0 && begun < breaker->failed_at) return;
  breaker->failed_at = now;
  if (breaker->in_row < UINT32_MAX) breaker->in_row++;
  if (has_tripped(breaker)) breaker->open_until = now + nanoseconds(breaker->open_ms);
}

void scope_breaker_succeeded(struct scope_breaker *breaker) { breaker->in_row = 0; }

void scope_breaker_untried(struct scope_breaker *breaker, int64_t now) {
  if (has_tripped(breaker)) breaker->open_until = now;
}

bool scope_backoff_is_over(const struct scope_backoff *backoff, int64_t now) {
  return backoff->next_ms == 0 || now >= backoff->until;
}

static uint32_t doubled(uint32_t pause, uint32_t limit) { return pause > limit / 2 ? limit : pause * 2; }

void scope_backoff_failed(struct scope_backoff *backoff, int64_t now, uint64_t random) {
  if (backoff->min_ms == 0) return;
  if (backoff->next_ms == 0) backoff->next_ms = backoff->min_ms;
  int64_t pause = nanoseconds(backoff->next_ms);
  backoff->until = now + pause - (int64_t)(random % (uint64_t)(pause / 2));
  backoff->next_ms = doubled(backoff->next_ms, backoff->max_ms);
}

void scope_backoff_succeeded(struct scope_backoff *backoff) { backoff->next_ms = 0; }
