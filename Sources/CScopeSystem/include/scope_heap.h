// glibc's <malloc.h>, which Swift's Glibc module leaves out. Nothing where the C library has no such calls.
#ifndef SCOPE_HEAP_H
#define SCOPE_HEAP_H

// Has blocks of 1 MiB and more go back to the system as soon as they are freed: by itself glibc raises that bound up to
// 32 MiB, and what is freed between two blocks stays. Of smaller ones a thread's part of the heap grows by 1 MiB at a
// time, and gives its end back when that is larger than 2 MiB, which nothing else does: each makes all threads wait, so
// it should not be for every 128 KiB. To be called before there are threads.
void scope_heap_prepare(void);

// Gives memory that is free back to the system, of every thread's part of the heap. Takes up to some hundred
// milliseconds, in which other threads may wait for memory.
void scope_heap_trim(void);

#endif
