/* What a plan's values are in a request: variables, limits, the cost. */

#include "plan.h"
#include "text.h"
#include "../errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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


static uint32_t
values_index(const travel_graphql_variables_t *variables,
    const travel_json_node_t *node)
{
    return (uint32_t) (node - travel_json_nodes(variables->json));
}


/* --- one value ----------------------------------------------------------- */

static int values_number(const travel_json_node_t *node,
    travel_graphql_alloc_pt alloc, void *pool, travel_str_t *ret_text);


/* A list of scalars as PostgreSQL's array text. */
static int
values_array(const travel_graphql_variables_t *variables,
    const travel_json_node_t *list, travel_graphql_alloc_pt alloc, void *pool,
    travel_str_t *ret_text)
{
    char                      *dst;
    size_t                     n = 3;
    uint32_t                   at, k;
    travel_str_t               text;
    const travel_json_node_t  *nodes, *item;

    nodes = travel_json_nodes(variables->json);
    at = values_index(variables, list) + 1;

    for (k = 0; k < list->count; k++, at = nodes[at].next) {
        n += nodes[at].text.len * 2 + VALUES_INT;
    }

    dst = alloc(pool, n);
    if (dst == NULL) {
        return TRAVEL_ERROR;
    }

    n = 0;
    dst[n++] = '{';
    at = values_index(variables, list) + 1;

    for (k = 0; k < list->count; k++, at = nodes[at].next) {
        item = &nodes[at];

        if (k > 0) {
            dst[n++] = ',';
        }

        switch (item->type) {

        case TRAVEL_JSON_NULL:  text = TRAVEL_STR("NULL");  break;
        case TRAVEL_JSON_TRUE:  text = TRAVEL_STR("true");  break;
        case TRAVEL_JSON_FALSE: text = TRAVEL_STR("false"); break;

        case TRAVEL_JSON_STRING:
            n += travel_graphql_text_item(dst + n, item->text);
            continue;

        case TRAVEL_JSON_NUMBER:
            if (values_number(item, alloc, pool, &text) != TRAVEL_OK) {
                return TRAVEL_ERROR;
            }

            break;

        default:
            return TRAVEL_INVALID;
        }

        memcpy(dst + n, text.data, text.len);
        n += text.len;
    }

    dst[n++] = '}';
    *ret_text = (travel_str_t) { dst, n };
    return TRAVEL_OK;
}


/* A whole number that is written as 1.0 or 1e3: PostgreSQL's integers are not. */
static int
values_number(const travel_json_node_t *node, travel_graphql_alloc_pt alloc,
    void *pool, travel_str_t *ret_text)
{
    size_t   i;
    char    *dst;
    int64_t  v;

    *ret_text = node->text;

    for (i = 0; i < node->text.len; i++) {
        if (node->text.data[i] == '.' || (node->text.data[i] | 0x20) == 'e') {
            break;
        }
    }

    if (i == node->text.len || alloc == NULL
        || travel_json_int64(node, &v) != TRAVEL_OK)
    {
        return TRAVEL_OK;
    }

    dst = alloc(pool, VALUES_INT);
    if (dst == NULL) {
        return TRAVEL_ERROR;
    }

    *ret_text = (travel_str_t) {
        dst, (size_t) snprintf(dst, VALUES_INT, "%lld", (long long) v) };
    return TRAVEL_OK;
}


int
travel_graphql_value(const travel_graphql_plan_t *plan,
    const travel_graphql_value_t *value,
    const travel_graphql_variables_t *variables,
    travel_graphql_alloc_pt alloc, void *pool, travel_str_t *ret_text)
{
    size_t                     i;
    const ast_t               *def;
    const travel_json_node_t  *node;

    if (value->variable.len == 0) {
        *ret_text = value->text;
        return TRAVEL_OK;
    }

    *ret_text = TRAVEL_NULL_STR;
    node = variables->present
           ? travel_json_member(variables->json, variables->object,
                                value->variable)
           : NULL;

    if (node == NULL) {
        def = travel_graphql_find(plan->operation->variables, value->variable);

        if (def != NULL && def->value != NULL
            && def->value->kind != TRAVEL_GRAPHQL_NULL)
        {
            *ret_text = def->value->text;
        }

        return TRAVEL_OK;
    }

    for (i = 0; i < value->npath && node != NULL; i++) {
        node = node->type != TRAVEL_JSON_OBJECT ? NULL
               : travel_json_member(variables->json,
                                    values_index(variables, node),
                                    value->path[i]);
    }

    if (node == NULL) {
        return TRAVEL_OK;
    }

    switch (node->type) {

    case TRAVEL_JSON_NULL:
        return TRAVEL_OK;

    case TRAVEL_JSON_TRUE:
        *ret_text = TRAVEL_STR("true");
        return TRAVEL_OK;

    case TRAVEL_JSON_FALSE:
        *ret_text = TRAVEL_STR("false");
        return TRAVEL_OK;

    case TRAVEL_JSON_ARRAY:
        return values_array(variables, node, alloc, pool, ret_text);

    case TRAVEL_JSON_OBJECT:
        return TRAVEL_INVALID;

    case TRAVEL_JSON_NUMBER:
        return values_number(node, alloc, pool, ret_text);

    default:
        *ret_text = node->text;
        return TRAVEL_OK;
    }
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
    char                           buf[16], room[VALUES_INT], *end;
    long                           n;
    travel_str_t                   text;
    const travel_graphql_given_t  *given;

    *ret_limit = node->field->fallback;
    given = travel_graphql_node_given(node, TRAVEL_GRAPHQL_ARG_LIMIT);

    if (given == NULL || !given->given) {
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

    snprintf(buf, sizeof(buf), "%.*s", S_(text));
    n = strtol(buf, &end, 10);

    if (text.len == 0 || text.len > 10 || *end != '\0' || n < 0
        || n > (long) node->field->max)
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
    return values_cost(plan, plan->roots, variables, ret_cost, ret_error);
}
