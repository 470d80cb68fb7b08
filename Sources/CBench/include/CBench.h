/* What Linux has for the benchmark's client and Swift's Glibc module lacks. */
#ifndef CBENCH_H
#define CBENCH_H

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

/* Bytes of a set of processors: bit n % 8 of byte n / 8 stands for processor n. */
enum { bench_processors_bytes = 128 };

/* The processors that the calling thread may run on. 0, or -1 with errno. */
int bench_processors(unsigned char *set);

/* Lets the calling thread run on these processors only. 0, or -1 with errno. */
int bench_set_processors(const unsigned char *set);

#endif
