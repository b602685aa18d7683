/*
 * Vary (RFC 9110 section 12.5.5): which request fields choose the answer, and
 * their values in a form in which what means the same is the same
 * (RFC 9111 section 4.1).
 */

#ifndef TRAVEL_HTTP_VARY_H
#define TRAVEL_HTTP_VARY_H

#include "travel.h"

#define TRAVEL_VARY_NAMES_MAX  16
#define TRAVEL_VARY_SIZE       512      /* of all names, with commas */

typedef struct {
    travel_str_t   names[TRAVEL_VARY_NAMES_MAX];    /* lower case, sorted */
    size_t         n;
    bool           any;         /* "*", or more than fits: never matches */
    size_t         used;
    char           text[TRAVEL_VARY_SIZE];
} travel_vary_t;

/* Starts with {0}; adds the names of one line.  The names point into 'text':
 * the structure must not move. */
void travel_vary_add(travel_vary_t *vary, travel_str_t line);

/*
 * The value of a request field whose lines are 'lines': joined with commas,
 * blanks around them gone, empty members too.  Accept, Accept-Charset,
 * Accept-Encoding and Accept-Language are in lower case and their members
 * sorted: case and order mean nothing there.  'dst' holds the sum of the lines
 * and one more byte per line; returns what was used.
 */
size_t travel_vary_value(char *dst, travel_str_t name,
    const travel_str_t *lines, size_t n);

#endif
