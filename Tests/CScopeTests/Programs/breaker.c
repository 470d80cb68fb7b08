// The decisions of breaker and backoff, told the time. Compiled with the library's inner header.
#include <stdio.h>

#include "internal.h"

enum { MILLISECOND = 1000000 };

static int wrong;

static void expect(bool is_so, const char *what) {
  if (is_so) return;
  printf("not so: %s\n", what);
  wrong++;
}

static void breaker_tries_once_when_its_time_is_over(void) {
  struct scope_breaker breaker = {.limit = 3, .open_ms = 1000};
  int64_t now = 5000 * (int64_t)MILLISECOND, second = 1000 * (int64_t)MILLISECOND;
  for (int i = 0; i < 3; i++) {
    expect(scope_breaker_admits(&breaker, now), "closed until the limit");
    scope_breaker_failed(&breaker, now, now);
  }
  expect(!scope_breaker_admits(&breaker, now + second - 1), "open for its time");
  expect(scope_breaker_admits(&breaker, now + second), "lets a call try then");
  expect(!scope_breaker_admits(&breaker, now + second), "and no other beside it");
  scope_breaker_failed(&breaker, now + second, now + second);
  expect(!scope_breaker_admits(&breaker, now + 2 * second - 1), "one failure more opens it again, for as long");
  expect(scope_breaker_admits(&breaker, now + 2 * second), "lets one try again");
  scope_breaker_untried(&breaker, now + 2 * second);
  expect(scope_breaker_admits(&breaker, now + 2 * second), "the next, where that one could not");
  scope_breaker_succeeded(&breaker);
  expect(scope_breaker_admits(&breaker, now + 2 * second), "a success closes it");
  expect(scope_breaker_admits(&breaker, now + 2 * second), "for all");
  scope_breaker_failed(&breaker, now, now);
  scope_breaker_failed(&breaker, now, now);
  expect(scope_breaker_admits(&breaker, now), "and the count begins anew");
}

static void a_stall_counts_once(void) {
  struct scope_breaker breaker = {.limit = 3, .open_ms = 1000};
  scope_breaker_failed(&breaker, 0, 50);
  for (int begun = 1; begun < 50; begun++) scope_breaker_failed(&breaker, begun, 50 + begun);
  expect(scope_breaker_admits(&breaker, 100), "those that began before the failure are part of it");
  scope_breaker_failed(&breaker, 50, 110);
  scope_breaker_failed(&breaker, 109, 111);
  expect(scope_breaker_admits(&breaker, 112), "two stalls");
  scope_breaker_failed(&breaker, 110, 160);
  expect(!scope_breaker_admits(&breaker, 160), "three stalls");
}

static void a_breaker_without_limit_never_opens(void) {
  struct scope_breaker breaker = {.limit = 0, .open_ms = 1000};
  for (int i = 0; i < 10; i++) scope_breaker_failed(&breaker, i, i);
  expect(scope_breaker_admits(&breaker, 10), "no limit, never open");
}

static void backoff_doubles_to_its_longest(void) {
  struct scope_backoff backoff = {.min_ms = 10, .max_ms = 35};
  static const int pauses_ms[] = {10, 20, 35, 35};
  for (size_t i = 0; i < 4; i++) {
    scope_backoff_failed(&backoff, 0, 0);  // nothing cut at random
    int64_t pause = pauses_ms[i] * (int64_t)MILLISECOND;
    expect(!scope_backoff_is_over(&backoff, pause - 1), "not before its time");
    expect(scope_backoff_is_over(&backoff, pause), "over at its time");
  }
  scope_backoff_failed(&backoff, 0, UINT64_MAX);
  expect(!scope_backoff_is_over(&backoff, 35 * (int64_t)MILLISECOND / 2), "cut by half at most");
  scope_backoff_succeeded(&backoff);
  expect(scope_backoff_is_over(&backoff, 0), "a success ends it");
}

int main(void) {
  breaker_tries_once_when_its_time_is_over();
  a_stall_counts_once();
  a_breaker_without_limit_never_opens();
  backoff_doubles_to_its_longest();
  if (wrong == 0) printf("ok\n");
  return wrong;
}
