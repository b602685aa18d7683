/* Where in an answer something is, and the error that says so. */

#ifndef TRAVEL_GRAPHQL_PATH_H
#define TRAVEL_GRAPHQL_PATH_H

#include "plan.h"
#include "text.h"

#define TRAVEL_GRAPHQL_PATH_MAX    100
#define TRAVEL_GRAPHQL_ERRORS_MAX  16     /* that are told of one answer */

/* The innermost of a path leads to all others. */
typedef struct travel_graphql_step_s  travel_graphql_step_t;

struct travel_graphql_step_s {
    const travel_graphql_step_t  *up;
    travel_str_t                  key;       /* data NULL: a list's item */
    uint32_t                      index;
};

/* Null where there may be none; a value that is none of the leaf's type.
 * Appends the error, with a comma between it and what is there, unless there
 * are as many as are told. */
void travel_graphql_null_error(travel_graphql_text_t *errors, unsigned *n,
    const travel_graphql_node_t *node, const travel_graphql_step_t *at);
/* A field that was left out. */
void travel_graphql_withheld_error(travel_graphql_text_t *errors, unsigned *n,
    const travel_graphql_node_t *node, const travel_graphql_step_t *at);
void travel_graphql_leaf_error(travel_graphql_text_t *errors, unsigned *n,
    const travel_graphql_node_t *node, const travel_graphql_step_t *at);

#endif
