// Every function of scope.h, from threads that share a handle and threads that have their own, against a
// daemon that now answers and now is slow, lies, cuts its reply or dies. All that is asked about is to be
// denied or empty, so an allow is a fault. A timer's signal interrupts the system calls all the while.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "scope.h"

enum { THREADS = 4, ROUNDS = 20, IDS = 300 };

struct work {
  scope_client *client;
  int wrong;
};

static bool take_project(void *context, const scope_project *row) {
  (void)context;
  return row->id[0] != 0 && row->name && row->description;
}

static bool take_object(void *context, const scope_object *row) {
  (void)context;
  return row->id[0] != 0 && row->type_name && row->name;
}

static bool take_response(void *context, const uint8_t *bytes, size_t count) {
  uint64_t *sum = context;
  for (size_t i = 0; i < count; i++) *sum += bytes[i];
  return true;
}

static int check(scope_client *client, const char *right) {
  scope_answer answer;
  bool allowed = scope_check_with(client, NULL, "user:1001", "queue:support", right, &answer);
  if (allowed || answer.verdict == SCOPE_ALLOW) return 1;
  if (answer.verdict == SCOPE_DENY) return answer.error.status != SCOPE_STATUS_OK;
  return answer.error.status == SCOPE_STATUS_OK || !answer.error.reason[0];
}

static int filter(scope_client *client) {
  const char *ids[IDS];
  uint8_t visible[IDS];
  scope_result result;
  for (size_t i = 0; i < IDS; i++) ids[i] = "support";
  memset(visible, 7, sizeof visible);
  bool done = scope_filter(client, NULL, "user:1001", "queue", ids, IDS, "clinic", visible, &result);
  for (size_t i = 0; i < IDS; i++) {
    if (visible[i] != 0) return 1;
  }
  return done != (result.error.status == SCOPE_STATUS_OK);
}

static int list(scope_client *client) {
  const char *types[] = {"queue", "list"};
  scope_result projects, objects;
  bool one = scope_list_projects(client, NULL, "user:1001", take_project, NULL, &projects);
  bool two = scope_list_objects(client, NULL, "user:1001", types, 2, NULL, take_object, NULL, &objects);
  return (one != (projects.error.status == SCOPE_STATUS_OK)) +
         (two != (objects.error.status == SCOPE_STATUS_OK));
}

// A health call: the id, and field 17 with an empty message.
static int call(scope_client *client, uint32_t flags) {
  uint8_t request[16] = {0x08};
  size_t bytes = 1;
  uint64_t id = scope_next_id(client), sum = 0;
  for (uint64_t rest = id; bytes == 1 || rest > 0; rest >>= 7) {
    request[bytes++] = (uint8_t)(rest > 0x7f ? rest | 0x80 : rest);
  }
  memcpy(request + bytes, "\x8a\x01\x00", 3);
  scope_result result;
  bool done = scope_call(client, NULL, id, request, bytes + 3, flags, take_response, &sum, &result);
  return done != (result.error.status == SCOPE_STATUS_OK);
}

static void *work(void *context) {
  struct work *work = context;
  scope_counters counters;
  for (int i = 0; i < ROUNDS; i++) {
    work->wrong += check(work->client, NULL) + check(work->client, "report.agents");
    work->wrong += filter(work->client) + list(work->client);
    work->wrong += call(work->client, SCOPE_CALL_RESENDABLE) + call(work->client, SCOPE_CALL_STREAM);
    scope_counters_read(work->client, &counters);
  }
  return NULL;
}

static scope_client *open_client(const char *address) {
  scope_options options;
  scope_options_init(&options, sizeof options);
  options.company = "acme";
  options.timeout_ms = 100;
  options.breaker_failures = 20;
  options.breaker_open_ms = 1;
  options.backoff_min_ms = 0;
  return scope_open(address, &options, NULL);
}

// A program that the process starts would inherit these.
static int sockets_left_to_programs(void) {
  int found = 0;
  for (int fd = 3; fd < 256; fd++) {
    struct stat what;
    if (fstat(fd, &what) == 0 && S_ISSOCK(what.st_mode) && !(fcntl(fd, F_GETFD) & FD_CLOEXEC)) found++;
  }
  return found;
}

static int run_threads(scope_client *shared, scope_client **own) {
  pthread_t threads[2 * THREADS];
  struct work works[2 * THREADS];
  int wrong = 0;
  for (int i = 0; i < 2 * THREADS; i++) {
    works[i] = (struct work){.client = i < THREADS ? shared : own[i - THREADS]};
    if (pthread_create(&threads[i], NULL, work, &works[i]) != 0) abort();
  }
  for (int i = 0; i < 2 * THREADS; i++) {
    pthread_join(threads[i], NULL);
    wrong += works[i].wrong;
  }
  return wrong;
}

static int check_counters(scope_client *client, uint64_t threads) {
  scope_counters counters;
  scope_counters_read(client, &counters);
  bool right = counters.calls == threads * ROUNDS * 7 && counters.allow == 0 && counters.deny > 0 &&
               counters.unavailable > 0 && counters.deny + counters.unavailable <= counters.calls;
  return right ? 0 : 1;
}

static void ignore(int number) { (void)number; }

int main(int count, char **arguments) {
  if (count != 2) return 64;
  struct sigaction action = {.sa_handler = ignore};  // without SA_RESTART
  struct itimerval often = {.it_interval = {.tv_usec = 2000}, .it_value = {.tv_usec = 2000}};
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &wanted, NULL);  // who started the program may have blocked it
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  int inherited = sockets_left_to_programs();
  scope_client *shared = open_client(arguments[1]), *own[THREADS];
  for (int i = 0; i < THREADS; i++) own[i] = open_client(arguments[1]);
  int wrong = run_threads(shared, own);
  wrong += check_counters(shared, THREADS);
  if (sockets_left_to_programs() != inherited) wrong++;
  for (int i = 0; i < THREADS; i++) {
    wrong += check_counters(own[i], 1);
    scope_close(own[i]);
  }
  scope_close(shared);
  if (wrong > 0) printf("%d wrong\n", wrong);
  else printf("ok\n");
  return wrong > 0;
}
