/* A request's variables: are they of the types that its operation declares
 * (section 6.1.2, input coercion of section 3)? */

#ifndef TRAVEL_GRAPHQL_COERCE_H
#define TRAVEL_GRAPHQL_COERCE_H

#include "schema.h"
#include "../json.h"

/* A member of a JSON document, or none. */
typedef struct {
    const travel_json_t  *json;
    uint32_t              object;     /* index of {"name": value} */
    bool                  present;
} travel_graphql_variables_t;

/*
 * Of an operation that is valid.  Each mistake names the variable, the path in
 * it and what is expected; its place is the variable's definition.  TRAVEL_OK;
 * TRAVEL_INVALID: see the report; TRAVEL_ERROR: out of memory.
 */
int travel_graphql_coerce(const travel_graphql_schema_t *schema,
    const travel_graphql_ast_t *operation,
    const travel_graphql_variables_t *variables,
    travel_graphql_report_t *report) TRAVEL_MUST_CHECK;

#endif
