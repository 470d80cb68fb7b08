// Asks a slow daemon that allows everything, while a timer's signal comes every millisecond.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>

#include "scope.h"

static volatile sig_atomic_t signals;

static void note(int number) {
  (void)number;
  signals++;
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  struct sigaction action = {.sa_handler = note};  // without SA_RESTART
  struct itimerval often = {.it_interval = {.tv_usec = 1000}, .it_value = {.tv_usec = 1000}};
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &wanted, NULL);  // who started the program may have blocked it
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  scope_options options;
  scope_options_init(&options, sizeof options);
  options.company = "acme";
  options.timeout_ms = 60000;
  scope_client *client = scope_open(arguments[1], &options, NULL);
  int wrong = 0;
  for (int i = 0; i < 10; i++) {
    scope_answer answer;
    if (scope_check(client, "user:1", "queue:a", &answer)) continue;
    printf("%s: %s\n", answer.error.reason, answer.error.message);
    wrong++;
  }
  scope_close(client);
  if (signals < 10) printf("only %d signals\n", (int)signals);
  else if (wrong == 0) printf("ok\n");
  return wrong;
}
