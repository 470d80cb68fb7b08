// Preloaded: once the file that STUCK_DISK names is there, nothing reaches the disk any more, and nothing says so.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void stick(void) {
  const char *sign = getenv("STUCK_DISK");
  while (sign && access(sign, F_OK) == 0) pause();
}

int fdatasync(int descriptor) {
  stick();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(descriptor);
}

int fsync(int descriptor) {
  stick();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(descriptor);
}
