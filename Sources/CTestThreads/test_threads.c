// Tests block: in calls of libscope, on sockets, for programs. Swift's pool has a thread a core, so that a test that
// waits for something of this process holds up what it waits for, while deadlines pass. In a process with this file
// tasks get as many threads as it takes.
#include "test_threads.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// The runtime's, as its Concurrency.h and ExecutorImpl.h have them; the latter lets whoever queues a job use `next`.
typedef struct Job {
  void *header[2];
  struct Job *next;
} Job;

#define SWIFT __attribute__((swiftcall))
typedef SWIFT void (*Enqueue)(Job *);
extern SWIFT void (*swift_task_enqueueGlobal_hook)(Job *, Enqueue original);
extern SWIFT void swift_job_run(Job *, void *executor, void *witness_table);

// When no job was begun for so long while some wait, all threads are blocked or busy, and there is one more.
static const struct timespec patience = {0, 2000000};
static const int most_threads = 2000;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_job = PTHREAD_COND_INITIALIZER;
static pthread_cond_t is_short = PTHREAD_COND_INITIALIZER;
static Job *first, *last;
static unsigned long begun;
static int threads, idle;

static Job *take(void) {
  Job *job = first;
  first = job->next;
  begun++;
  if (first && idle == 0) pthread_cond_signal(&is_short);
  return job;
}

static void *run_jobs(void *unused) {
  (void)unused;
  pthread_mutex_lock(&lock);
  for (;;) {
    idle++;
    while (!first) pthread_cond_wait(&has_job, &lock);
    idle--;
    Job *job = take();
    pthread_mutex_unlock(&lock);
    swift_job_run(job, NULL, NULL);
    pthread_mutex_lock(&lock);
  }
  return NULL;
}

static void start(void *(*body)(void *)) {
  pthread_t thread;
  if (threads > most_threads || pthread_create(&thread, NULL, body, NULL) != 0) {
    fprintf(stderr, "tests: no thread for a task beside %d others\n", threads);
    abort();
  }
  pthread_detach(thread);
}

// Makes the threads.
static void *supply(void *unused) {
  (void)unused;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!first || idle > 0) pthread_cond_wait(&is_short, &lock);
    unsigned long before = begun;
    pthread_mutex_unlock(&lock);
    nanosleep(&patience, NULL);
    pthread_mutex_lock(&lock);
    if (first && idle == 0 && begun == before) {
      threads++;
      start(run_jobs);
    }
  }
  return NULL;
}

static SWIFT void enqueue(Job *job, Enqueue original) {
  (void)original;
  job->next = NULL;
  pthread_mutex_lock(&lock);
  if (first) last->next = job; else first = job;
  last = job;
  pthread_cond_signal(idle > 0 ? &has_job : &is_short);
  pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void begin(void) {
  start(supply);
  swift_task_enqueueGlobal_hook = enqueue;
}

int test_threads_count(void) {
  pthread_mutex_lock(&lock);
  int count = threads;
  pthread_mutex_unlock(&lock);
  return count;
}
