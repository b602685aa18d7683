/*
 * How a queue is laid out in partitions, as travel:layout has it: "6", or after
 * a repartitioning "6@4<4@0": six partitions, numbers 4 to 9, which took the
 * place of four, numbers 0 to 3.
 *
 * A repartitioning takes numbers that are not in use, so that ids, hashes and
 * Idempotency-Keys of before stay where they are, and what is queued there is
 * done there (workers/queue/before.c).  Of the ranges before, the last is
 * known; a text names two at most.
 */

#ifndef TRAVEL_LAYOUT_H
#define TRAVEL_LAYOUT_H

#include "ids.h"
#include "queues.h"

#define TRAVEL_LAYOUT_TEXT_MAX  24

typedef struct {
    unsigned  n;                /* partitions; 0: there is no such range */
    unsigned  base;             /* the number of the first */
} travel_range_t;

typedef struct {
    travel_range_t  now;
    travel_range_t  was;
} travel_layout_t;

/* Of a queue that travel:layout does not name; an initializer. */
#define TRAVEL_LAYOUT_DEFAULT  { { TRAVEL_PARTITIONS_DEFAULT, 0 }, { 0, 0 } }

/* TRAVEL_OK or TRAVEL_INVALID: each range has a partition at least, and numbers
 * below TRAVEL_PARTITIONS_MAX; the two have none in common. */
int travel_layout_parse(travel_layout_t *ret_layout, travel_str_t text)
    TRAVEL_MUST_CHECK;
/* The length; NUL-terminated. */
size_t travel_layout_format(char dst[TRAVEL_LAYOUT_TEXT_MAX],
    const travel_layout_t *layout);

/* "4@0", a range alone.  Likewise. */
int travel_range_parse(travel_range_t *ret_range, travel_str_t text)
    TRAVEL_MUST_CHECK;
size_t travel_range_format(char dst[TRAVEL_LAYOUT_TEXT_MAX],
    const travel_range_t *range);

/* The partition of a bucket. */
unsigned travel_range_place(const travel_range_t *range, unsigned bucket);

/* All numbers that this layout knows of are below. */
unsigned travel_layout_top(const travel_layout_t *layout);

/* The layout with 'n' partitions that follows: the numbers behind those in use,
 * or from 0 on when there is no room.  TRAVEL_REFUSED: nor there. */
int travel_layout_next(travel_layout_t *ret_layout,
    const travel_layout_t *layout, unsigned n) TRAVEL_MUST_CHECK;

#endif
