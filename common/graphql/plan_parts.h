/* What the planner's files share; nobody else includes it. */

#ifndef TRAVEL_GRAPHQL_PLAN_PARTS_H
#define TRAVEL_GRAPHQL_PLAN_PARTS_H

#include "plan.h"
#include "../errors.h"

/* A plan that is being made. */
typedef struct {
    travel_graphql_plan_t             *plan;
    const travel_graphql_variables_t  *variables;
    travel_graphql_error_t            *error;
    size_t                             visited;     /* selections */
    uint32_t                           mark;        /* of the last collect */
    bool                               varies;      /* a variable says how
                                                       many rows */
} travel_graphql_making_t;

/* Fills the error; always TRAVEL_INVALID.  'at' NULL: nowhere. */
int travel_graphql_plan_error(travel_graphql_error_t *error,
    const travel_graphql_ast_t *at, int code, const char *fmt, ...)
    TRAVEL_PRINTF(4, 5);

/* Room in the document; NULL: out of memory. */
void *travel_graphql_plan_alloc(travel_graphql_making_t *p, size_t size);

static inline bool
travel_graphql_is(travel_str_t name, const char *word)
{
    return name.len == strlen(word) && memcmp(name.data, word, name.len) == 0;
}

/* The value given for a variable, or its default: exactly one is not NULL, or
 * neither is. */
void travel_graphql_plan_variable(const travel_graphql_ast_t *operation,
    const travel_graphql_variables_t *variables, travel_str_t name,
    const travel_json_node_t **ret_json,
    const travel_graphql_ast_t **ret_default);

/* Fills node->given from the field's arguments. */
int travel_graphql_plan_args(travel_graphql_making_t *p,
    const travel_graphql_ast_t *ast, travel_graphql_node_t *node)
    TRAVEL_MUST_CHECK;

#endif
