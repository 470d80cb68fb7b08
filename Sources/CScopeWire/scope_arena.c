#include "scope_arena.h"

#include <stdlib.h>

struct scope_arena_chunk {
  struct scope_arena_chunk *next;
  size_t pad;  // keeps what follows aligned to 16
};

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
  return arena;
}

void scope_arena_reset(struct scope_arena *arena) {
  while (arena->more) {
    struct scope_arena_chunk *next = arena->more->next;
    free(arena->more);
    arena->more = next;
  }
  arena->more_bytes = 0;
  arena->used_bytes = 0;
  arena->is_full = 0;
}

void scope_arena_destroy(struct scope_arena *arena) {
  if (!arena) return;
  scope_arena_reset(arena);
  free(arena->first);
  free(arena);
}

static void *refuse(struct scope_arena *arena) {
  arena->is_full = 1;
  return NULL;
}

void *scope_arena_allocate(struct scope_arena *arena, size_t bytes) {
  if (bytes > arena->limit_bytes + arena->first_bytes) return refuse(arena);  // and no overflow below
  size_t rounded = (bytes + 15) & ~(size_t)15;
  if (rounded <= arena->first_bytes - arena->used_bytes) {
    void *at = arena->first + arena->used_bytes;
    arena->used_bytes += rounded;
    return at;
  }
  size_t chunk_bytes = sizeof(struct scope_arena_chunk) + rounded;
  if (chunk_bytes > arena->limit_bytes - arena->more_bytes) return refuse(arena);
  struct scope_arena_chunk *chunk = malloc(chunk_bytes);
  if (!chunk) return refuse(arena);
  chunk->next = arena->more;
  arena->more = chunk;
  arena->more_bytes += chunk_bytes;
  return chunk + 1;
}
