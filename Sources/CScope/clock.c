
#include "internal.h"

#include <limits.h>
#include <time.h>

enum { NANOSECONDS_PER_MILLISECOND = 1000000 };

int64_t scope_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);  // can't fail for this clock
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t scope_deadline_after(uint32_t milliseconds) {
  return scope_now() + (int64_t)milliseconds * NANOSECONDS_PER_MILLISECOND;
}

int scope_milliseconds_left(int64_t deadline) {
  int64_t left = deadline - scope_now();
  if (left <= 0) return 0;
  int64_t milliseconds = (left + NANOSECONDS_PER_MILLISECOND - 1) / NANOSECONDS_PER_MILLISECOND;
  return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}

uint64_t scope_random(uint64_t *state) {
  uint64_t mixed = *state += 0x9e3779b97f4a7c15u;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}
