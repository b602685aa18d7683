/* Room that is given back all at once. */

#ifndef TRAVEL_GRAPHQL_ARENA_H
#define TRAVEL_GRAPHQL_ARENA_H

#include "../travel.h"

typedef struct travel_graphql_chunk_s  travel_graphql_chunk_t;

typedef struct {                      /* zeroed: empty */
    travel_graphql_chunk_t  *chunks;
} travel_graphql_arena_t;

/* Zeroed room; NULL: out of memory. */
void *travel_graphql_arena_alloc(travel_graphql_arena_t *arena, size_t size);
void travel_graphql_arena_free(travel_graphql_arena_t *arena);

/* An array that grows by doubling, zeroed behind 'n': room for one more of
 * 'size' bytes.  Owned by the caller, free()d.  TRAVEL_OK, TRAVEL_ERROR. */
int travel_graphql_grow(void **items, size_t *room, size_t n, size_t size)
    TRAVEL_MUST_CHECK;

#endif
