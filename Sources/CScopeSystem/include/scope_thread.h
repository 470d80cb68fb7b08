// The part of Linux's scheduling that glibc has no calls for.
#ifndef SCOPE_THREAD_H
#define SCOPE_THREAD_H

// Asks that the current thread run for no longer than that in one go, in nanoseconds, and in return be let run so much
// sooner when it wakes: with Linux's own time of some milliseconds, a thread that works through may keep it waiting for
// as long. Its share of the processor stays what it is. Nothing before Linux 6.12.
void scope_thread_set_slice(unsigned long long nanoseconds);

#endif
