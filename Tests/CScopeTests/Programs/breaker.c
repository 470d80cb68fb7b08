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
    expect(!scope_breaker_is_open(&breaker, now), "closed until the limit");
    scope_breaker_failed(&breaker, now);
  }
  expect(scope_breaker_is_open(&breaker, now + second - 1), "open for its time");
  expect(!scope_breaker_is_open(&breaker, now + second), "lets a call try then");
  scope_breaker_failed(&breaker, now + second);
  expect(scope_breaker_is_open(&breaker, now + second), "one failure more opens it again");
  expect(scope_breaker_is_open(&breaker, now + 2 * second - 1), "for as long");
  scope_breaker_succeeded(&breaker);
  expect(!scope_breaker_is_open(&breaker, now + second), "a success closes it");
  scope_breaker_failed(&breaker, now);
  scope_breaker_failed(&breaker, now);
  expect(!scope_breaker_is_open(&breaker, now), "and the count begins anew");
}

static void a_breaker_without_limit_never_opens(void) {
  struct scope_breaker breaker = {.limit = 0, .open_ms = 1000};
  for (int i = 0; i < 10; i++) scope_breaker_failed(&breaker, 0);
  expect(!scope_breaker_is_open(&breaker, 0), "no limit, never open");
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
  a_breaker_without_limit_never_opens();
  backoff_doubles_to_its_longest();
  if (wrong == 0) printf("ok\n");
  return wrong;
}
