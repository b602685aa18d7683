/*
 * Statements for part of a plan: one root alone, without some of its fields.
 *
 * A field that is left out is null in every row that it is of, and the answer
 * says so with an error for each (complete.h).  Two reasons there are for it:
 *
 * - who asks may not see it: @auth, by the permissions in plan->requires;
 * - PostgreSQL cannot answer it.  A statement that fails says that it failed,
 *   not where: so it is asked again with fewer fields, and a search finds which
 *   are to blame.  The fields below a root are numbered from 1, what is within
 *   a field before it; with the first n left out the statement fails or does
 *   not, and the smallest n with which it does not is a field to blame.  That
 *   takes log2 of them statements for each such field.
 */

#ifndef TRAVEL_GRAPHQL_PART_H
#define TRAVEL_GRAPHQL_PART_H

#include "plan.h"

#define TRAVEL_GRAPHQL_BLAMED_MAX  4      /* fields of one root */

/* Zeroed first: two of them are the same when their bytes are. */
typedef struct {
    uint64_t  denied;       /* permissions that are missing: bits, by their
                               place in plan->requires */
    uint32_t  only;         /* 0: all roots; else the number of one, from 1 */
    uint32_t  upto;         /* of that root: so many fields are left out, */
    uint32_t  nblamed;      /* and these */
    struct {
        uint32_t  field;
        int32_t   code;     /* travel_error_e */
    } blamed[TRAVEL_GRAPHQL_BLAMED_MAX];
} travel_graphql_part_t;

/* The root of a number from 1. */
travel_graphql_node_t *travel_graphql_root(const travel_graphql_plan_t *plan,
    uint32_t number);

/* Does anything go out that may be seen?  No: every root, or one that must not
 * be null, is denied. */
bool travel_graphql_part_shows(const travel_graphql_plan_t *plan,
    uint64_t denied);

/* Leaves out of the plan's tree, for good, what the part is without, and writes
 * its statement.  As travel_graphql_sql(). */
int travel_graphql_part_sql(travel_graphql_statement_t *ret_statement,
    travel_graphql_plan_t *plan, const travel_graphql_part_t *part)
    TRAVEL_MUST_CHECK;

/* --- which field is to blame --------------------------------------------- */

typedef enum {
    TRAVEL_GRAPHQL_SEARCH_ASK,      /* search.part, and tell what came of it */
    TRAVEL_GRAPHQL_SEARCH_FOUND,    /* what was answered last is the answer */
    TRAVEL_GRAPHQL_SEARCH_ROOT      /* the root itself is to blame */
} travel_graphql_search_e;

typedef struct {
    travel_graphql_part_t  part;
    uint32_t               fields;
    uint32_t               low;     /* without so many it fails, by 'code', */
    uint32_t               high;    /* and without so many it does not */
    int                    code;
    int                    first;   /* how the whole of the root failed */
    bool                   running;
} travel_graphql_search_t;

void travel_graphql_search_init(travel_graphql_search_t *search,
    const travel_graphql_plan_t *plan, uint32_t only, uint64_t denied);
/* What came of search.part: 0, or the error that it failed with. */
travel_graphql_search_e travel_graphql_search(travel_graphql_search_t *search,
    int code);

#endif
