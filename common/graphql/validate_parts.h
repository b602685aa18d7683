/* What the files of the validator share; nobody else includes it. */

#ifndef TRAVEL_GRAPHQL_VALIDATE_PARTS_H
#define TRAVEL_GRAPHQL_VALIDATE_PARTS_H

#include "check.h"
#include "validate.h"

typedef struct travel_graphql_unit_s  travel_graphql_unit_t;

/* "...F", where it is. */
typedef struct {
    const travel_graphql_ast_t  *spread;
    travel_graphql_unit_t       *unit;       /* F; NULL: there is none */
} travel_graphql_spread_t;

/* An operation or a fragment. */
struct travel_graphql_unit_s {
    travel_graphql_ast_t   *def;
    travel_graphql_unit_t  *self;            /* as bytes: its name in pairs */
    size_t                  usages;          /* the first of its variables */
    size_t                  nusages;
    size_t                  spreads;
    size_t                  nspreads;
    uint32_t                mark;            /* of the last walk that met it */
    uint8_t                 state;           /* of the search for circles */
    bool                    used;
};

typedef struct {
    travel_graphql_check_t    check;
    travel_graphql_unit_t   **units;         /* in the order of the text */
    size_t                    nunits;
    size_t                    room;
    size_t                    noperations;
    travel_graphql_spread_t  *spreads;
    size_t                    nspreads;
    size_t                    spreads_room;
    travel_graphql_unit_t   **stack;         /* free()d, as all of these */
    size_t                    stack_room;
    const travel_graphql_ast_t  **owners;
    size_t                    owners_room;
    uint32_t                  mark;
} travel_graphql_validation_t;

/* The fragment of that name, or NULL. */
travel_graphql_unit_t *travel_graphql_validate_fragment(
    const travel_graphql_validation_t *v, travel_str_t name);

/* The next of all that 'owner' selects, however deep, in the order of the text;
 * NULL: that was all.  'down': what 'node' selects is part of it. */
travel_graphql_ast_t *travel_graphql_validate_next(
    const travel_graphql_ast_t *node, const travel_graphql_ast_t *owner,
    bool down);

/* Fragments and the variables that come by them. */
int travel_graphql_validate_units(travel_graphql_validation_t *v)
    TRAVEL_MUST_CHECK;
/* What an operation selects at its root, and how deep introspection goes. */
int travel_graphql_validate_roots(travel_graphql_validation_t *v)
    TRAVEL_MUST_CHECK;
/* Fields of one response name (section 5.3.2). */
int travel_graphql_validate_overlap(travel_graphql_validation_t *v)
    TRAVEL_MUST_CHECK;

#endif
