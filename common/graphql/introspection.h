/* What a schema says of itself: __schema and __type, without a database. */

#ifndef TRAVEL_GRAPHQL_INTROSPECTION_H
#define TRAVEL_GRAPHQL_INTROSPECTION_H

#include "plan.h"
#include "text.h"

/* The value of a META node as JSON, appended; out->failed: out of memory. */
void travel_graphql_introspect(const travel_graphql_plan_t *plan,
    const travel_graphql_node_t *node,
    const travel_graphql_variables_t *variables, travel_graphql_text_t *out);

#endif
