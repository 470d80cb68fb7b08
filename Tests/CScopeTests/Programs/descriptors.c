// A program that closes every descriptor, as daemons do, and uses the numbers for its own files: those are
// neither written, read nor closed by the library. The daemon allows everything.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scope.h"

enum { FIRST = 3, LAST = 64, OWN = 12 };

static scope_client *open_client(const char *address) {
  scope_options options;
  scope_options_init(&options, sizeof options);
  options.company = "acme";
  options.timeout_ms = 10000;
  return scope_open(address, &options, NULL);
}

static int is_allowed(scope_client *client) {
  scope_answer answer;
  return scope_check(client, "user:1", "queue:a", &answer) == SCOPE_ALLOW;
}

// Pairs of sockets at the lowest numbers. Something to be read waits in each.
static int take_numbers(int own[OWN], struct stat files[OWN]) {
  for (int i = 0; i < OWN; i += 2) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, own + i) != 0) return 1;
    if (write(own[i], "mine", 4) != 4 || write(own[i + 1], "mine", 4) != 4) return 1;
  }
  for (int i = 0; i < OWN; i++) {
    if (fstat(own[i], files + i) != 0) return 1;
  }
  return 0;
}

static int count_harmed(const int own[OWN], const struct stat files[OWN]) {
  int harmed = 0;
  for (int i = 0; i < OWN; i++) {
    struct stat now;
    char bytes[64];
    int same = fstat(own[i], &now) == 0 && now.st_ino == files[i].st_ino && now.st_dev == files[i].st_dev;
    if (!same || recv(own[i], bytes, sizeof bytes, MSG_DONTWAIT) != 4 || memcmp(bytes, "mine", 4) != 0) harmed++;
  }
  return harmed;
}

// `asks`: how often after the numbers are taken; the handle is closed then.
static int misuse(const char *address, int asks) {
  scope_client *client = open_client(address);
  if (!is_allowed(client)) return 10;
  for (int i = FIRST; i < LAST; i++) close(i);
  int own[OWN];
  struct stat files[OWN];
  if (take_numbers(own, files) != 0) return 20;
  for (int i = 0; i < asks; i++) {
    if (!is_allowed(client)) return 30;
  }
  scope_close(client);
  return count_harmed(own, files);
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  int wrong = 0;
  for (int asks = 0; asks < 3; asks++) {
    for (int forks = 0; forks < 2; forks++) {
      pid_t child = fork();  // each way with descriptors of its own
      if (child == 0) {
        if (!forks) exit(misuse(arguments[1], asks));
        scope_client *inherited = open_client(arguments[1]);
        if (!is_allowed(inherited)) exit(11);
        pid_t second = fork();
        if (second == 0) {
          for (int i = FIRST; i < LAST; i++) close(i);
          int own[OWN];
          struct stat files[OWN];
          if (take_numbers(own, files) != 0) exit(21);
          for (int i = 0; i < asks; i++) {
            if (!is_allowed(inherited)) exit(31);
          }
          scope_close(inherited);
          exit(count_harmed(own, files));
        }
        int status;
        waitpid(second, &status, 0);
        int found = !WIFEXITED(status) ? 99 : WEXITSTATUS(status);
        if (!is_allowed(inherited)) found = 12;  // the parent's connection goes on
        scope_close(inherited);
        exit(found);
      }
      int status;
      waitpid(child, &status, 0);
      if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("asked %d times, fork %d: status %d\n", asks, forks, status);
        wrong++;
      }
    }
  }
  if (wrong == 0) printf("ok\n");
  return wrong;
}
