#include "internal.h"

#include <string.h>

const char *scope_version(void) { return SCOPE_VERSION; }

size_t scope_struct_bytes(const char *name) {
  static const struct {
    const char *name;
    size_t bytes;
  } structs[] = {
      {"scope_error", sizeof(scope_error)},         {"scope_answer", sizeof(scope_answer)},
      {"scope_result", sizeof(scope_result)},       {"scope_options", sizeof(scope_options)},
      {"scope_call_options", sizeof(scope_call_options)},
      {"scope_counters", sizeof(scope_counters)},   {"scope_ref", sizeof(scope_ref)},
      {"scope_project", sizeof(scope_project)},     {"scope_object", sizeof(scope_object)},
  };
  for (size_t i = 0; name && i < sizeof structs / sizeof *structs; i++) {
    if (!strcmp(structs[i].name, name)) return structs[i].bytes;
  }
  return 0;
}
