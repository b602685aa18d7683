/* Text that grows: what the planner writes SQL into. */

#ifndef TRAVEL_GRAPHQL_TEXT_H
#define TRAVEL_GRAPHQL_TEXT_H

#include "../travel.h"

typedef struct {
    char    *data;        /* owned; NUL-terminated when not NULL */
    size_t   len;
    size_t   room;
    bool     failed;      /* out of memory, once: all later calls do nothing */
} travel_graphql_text_t;

void travel_graphql_text_free(travel_graphql_text_t *t);
void travel_graphql_text_add(travel_graphql_text_t *t, travel_str_t s);
void travel_graphql_text_puts(travel_graphql_text_t *t, const char *s);
void travel_graphql_text_printf(travel_graphql_text_t *t, const char *fmt, ...)
    TRAVEL_PRINTF(2, 3);
/* 'text' and "name", as SQL quotes them. */
void travel_graphql_text_literal(travel_graphql_text_t *t, travel_str_t s);
void travel_graphql_text_name(travel_graphql_text_t *t, travel_str_t s);
/* As JSON quotes it; 's' is UTF-8. */
void travel_graphql_text_string(travel_graphql_text_t *t, travel_str_t s);
/* An item of an array's text, quoted. */
void travel_graphql_text_item(travel_graphql_text_t *t, travel_str_t s);
void travel_graphql_text_join(travel_graphql_text_t *t,
    const travel_graphql_text_t *other);

#endif
