/*
 * One document for each thing that an SDL says of a database, so that one can
 * be asked whether it has them: every field of every type, with all of its
 * arguments, once for each order there is.
 */

#ifndef TRAVEL_GRAPHQL_SURVEY_H
#define TRAVEL_GRAPHQL_SURVEY_H

#include "mapping.h"

/* The document asks for 'field', and for nothing else that was not taken
 * before.  TRAVEL_OK; TRAVEL_REFUSED: the database has not what it takes, and
 * what is behind the field is not asked for that way; others end the survey. */
typedef int (*travel_graphql_survey_pt)(void *data,
    const travel_graphql_map_field_t *field, travel_str_t document);

/* TRAVEL_OK, TRAVEL_ERROR, or what 'ask' has ended it by. */
int travel_graphql_survey(const travel_graphql_mapping_t *mapping,
    travel_graphql_survey_pt ask, void *data) TRAVEL_MUST_CHECK;

#endif
