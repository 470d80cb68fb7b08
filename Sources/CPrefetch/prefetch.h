// Swift has no word for it: asks for a line of memory that will be read soon, and waits for nothing.
static inline void scope_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }
