// As fork.c does, where all processes have one process id: so it may be in namespaces of their own.
#include "fork.c"

pid_t getpid(void) { return 1; }
