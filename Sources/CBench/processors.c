#define _GNU_SOURCE
#include "CBench.h"

#include <sched.h>

_Static_assert(sizeof(cpu_set_t) == bench_processors_bytes, "a cpu_set_t has another size");

int bench_processors(unsigned char *set) {
  return sched_getaffinity(0, sizeof(cpu_set_t), (cpu_set_t *)set);
}

int bench_set_processors(const unsigned char *set) {
  return sched_setaffinity(0, sizeof(cpu_set_t), (const cpu_set_t *)set);
}
