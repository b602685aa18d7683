/*
 * A message, projected onto what a subscription selects (GraphQL October 2021
 * section 6.2.3.2): no server is asked for anything.
 *
 * Each field is found in the message, or in the object of the field around it,
 * by its path (mapping.h); the root's is the message itself.  A value that is
 * not there, or is of another type, is null; a null where there may be none
 * makes its parent null (section 6.4.4), with an error that has the path.
 */

#ifndef TRAVEL_GRAPHQL_PROJECT_H
#define TRAVEL_GRAPHQL_PROJECT_H

#include "plan.h"
#include "text.h"

/* Appends "data":{...}, and "errors":[...] when there are any; 'message' is an
 * object.  Out of memory: out->failed. */
void travel_graphql_project(const travel_graphql_plan_t *plan,
    const travel_json_t *message, travel_graphql_text_t *out);

/* The topic that the subscription's root means with these variables and this
 * viewer (a user's id, or empty), and the query by which is asked whether the
 * caller may (empty: nothing is asked).  TRAVEL_OK; TRAVEL_INVALID: a value
 * that cannot stand there, no viewer where one must; TRAVEL_ERROR. */
int travel_graphql_topic(const travel_graphql_plan_t *plan,
    const travel_graphql_variables_t *variables, travel_str_t viewer,
    travel_graphql_text_t *topic, travel_graphql_text_t *check)
    TRAVEL_MUST_CHECK;

/* Has the operation the directive @live? */
bool travel_graphql_live(const travel_graphql_plan_t *plan);

#endif
