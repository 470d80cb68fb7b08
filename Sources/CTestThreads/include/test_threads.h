#ifndef TEST_THREADS_H
#define TEST_THREADS_H

/// How many threads there are for tasks.
int test_threads_count(void);

#endif
