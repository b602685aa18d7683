/*
 * A database's answer, made what the language promises (GraphQL October 2021,
 * sections 6.4.3 and 6.4.4): a value that is none of its leaf's type is null; a
 * null where there may be none makes its parent null, and so on up to where
 * there may be one; each with an error that has the path.  A field that was
 * left out (part.h) is null, and that is told, too.
 *
 * PostgreSQL has written the JSON by the same plan, so its members come in the
 * plan's order, and are read in one pass, without a tree.  An object of an
 * interface or a union begins with the member "": the number of its type among
 * those that there are (plan.h), which is taken out.
 */

#ifndef TRAVEL_GRAPHQL_COMPLETE_H
#define TRAVEL_GRAPHQL_COMPLETE_H

#include "plan.h"
#include "text.h"

/*
 * 'data' is the object that 'nodes' (with 'only': the first of them) select;
 * 'above' is the field it is the value of, NULL: it is the answer's data.
 * Appends it to 'out', or null if it must be, and nothing when all of it can go
 * out as it is; and to 'errors' what is to be told, separated by commas: of
 * fields left out also when the data can go out as it is.
 * TRAVEL_OK; TRAVEL_INVALID: it is nothing that such a plan's statement could
 * say; TRAVEL_ERROR: out of memory.
 */
int travel_graphql_complete(const travel_graphql_node_t *nodes, bool only,
    const travel_graphql_node_t *above, travel_str_t data,
    travel_graphql_text_t *out, travel_graphql_text_t *errors)
    TRAVEL_MUST_CHECK;

#endif
