// Linux's <sys/eventfd.h>, which Swift's Glibc module leaves out.
#ifndef SCOPE_EVENTFD_H
#define SCOPE_EVENTFD_H

#include <sys/eventfd.h>

static inline int scope_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

static inline void scope_eventfd_ring(int handle) { eventfd_write(handle, 1); }

#endif
