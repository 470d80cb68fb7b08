// Forks while another thread waits inside a call on the same handle. The daemon allows everything but
// never answers about queue:silent.
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scope.h"

static scope_client *client;

static void *wait_in_vain(void *unused) {
  scope_call_options options = {.timeout_ms = 1000};
  scope_answer answer;
  (void)unused;
  scope_check_with(client, &options, "user:1", "queue:silent", NULL, &answer);
  return NULL;
}

// The thread is inside once another call gives up waiting for it.
static void await_inside(void) {
  scope_call_options options = {.timeout_ms = 5};
  scope_answer answer;
  do {
    scope_check_with(client, &options, "user:1", "queue:a", NULL, &answer);
  } while (!strstr(answer.error.message, "other threads"));
}

static int run_child(void) {
  scope_answer answer;
  for (int i = 0; i < 3; i++) {
    if (!scope_check(client, "user:1", "queue:a", &answer)) {
      printf("child: %s: %s\n", answer.error.reason, answer.error.message);
      fflush(stdout);
      return 1;
    }
  }
  scope_close(client);
  return 0;
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  scope_options options;
  scope_options_init(&options, sizeof options);
  options.company = "acme";
  options.timeout_ms = 10000;
  options.connections = 1;
  options.breaker_failures = 0;
  client = scope_open(arguments[1], &options, NULL);
  pthread_t thread;
  if (!client || pthread_create(&thread, NULL, wait_in_vain, NULL) != 0) return 1;
  await_inside();
  pid_t child = fork();
  if (child == 0) _exit(run_child());
  int status;
  waitpid(child, &status, 0);
  pthread_join(thread, NULL);
  scope_close(client);
  if (status == 0) printf("ok\n");
  return status == 0 ? 0 : 1;
}
