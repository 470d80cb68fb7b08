#define _GNU_SOURCE
#include "scope_thread.h"

#ifdef __linux__
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// As <linux/sched/types.h> has it. That header and glibc's <sched.h> can't both be included.
struct attributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};
#endif

void scope_thread_set_slice(unsigned long long nanoseconds) {
#ifdef __linux__
  struct attributes attributes = {.size = sizeof attributes};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  attributes.runtime = nanoseconds;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
#else
  (void)nanoseconds;
#endif
}
