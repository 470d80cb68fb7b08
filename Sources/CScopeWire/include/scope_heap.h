// glibc's <malloc.h>, which Swift's Glibc module leaves out.
#ifndef SCOPE_HEAP_H
#define SCOPE_HEAP_H

// Gives memory that is free back to the system, of every thread's part of the heap. Takes up to some hundred
// milliseconds, in which other threads may wait for memory. Nothing where the C library has no such call.
void scope_heap_trim(void);

#endif
