#include "scope_heap.h"

#include <stdlib.h> // defines __GLIBC__

#ifdef __GLIBC__
#include <malloc.h>
#endif

void scope_heap_trim(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}
