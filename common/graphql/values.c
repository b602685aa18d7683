/* How many items a plan's lists may have in a request, and what that costs. */

#include "plan.h"
#include "../digits.h"
#include "../errors.h"

#include <stdarg.h>
#include <stdio.h>

#define VALUES_COST_MAX  1000000000u
#define VALUES_INT       24           /* a whole number as text */

typedef travel_graphql_ast_t  ast_t;

#define S_(s)  (int) (s).len, (s).data


TRAVEL_PRINTF(4, 5)
static int
values_error(travel_graphql_error_t *error, uint32_t line, uint32_t column,
    const char *fmt, ...)
{
    va_list  args;

    memset(error, 0, sizeof(*error));
    error->code = TRAVEL_E_VALIDATION_ERROR;
    error->line = line;
    error->column = column;

    va_start(args, fmt);
    vsnprintf(error->message, sizeof(error->message), fmt, args);
    va_end(args);

    return TRAVEL_INVALID;
}


/* --- limits and cost ----------------------------------------------------- */

/* Room for a whole number, which is all that a limit is. */
static void *
values_room(void *pool, size_t size)
{
    return size <= VALUES_INT ? pool : NULL;
}


int
travel_graphql_limit(const travel_graphql_plan_t *plan,
    const travel_graphql_node_t *node,
    const travel_graphql_variables_t *variables, uint32_t *ret_limit,
    travel_graphql_error_t *ret_error)
{
    char                           room[VALUES_INT];
    bool                           zero = false;
    uint64_t                       n;
    travel_str_t                   text;
    const travel_graphql_given_t  *given;

    *ret_limit = node->field->fallback;
    given = travel_graphql_node_limit(node);

    if (given == NULL) {
        return TRAVEL_OK;
    }

    if (travel_graphql_value(plan, &given->value, variables, values_room, room,
                             &text) != TRAVEL_OK)
    {
        text = TRAVEL_STR("?");
    }

    if (text.data == NULL) {
        return TRAVEL_OK;
    }

    if (text.len > 1 && *text.data == '-') {        /* -0 is a number */
        text.data++;
        text.len--;
        zero = true;
    }

    if (travel_digits_parse(&n, text) != TRAVEL_OK || (zero && n > 0)
        || n > node->field->max)
    {
        return values_error(ret_error, node->line, node->column,
                            "\"%.*s\" takes from 0 to %u items.",
                            S_(node->field->name), node->field->max);
    }

    *ret_limit = (uint32_t) n;
    return TRAVEL_OK;
}


static uint64_t
values_sum(uint64_t a, uint64_t b)
{
    return a + b > VALUES_COST_MAX ? VALUES_COST_MAX : a + b;
}


/* The tree is no deeper than TRAVEL_GRAPHQL_DEPTH_MAX. */
static int
values_cost(const travel_graphql_plan_t *plan,
    const travel_graphql_node_t *first,
    const travel_graphql_variables_t *variables, uint64_t *ret_cost,
    travel_graphql_error_t *ret_error)
{
    int                           rc;
    uint32_t                      limit;
    uint64_t                      cost = 0, below;
    const travel_graphql_node_t  *node;

    for (node = first; node != NULL; node = node->next) {

        rc = values_cost(plan, node->children, variables, &below, ret_error);
        if (rc != TRAVEL_OK) {
            return rc;
        }

        if (node->kind == TRAVEL_GRAPHQL_NODE_LIST
            || node->kind == TRAVEL_GRAPHQL_NODE_CONNECTION)
        {
            rc = travel_graphql_limit(plan, node, variables, &limit,
                                      ret_error);
            if (rc != TRAVEL_OK) {
                return rc;
            }

            below = (uint64_t) limit * values_sum(below, 1);
        }

        cost = values_sum(cost, below);

        if (node->kind == TRAVEL_GRAPHQL_NODE_TOTAL) {
            cost = values_sum(cost, 10);

        } else if (node->field != NULL) {
            cost = values_sum(cost, node->field->cost);
        }
    }

    *ret_cost = cost;
    return TRAVEL_OK;
}


int
travel_graphql_cost(const travel_graphql_plan_t *plan,
    const travel_graphql_variables_t *variables, uint64_t *ret_cost,
    travel_graphql_error_t *ret_error)
{
    if (plan->priced) {
        *ret_cost = plan->cost;
        return TRAVEL_OK;
    }

    return values_cost(plan, plan->roots, variables, ret_cost, ret_error);
}
