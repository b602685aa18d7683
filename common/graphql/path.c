/* Paths and errors of answers.  See path.h. */

#include "path.h"
#include "steps.h"
#include "../errors.h"

typedef travel_graphql_step_t  step_t;


static void
path_write(travel_graphql_text_t *out, const step_t *step)
{
    size_t         n = 0;
    const step_t  *steps[TRAVEL_GRAPHQL_PATH_MAX];

    for ( /* void */ ; step != NULL && n < TRAVEL_GRAPHQL_PATH_MAX;
         step = step->up)
    {
        steps[n++] = step;
    }

    while (n-- > 0) {

        if (steps[n]->key.data != NULL) {
            travel_graphql_text_string(out, steps[n]->key);
        } else {
            travel_graphql_text_printf(out, "%u", steps[n]->index);
        }

        travel_graphql_text_puts(out, n > 0 ? "," : "");
    }
}


/* "<what> Type.field[ as <as>]."; no more than are told. */
static void
path_error(travel_graphql_text_t *errors, unsigned *n,
    const travel_graphql_node_t *node, const step_t *at, int code,
    const char *what, travel_str_t as)
{
    if ((*n)++ >= TRAVEL_GRAPHQL_ERRORS_MAX) {
        return;
    }

    travel_graphql_text_printf(errors, "%s{\"message\":\"%s %.*s.%.*s%s%.*s.\","
                               "\"locations\":[{\"line\":%u,\"column\":%u}],"
                               "\"path\":[", errors->len > 0 ? "," : "", what,
                               S_(node->type), S_(node->field->name),
                               as.len > 0 ? " as " : "", S_(as), node->line,
                               node->column);
    path_write(errors, at);
    travel_graphql_text_printf(errors, "],\"extensions\":{\"code\":\"%s\"}}",
                               travel_error_code(code));
}


void
travel_graphql_null_error(travel_graphql_text_t *errors, unsigned *n,
    const travel_graphql_node_t *node, const step_t *at)
{
    path_error(errors, n, node, at, TRAVEL_E_INTERNAL_ERROR,
               "Cannot return null for non-nullable field", TRAVEL_STR(""));
}


void
travel_graphql_withheld_error(travel_graphql_text_t *errors, unsigned *n,
    const travel_graphql_node_t *node, const step_t *at)
{
    path_error(errors, n, node, at, node->withheld,
               node->withheld == TRAVEL_E_AUTHORIZATION_ERROR
               ? "The permission is missing for"
               : node->withheld == TRAVEL_E_VALIDATION_ERROR
               ? "A value is not one that can be taken for"
               : "The database could not answer", TRAVEL_STR(""));
}


void
travel_graphql_leaf_error(travel_graphql_text_t *errors, unsigned *n,
    const travel_graphql_node_t *node, const step_t *at)
{
    path_error(errors, n, node, at, TRAVEL_E_INTERNAL_ERROR,
               "Cannot represent the value of", node->field->base);
}
