// What a parent knows of the daemon's failures is not the child's. The daemon ends its first connection
// without an answer, and allows everything on later ones; at the second address nobody listens.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scope.h"

enum { HOUR_MS = 3600000 };

static scope_client *open_client(const char *address) {
  scope_options options;
  scope_options_init(&options, sizeof options);
  options.company = "acme";
  options.timeout_ms = 10000;
  options.breaker_failures = 1;
  options.breaker_open_ms = HOUR_MS;
  options.backoff_min_ms = options.backoff_max_ms = HOUR_MS;
  return scope_open(address, &options, NULL);
}

static int expect(scope_client *client, const char *who, const char *reason) {
  scope_answer answer;
  scope_check(client, "user:1", "queue:a", &answer);
  const char *found = answer.verdict == SCOPE_ALLOW ? "allow" : answer.error.reason;
  if (!strcmp(found, reason)) return 0;
  printf("%s: %s, not %s\n", who, found, reason);
  fflush(stdout);
  return 1;
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  scope_client *dies = open_client(arguments[1]), *absent = open_client("unix:/nonexistent/s");
  int wrong = expect(dies, "parent", "connection_lost") + expect(absent, "parent", "connect_failed");
  pid_t child = fork();
  if (child == 0) {
    int found = expect(dies, "child", "allow") + expect(absent, "child", "connect_failed");
    scope_close(dies);
    scope_close(absent);
    exit(found);  // with the checks of memory that an exit brings
  }
  int status;
  if (waitpid(child, &status, 0) < 0 || status != 0) wrong++;
  wrong += expect(dies, "parent", "breaker_open") + expect(absent, "parent", "breaker_open");
  scope_close(dies);
  scope_close(absent);
  if (wrong == 0) printf("ok\n");
  return wrong;
}
