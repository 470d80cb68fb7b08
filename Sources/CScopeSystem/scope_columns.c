#define _GNU_SOURCE
#include "scope_columns.h"

#include <locale.h>
#include <pthread.h>
#include <wchar.h>

static locale_t unicode;

static void find_locale(void) { unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0); }

// wcwidth goes by the thread's locale; without one that has Unicode, nothing beyond ASCII has a width.
int scope_columns(uint32_t scalar) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, find_locale);
  if (unicode == (locale_t)0) return 1;
  locale_t before = uselocale(unicode);
  int columns = wcwidth((wchar_t)scalar);
  uselocale(before);
  return columns < 0 ? 1 : columns;
}
