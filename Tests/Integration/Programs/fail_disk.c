// Preloaded into a daemon: makes reads, writes and syncs of files fail as the file that FAULT_FILE names says, which
// the test alters while the daemon runs. Only files whose names end with the given one are meant.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// One kind of call. `left` calls go well, and then `failing` fail with `number`.
struct plan {
  _Atomic int64_t left;
  _Atomic int64_t failing;
  _Atomic int64_t number;
  _Atomic int64_t met; // calls that failed
};

struct control {
  struct plan reads, writes, syncs;
  char suffix[64];
};

static struct control *control;

__attribute__((constructor)) static void open_control(void) {
  const char *path = getenv("FAULT_FILE");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory != MAP_FAILED) control = memory;
}

static int is_meant(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path);
  ssize_t suffix = (ssize_t)strlen(control->suffix);
  return length >= suffix && memcmp(path + length - suffix, control->suffix, (size_t)suffix) == 0;
}

static int fails(struct plan *plan, int file) {
  if (plan->failing == 0 || !is_meant(file)) return 0;
  if (plan->left > 0) {
    plan->left--;
    return 0;
  }
  plan->failing--;
  plan->met++;
  errno = (int)plan->number;
  return 1;
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
  static ssize_t (*next)(int, const void *, size_t, off64_t);
  if (!next) next = dlsym(RTLD_NEXT, "pwrite64");
  if (control && fails(&control->writes, file)) return -1;
  return next(file, bytes, count, offset);
}

ssize_t pread64(int file, void *bytes, size_t count, off64_t offset) {
  static ssize_t (*next)(int, void *, size_t, off64_t);
  if (!next) next = dlsym(RTLD_NEXT, "pread64");
  if (control && fails(&control->reads, file)) return -1;
  return next(file, bytes, count, offset);
}

int fdatasync(int file) {
  static int (*next)(int);
  if (!next) next = dlsym(RTLD_NEXT, "fdatasync");
  if (control && fails(&control->syncs, file)) return -1;
  return next(file);
}

int fsync(int file) {
  static int (*next)(int);
  if (!next) next = dlsym(RTLD_NEXT, "fsync");
  if (control && fails(&control->syncs, file)) return -1;
  return next(file);
}
