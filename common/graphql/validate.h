/*
 * Is a document one that can be executed (section 5)?  Every rule of the
 * October 2021 edition, and what the 2025 one added to executable documents.
 *
 * All mistakes are found, not the first: the report has a bound, and says when
 * it was met.  Nothing recurses.  What grows faster than the document (fields
 * that may meet, fragments within operations) counts work, and a document that
 * is too much of it is a mistake by itself, with report->exhausted.
 */

#ifndef TRAVEL_GRAPHQL_VALIDATE_H
#define TRAVEL_GRAPHQL_VALIDATE_H

#include "schema.h"

#define TRAVEL_GRAPHQL_WORK  100000       /* what a request may cost: some
                                             10 ms, where 3 us are usual */

/*
 * Leaves in the document what each FIELD is ('def') and what is selected from
 * ('of').  TRAVEL_OK; TRAVEL_INVALID: see the report; TRAVEL_ERROR: out of
 * memory.
 */
int travel_graphql_validate(const travel_graphql_schema_t *schema,
    travel_graphql_document_t *document, uint64_t work,
    travel_graphql_report_t *report) TRAVEL_MUST_CHECK;

#endif
