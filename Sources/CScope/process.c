#include "internal.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

// A page that the kernel empties in every child with memory of its own, however it was made. A process id
// does not tell: in a namespace of its own, a child may well have that of its parent.
enum { EMPTIED = 0, SETTLED, CHANGING };

static pthread_once_t made = PTHREAD_ONCE_INIT;
static atomic_int unmarked = SETTLED;  // where there is no such page, the process id alone tells
static atomic_int *mark = &unmarked;
static atomic_int process_id;
static atomic_int generation = 1;

static void make_mark(void) {
  atomic_store(&process_id, (int)getpid());
  size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
  void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (madvise(page, bytes, MADV_WIPEONFORK) != 0) {
    munmap(page, bytes);
    return;
  }
  mark = page;
  atomic_store(mark, SETTLED);
}

// The number of a process is above those of all whose memory it has come to have.
int scope_process(void) {
  pthread_once(&made, make_mark);
  int id = (int)getpid();
  for (;;) {
    int state = atomic_load(mark);
    if (state == SETTLED && atomic_load(&process_id) == id) return atomic_load(&generation);
    if (state != CHANGING && atomic_compare_exchange_strong(mark, &state, CHANGING)) {
      atomic_fetch_add(&generation, 1);
      atomic_store(&process_id, id);
      atomic_store(mark, SETTLED);
    } else {
      sched_yield();  // another thread of this child is at it
    }
  }
}
