/*
 * Regular expressions in time linear in the text: the ECMA-262 dialect with
 * the 'u' flag, less what a finite automaton cannot do (back-references,
 * look-around), which is refused at compile.
 *
 * A compiled pattern is immutable and may be shared; a search that needs
 * memory takes it from the caller's scratch, which is used again.
 */

#ifndef TRAVEL_PATTERN_H
#define TRAVEL_PATTERN_H

#include "travel.h"

#define TRAVEL_PATTERN_REPEAT_MAX   1000     /* {n,m} */
#define TRAVEL_PATTERN_NESTING_MAX  64       /* groups */
#define TRAVEL_PATTERN_STEPS_MAX    10000    /* instructions once expanded */

typedef struct travel_pattern_s  travel_pattern_t;

typedef struct {
    void    *data;
    size_t   size;
} travel_pattern_scratch_t;          /* start as { NULL, 0 } */

/* TRAVEL_OK; TRAVEL_INVALID with *ret_why a static sentence and *ret_at the
 * byte offset in 'text' it is about; TRAVEL_ERROR out of memory.  'text' is
 * well-formed UTF-8 and is not kept. */
int travel_pattern_compile(travel_pattern_t **ret_pattern, travel_str_t text,
    const char **ret_why, size_t *ret_at) TRAVEL_MUST_CHECK;
void travel_pattern_free(travel_pattern_t *pattern);

/* Is it a regular expression by ECMA-262, whether or not we would run it? */
bool travel_pattern_valid(travel_str_t text);

/* Does it match anywhere in 's' (well-formed UTF-8)?  TRAVEL_OK it does,
 * TRAVEL_REFUSED it does not, TRAVEL_ERROR out of memory. */
int travel_pattern_search(const travel_pattern_t *pattern, travel_str_t s,
    travel_pattern_scratch_t *scratch) TRAVEL_MUST_CHECK;
void travel_pattern_scratch_free(travel_pattern_scratch_t *scratch);

#endif
