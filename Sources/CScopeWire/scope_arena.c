#include "scope_arena.h"

#include <stdlib.h>

struct scope_arena_chunk {
  struct scope_arena_chunk *next;
  size_t pad;  // keeps what follows aligned to 16
};

enum { CHUNK_BYTES = 64 << 10 };

static void *allocate_callback(void *data, size_t bytes) { return scope_arena_allocate(data, bytes); }

// protobuf-c frees its scratch while it unpacks; the reset does it for all.
static void free_callback(void *data, void *pointer) {
  (void)data;
  (void)pointer;
}

struct scope_arena *scope_arena_create(size_t first_bytes, size_t limit_bytes) {
  struct scope_arena *arena = calloc(1, sizeof *arena);
  if (!arena) return NULL;
  arena->first = malloc(first_bytes);
  if (!arena->first) {
    free(arena);
    return NULL;
  }
  arena->allocator = (ProtobufCAllocator){allocate_callback, free_callback, arena};
  arena->first_bytes = first_bytes;
  arena->limit_bytes = limit_bytes;
  scope_arena_reset(arena);
  return arena;
}

void scope_arena_reset(struct scope_arena *arena) {
  while (arena->more) {
    struct scope_arena_chunk *next = arena->more->next;
    free(arena->more);
    arena->more = next;
  }
  arena->more_bytes = 0;
  arena->free = arena->first;
  arena->free_bytes = arena->first_bytes;
  arena->is_full = 0;
}

void scope_arena_destroy(struct scope_arena *arena) {
  if (!arena) return;
  scope_arena_reset(arena);
  free(arena->first);
  free(arena);
}

// A chunk with room for so many bytes; NULL beyond the limit.
static uint8_t *add_chunk(struct scope_arena *arena, size_t bytes) {
  bytes += sizeof(struct scope_arena_chunk);
  struct scope_arena_chunk *chunk = bytes > arena->limit_bytes - arena->more_bytes ? NULL : malloc(bytes);
  if (!chunk) return NULL;
  chunk->next = arena->more;
  arena->more = chunk;
  arena->more_bytes += bytes;
  return (uint8_t *)(chunk + 1);
}

static uint8_t *take(struct scope_arena *arena, size_t bytes) {
  uint8_t *at = arena->free;
  arena->free += bytes;
  arena->free_bytes -= bytes;
  return at;
}

void *scope_arena_allocate(struct scope_arena *arena, size_t bytes) {
  if (bytes > arena->limit_bytes + arena->first_bytes) {  // and no overflow below
    arena->is_full = 1;
    return NULL;
  }
  size_t rounded = (bytes + 15) & ~(size_t)15;
  if (rounded <= arena->free_bytes) return take(arena, rounded);
  // A large block has a chunk of its own; small ones share one, as long as the limit allows for a whole one.
  uint8_t *shared = rounded <= CHUNK_BYTES / 4 ? add_chunk(arena, CHUNK_BYTES) : NULL;
  if (shared) {
    arena->free = shared;
    arena->free_bytes = CHUNK_BYTES;
    return take(arena, rounded);
  }
  uint8_t *own = add_chunk(arena, rounded);
  arena->is_full |= !own;
  return own;
}
