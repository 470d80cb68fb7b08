// Opens a handle, uses it, forks, and asks from all processes at once. The daemon allows what has the
// same id on both sides, and gives that id as the project: every answer shows whose it is.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scope.h"

enum { CHILDREN = 4, ROUNDS = 500 };

static int wrong_answers(scope_client *client, int process, int rounds) {
  int wrong = 0;
  for (int i = 0; i < rounds; i++) {
    char subject[64], same[64], project[64];
    scope_answer answer;
    snprintf(subject, sizeof subject, "user:%d-%d", process, i);
    snprintf(same, sizeof same, "queue:%d-%d", process, i);
    snprintf(project, sizeof project, "%d-%d", process, i);
    if (!scope_check(client, subject, same, &answer) || strcmp(answer.project, project)) wrong++;
    if (scope_check(client, subject, "queue:x", &answer) || answer.verdict != SCOPE_DENY) wrong++;
  }
  return wrong;
}

// 0 if all went well. Counters start at zero in the child, and its connection is its first.
static int run_child(scope_client *client, int process) {
  scope_counters counters;
  int wrong = wrong_answers(client, process, ROUNDS);
  scope_counters_read(client, &counters);
  if (counters.calls != 2 * ROUNDS || counters.reconnects != 0) wrong++;
  scope_close(client);
  if (wrong > 0) printf("child %d: %d wrong\n", process, wrong);
  fflush(stdout);
  return wrong == 0 ? 0 : 1;
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  scope_options options;
  scope_options_init(&options, sizeof options);
  options.company = "acme";
  options.timeout_ms = 10000;
  scope_client *client = scope_open(arguments[1], &options, NULL);
  int wrong = wrong_answers(client, 0, 1);
  for (int i = 1; i <= CHILDREN; i++) {
    if (fork() == 0) exit(run_child(client, i));  // with the checks of memory that an exit brings
  }
  wrong += wrong_answers(client, 0, ROUNDS);
  for (int i = 0; i < CHILDREN; i++) {
    int status;
    if (wait(&status) < 0 || status != 0) wrong++;
  }
  wrong += wrong_answers(client, 0, 1);  // the children's ends did not disturb the connection
  scope_close(client);
  if (wrong > 0) printf("%d wrong\n", wrong);
  else printf("ok\n");
  return 0;
}
