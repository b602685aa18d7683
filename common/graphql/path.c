/* Paths and errors of answers.  See path.h. */

#include "path.h"
#include "steps.h"

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


void
travel_graphql_null_error(travel_graphql_text_t *errors, unsigned *n,
    const travel_graphql_node_t *node, const step_t *at)
{
    if ((*n)++ >= TRAVEL_GRAPHQL_ERRORS_MAX) {
        return;
    }

    travel_graphql_text_printf(errors, "%s{\"message\":\"Cannot return null "
                               "for non-nullable field %.*s.%.*s.\","
                               "\"locations\":[{\"line\":%u,\"column\":%u}],"
                               "\"path\":[", errors->len > 0 ? "," : "",
                               S_(node->type), S_(node->field->name),
                               node->line, node->column);
    path_write(errors, at);
    travel_graphql_text_puts(errors, "],\"extensions\":{\"code\":"
                             "\"INTERNAL_ERROR\"}}");
}
