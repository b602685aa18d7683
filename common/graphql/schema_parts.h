/* What the schema's files share; nobody else includes it. */

#ifndef TRAVEL_GRAPHQL_SCHEMA_PARTS_H
#define TRAVEL_GRAPHQL_SCHEMA_PARTS_H

#include "arena.h"
#include "check.h"

struct travel_graphql_schema_s {
    travel_graphql_document_t    *sdl;
    travel_graphql_document_t    *meta;      /* of __typename and the like */
    travel_graphql_arena_t        arena;
    travel_graphql_names_t        names;     /* types in the scope 'schema',
                                                directives in &meta (the first
                                                member's address is the schema's
                                                own), members in
                                                their type, arguments in what
                                                has them, an abstract type's
                                                own in &type->possible */
    travel_graphql_type_t       **types;     /* free()d */
    size_t                        ntypes;
    size_t                        room;
    const travel_graphql_type_t  *roots[3];  /* by travel_graphql_op_e */
    bool                          declared;  /* there is a "schema" */
};

/* Section 3 of what is written: names, places of directives, extensions.
 * Mistakes go to the report; TRAVEL_OK, TRAVEL_ERROR. */
int travel_graphql_schema_rules(travel_graphql_check_t *c) TRAVEL_MUST_CHECK;
/* Section 3 of what it means, when names are all known. */
int travel_graphql_schema_types(travel_graphql_check_t *c) TRAVEL_MUST_CHECK;

/* The same of defaults that have no end. */
int travel_graphql_schema_defaults(travel_graphql_check_t *c)
    TRAVEL_MUST_CHECK;

/* What a DEF_* is to directives. */
travel_graphql_location_e travel_graphql_schema_location(
    const travel_graphql_ast_t *def);

#endif
