/*
 * What the rules of documents and of schemas share: directives, arguments,
 * literals.  Only those files include it.
 *
 * A check's memory and time are bounded: what is more than linear in the
 * document counts 'work', and stops when there was too much of it.
 */

#ifndef TRAVEL_GRAPHQL_CHECK_H
#define TRAVEL_GRAPHQL_CHECK_H

#include "arena.h"
#include "names.h"
#include "schema.h"
#include "steps.h"

/* A variable where a value is expected. */
typedef struct {
    const travel_graphql_ast_t   *variable;
    const travel_graphql_ast_t   *type;      /* expected; NULL: not known */
    const travel_graphql_type_t  *one_of;    /* the input object it is in */
    bool                          fallback;  /* the place has a default */
} travel_graphql_usage_t;

/* A list or an input object that is being looked through. */
typedef struct {
    const travel_graphql_ast_t   *at;        /* the next of it */
    const travel_graphql_ast_t   *type;      /* of items */
    const travel_graphql_type_t  *input;     /* of members, or of items where
                                                no list should be; or NULL */
    bool                          members;
    bool                          quiet;     /* wrong as a whole, and said */
} travel_graphql_frame_t;

typedef struct {
    const travel_graphql_schema_t  *schema;
    travel_graphql_report_t        *report;
    travel_graphql_arena_t          arena;
    travel_graphql_names_t          names;   /* of the document */
    uint64_t                        work;
    uint64_t                        max;
    bool                            untyped; /* the members of types are not
                                                known yet: literals are looked
                                                at as such */
    travel_graphql_frame_t         *frames;  /* free()d, as the next */
    size_t                          frames_room;
    travel_graphql_usage_t         *usages;  /* in the order of the text */
    size_t                          nusages;
    size_t                          usages_room;
} travel_graphql_check_t;

int travel_graphql_check_init(travel_graphql_check_t *c,
    const travel_graphql_schema_t *schema, travel_graphql_report_t *report,
    uint64_t max) TRAVEL_MUST_CHECK;
void travel_graphql_check_fini(travel_graphql_check_t *c);

/* False: that was too much work; the report says so. */
bool travel_graphql_check_work(travel_graphql_check_t *c, uint64_t more);

/* One mistake for each name that is there more than once, with all places. */
int travel_graphql_check_unique(travel_graphql_check_t *c,
    const travel_graphql_ast_t *list, const void *scope, const char *what)
    TRAVEL_MUST_CHECK;
/* The arguments of a FIELD or DIRECTIVE; 'def' NULL: not known; 'sigil' is
 * before its name in sentences, "" or "@". */
int travel_graphql_check_arguments(travel_graphql_check_t *c,
    const travel_graphql_ast_t *owner, const travel_graphql_ast_t *def,
    const char *sigil) TRAVEL_MUST_CHECK;
/* Directives where they stand.  'scope' NULL: nothing else is that place. */
int travel_graphql_check_directives(travel_graphql_check_t *c,
    const travel_graphql_ast_t *list, travel_graphql_location_e location,
    const void *scope) TRAVEL_MUST_CHECK;
/* A literal; 'type' NULL: nothing is known of it, but the variables in it
 * count. */
int travel_graphql_check_value(travel_graphql_check_t *c,
    const travel_graphql_ast_t *value, const travel_graphql_ast_t *type,
    bool fallback) TRAVEL_MUST_CHECK;

#endif
