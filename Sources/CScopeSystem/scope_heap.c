#include "scope_heap.h"

#include <stdlib.h> // defines __GLIBC__

#ifdef __GLIBC__
#include <malloc.h>
#endif

void scope_heap_prepare(void) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 2 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
#endif
}

void scope_heap_trim(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}
