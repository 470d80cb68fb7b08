// A bump allocator for protobuf-c: everything unpacked from one frame is freed at once.
#ifndef SCOPE_ARENA_H
#define SCOPE_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

struct scope_arena_chunk;

// Not thread-safe. `allocator` is handed to protobuf-c's unpack functions; what they return lives
// until `scope_arena_reset`, and must not be given to the free_unpacked functions.
struct scope_arena {
  ProtobufCAllocator allocator;
  uint8_t *first;                  // kept between resets
  size_t first_bytes;
  uint8_t *free;                   // what is handed out next, of `first` or of a chunk
  size_t free_bytes;
  struct scope_arena_chunk *more;  // what `first` could not hold
  size_t more_bytes;
  size_t limit_bytes;              // of `more`: beyond it, allocation fails and so does the unpack
  int is_full;                     // an allocation failed since the last reset
};

// Makes an arena that keeps `first_bytes` and may take `limit_bytes` beyond them for one frame.
// Returns NULL without memory.
struct scope_arena *scope_arena_create(size_t first_bytes, size_t limit_bytes);

// Frees everything allocated since the last reset.
void scope_arena_reset(struct scope_arena *arena);

// Frees the arena. NULL is allowed.
void scope_arena_destroy(struct scope_arena *arena);

// Memory for `bytes` bytes, aligned to 16, valid until the reset. NULL beyond the limit.
void *scope_arena_allocate(struct scope_arena *arena, size_t bytes);

#endif
