/* A table of names by scope, with linear probing.  See names.h. */

#include "names.h"

#include <stdlib.h>

#define NAMES_FIRST  64


int
travel_graphql_names_init(travel_graphql_names_t *names)
{
    memset(names, 0, sizeof(*names));

    return travel_random(&names->key, sizeof(names->key));
}


void
travel_graphql_names_fini(travel_graphql_names_t *names)
{
    free(names->slots);
    memset(names, 0, sizeof(*names));
}


static uint64_t
names_hash(const travel_graphql_names_t *names, const void *scope,
    travel_str_t name)
{
    travel_siphash_key_t  key = names->key;

    key.k0 ^= (uint64_t) (uintptr_t) scope;

    return travel_siphash(&key, name.len > 0 ? name.data : "", name.len);
}


/* The slot of that name, or the free one where it belongs. */
static travel_graphql_name_t *
names_slot(travel_graphql_name_t *slots, size_t size, uint64_t hash,
    const void *scope, travel_str_t name)
{
    size_t  i;

    for (i = hash & (size - 1); slots[i].scope != NULL;
         i = (i + 1) & (size - 1))
    {
        if (slots[i].hash == hash && slots[i].scope == scope
            && travel_str_eq(slots[i].name, name))
        {
            break;
        }
    }

    return &slots[i];
}


void *
travel_graphql_names_get(const travel_graphql_names_t *names,
    const void *scope, travel_str_t name)
{
    return names->size == 0 ? NULL
           : names_slot(names->slots, names->size,
                        names_hash(names, scope, name), scope, name)->value;
}


static int
names_larger(travel_graphql_names_t *names)
{
    size_t                  i, size;
    travel_graphql_name_t  *slots, *old;

    size = names->size > 0 ? names->size * 2 : NAMES_FIRST;

    slots = calloc(size, sizeof(*slots));
    if (slots == NULL) {
        return TRAVEL_ERROR;
    }

    for (i = 0; i < names->size; i++) {
        old = &names->slots[i];

        if (old->scope != NULL) {
            *names_slot(slots, size, old->hash, old->scope, old->name) = *old;
        }
    }

    free(names->slots);
    names->slots = slots;
    names->size = size;
    return TRAVEL_OK;
}


int
travel_graphql_names_put(travel_graphql_names_t *names, const void *scope,
    travel_str_t name, void ***ret_value)
{
    uint64_t                hash;
    travel_graphql_name_t  *slot;

    if (names->n * 2 >= names->size && names_larger(names) != TRAVEL_OK) {
        return TRAVEL_ERROR;
    }

    hash = names_hash(names, scope, name);
    slot = names_slot(names->slots, names->size, hash, scope, name);

    if (slot->scope == NULL) {
        slot->scope = scope;
        slot->name = name;
        slot->hash = hash;
        names->n++;
    }

    *ret_value = &slot->value;
    return TRAVEL_OK;
}
