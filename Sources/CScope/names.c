// Texts of types, reasons and statuses. They are the names of the wire contract's enum values without
// the enum's name, in lower case, so that a new type needs no line here.
#include "internal.h"

#include <string.h>

_Static_assert(SCOPE_ALLOW == (int)SCOPE__V1__DECISION__DECISION_ALLOW, "decision");
_Static_assert(SCOPE_DENY == (int)SCOPE__V1__DECISION__DECISION_DENY, "decision");
_Static_assert(SCOPE_REASON_TILE_ONLY == (int)SCOPE__V1__REASON__REASON_TILE_ONLY, "reason");
_Static_assert(SCOPE_STATUS_UNAUTHENTICATED == (int)SCOPE__V1__CODE__CODE_UNAUTHENTICATED, "status");

enum { TABLE_ROWS = 64, NAME_CAPACITY = 48 };

struct table {
  unsigned rows;
  int32_t numbers[TABLE_ROWS];
  char names[TABLE_ROWS][NAME_CAPACITY];
};

static struct table types, reasons, statuses;
static pthread_once_t once = PTHREAD_ONCE_INIT;

// Not tolower(): in a Turkish locale it does not make an i of an I.
static char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter; }

static void fill(struct table *table, const ProtobufCEnumDescriptor *descriptor,
                 const char *prefix) {
  for (unsigned i = 0; i < descriptor->n_values && i < TABLE_ROWS; i++) {
    const char *name = descriptor->values[i].name + strlen(prefix);
    size_t at = 0;
    for (; name[at] && at < NAME_CAPACITY - 1; at++) table->names[i][at] = lower(name[at]);
    table->names[i][at] = 0;
    table->numbers[i] = descriptor->values[i].value;
    table->rows = i + 1;
  }
}

static void fill_all(void) {
  fill(&types, &scope__v1__entity_type__descriptor, "ENTITY_TYPE_");
  fill(&reasons, &scope__v1__reason__descriptor, "REASON_");
  fill(&statuses, &scope__v1__code__descriptor, "CODE_");
}

// The tables are small and read in order; a search of 14 rows is nothing beside a socket.
static const char *name_of(const struct table *table, int32_t number) {
  pthread_once(&once, fill_all);
  for (unsigned i = 0; i < table->rows; i++) {
    if (table->numbers[i] == number) return table->names[i];
  }
  return NULL;
}

int32_t scope_type_number(const char *name) {
  pthread_once(&once, fill_all);
  for (unsigned i = 0; name && i < types.rows; i++) {
    if (!strcmp(types.names[i], name)) return types.numbers[i];  // "unspecified" gives 0 as well
  }
  return 0;
}

const char *scope_type_name(int32_t number) { return number ? name_of(&types, number) : NULL; }

const char *scope_reason_text(int32_t reason) { return reason ? name_of(&reasons, reason) : NULL; }

const char *scope_status_text(int32_t status) { return name_of(&statuses, status); }
