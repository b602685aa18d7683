/* Room that is given back all at once.  See arena.h. */

#include "arena.h"

#include <stdlib.h>

#define ARENA_CHUNK  8192

struct travel_graphql_chunk_s {
    travel_graphql_chunk_t  *next;
    size_t                   used;
    size_t                   size;
    max_align_t              data[];
};


void *
travel_graphql_arena_alloc(travel_graphql_arena_t *arena, size_t size)
{
    void                    *p;
    size_t                   room;
    travel_graphql_chunk_t  *chunk = arena->chunks;

    size = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);

    if (chunk == NULL || chunk->size - chunk->used < size) {
        room = size > ARENA_CHUNK ? size : ARENA_CHUNK;
        chunk = calloc(1, sizeof(*chunk) + room);

        if (chunk == NULL) {
            return NULL;
        }

        chunk->size = room;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }

    p = (char *) chunk->data + chunk->used;
    chunk->used += size;
    return p;
}


void
travel_graphql_arena_free(travel_graphql_arena_t *arena)
{
    travel_graphql_chunk_t  *chunk, *next;

    for (chunk = arena->chunks; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }

    arena->chunks = NULL;
}


int
travel_graphql_grow(void **items, size_t *room, size_t n, size_t size)
{
    void    *more;
    size_t   wanted;

    if (n < *room) {
        return TRAVEL_OK;
    }

    wanted = *room > 0 ? *room * 2 : 16;

    more = realloc(*items, wanted * size);
    if (more == NULL) {
        return TRAVEL_ERROR;
    }

    memset((char *) more + *room * size, 0, (wanted - *room) * size);
    *items = more;
    *room = wanted;
    return TRAVEL_OK;
}
