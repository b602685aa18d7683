/*
 * A table of names by scope: a field of a type, an argument of a field, a
 * variable of an operation, all in one.
 *
 * Documents come from outside, so the hash is keyed: nobody can choose names
 * that meet in one place.
 */

#ifndef TRAVEL_GRAPHQL_NAMES_H
#define TRAVEL_GRAPHQL_NAMES_H

#include "../hash.h"

typedef struct {
    const void    *scope;
    travel_str_t   name;
    uint64_t       hash;
    void          *value;
} travel_graphql_name_t;

typedef struct {
    travel_graphql_name_t  *slots;        /* owned; scope NULL: free */
    size_t                  n;
    size_t                  size;         /* a power of two */
    travel_siphash_key_t    key;
} travel_graphql_names_t;

/* TRAVEL_OK, TRAVEL_ERROR. */
int travel_graphql_names_init(travel_graphql_names_t *names)
    TRAVEL_MUST_CHECK;
void travel_graphql_names_fini(travel_graphql_names_t *names);

/* What is known by that name, or NULL.  A scope is any address but NULL. */
void *travel_graphql_names_get(const travel_graphql_names_t *names,
    const void *scope, travel_str_t name);
/* Where it is kept, NULL in it when it is new; valid until the next call.
 * 'name' must outlive the table.  TRAVEL_OK, TRAVEL_ERROR. */
int travel_graphql_names_put(travel_graphql_names_t *names, const void *scope,
    travel_str_t name, void ***ret_value) TRAVEL_MUST_CHECK;

#endif
