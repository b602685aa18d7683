/* What is wrong with a document: each mistake with its sentence and places. */

#ifndef TRAVEL_GRAPHQL_REPORT_H
#define TRAVEL_GRAPHQL_REPORT_H

#include "document.h"

#define TRAVEL_GRAPHQL_PLACES_MAX   8
#define TRAVEL_GRAPHQL_MESSAGE_MAX  240

typedef struct {
    uint32_t  line;
    uint32_t  column;
} travel_graphql_place_t;

typedef struct {
    size_t                  nplaces;      /* the first of them, if many */
    travel_graphql_place_t  places[TRAVEL_GRAPHQL_PLACES_MAX];
    char                    message[TRAVEL_GRAPHQL_MESSAGE_MAX];
} travel_graphql_mistake_t;

typedef struct {
    travel_graphql_mistake_t  *items;     /* owned */
    size_t                     n;
    size_t                     room;
    size_t                     max;
    bool                       more;      /* than 'max' there were */
    bool                       exhausted; /* a bound was met before the end:
                                             not all of it was looked at */
    bool                       failed;    /* out of memory */
} travel_graphql_report_t;

void travel_graphql_report_init(travel_graphql_report_t *report, size_t max);
void travel_graphql_report_free(travel_graphql_report_t *report);

/* Adds a mistake; NULL, which the next two take, when it is not kept. */
travel_graphql_mistake_t *travel_graphql_report(
    travel_graphql_report_t *report, const char *fmt, ...)
    TRAVEL_PRINTF(2, 3);
/* One more place: where a node begins, where its name does. */
void travel_graphql_report_at(travel_graphql_mistake_t *mistake,
    const travel_graphql_ast_t *node);
void travel_graphql_report_at_name(travel_graphql_mistake_t *mistake,
    const travel_graphql_ast_t *node);

/* As the text goes, by first places. */
void travel_graphql_report_sort(travel_graphql_report_t *report);

/* A name for "%.*s", cut where it would push the rest out of the sentence. */
#define N_(s)  (int) ((s).len > 60 ? 60 : (s).len), (s).data

#endif
