// Compiled, never run: scope.h alone, in C++.
#include "scope.h"

int main() {
  scope_options options;
  scope_options_init(&options, sizeof options);
  scope_call_options once = {};
  scope_answer answer;
  scope_client *client = scope_open("unix:/run/scoped/scoped.sock", &options, nullptr);
  return scope_check_with(client, &once, "user:1", "queue:a", nullptr, &answer) ? 0 : 1;
}
