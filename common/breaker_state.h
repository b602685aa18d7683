/*
 * What worker processes tell of their circuit breakers, for the edge to read:
 * the hash travel:breakers on the queue Redis, a field per process and
 * destination.
 *
 *     "<destination> <seat>"  ->  "<state> <until> <at>"
 *
 * state: closed, half-open, open; until (unix ms): an open one lets nothing
 * through before it; at: when this was said.
 */

#ifndef TRAVEL_BREAKER_STATE_H
#define TRAVEL_BREAKER_STATE_H

#include "travel.h"

#define TRAVEL_KEY_BREAKERS      "travel:breakers"
#define TRAVEL_BREAKER_NAME_MAX  48
#define TRAVEL_BREAKER_TEXT_MAX  80
#define TRAVEL_BREAKER_AGE_MS    15000      /* what is older says nothing */

typedef enum {
    TRAVEL_BREAKER_CLOSED,
    TRAVEL_BREAKER_OPEN,
    TRAVEL_BREAKER_HALF_OPEN
} travel_breaker_state_e;

typedef struct {
    travel_str_t            destination;    /* view into the field */
    travel_breaker_state_e  state;
    uint64_t                until_ms;
    uint64_t                at_ms;
} travel_breaker_entry_t;

/* TRAVEL_OK, or TRAVEL_INVALID. */
int travel_breaker_parse(travel_breaker_entry_t *ret_entry,
    travel_str_t field, travel_str_t value) TRAVEL_MUST_CHECK;

/* NUL-terminated; its length. */
size_t travel_breaker_format(char dst[TRAVEL_BREAKER_TEXT_MAX],
    travel_breaker_state_e state, uint64_t until_ms, uint64_t at_ms);

const char *travel_breaker_name(travel_breaker_state_e state);

/* All processes' words about one destination. */
typedef struct {
    unsigned  told;             /* processes that said something of late */
    unsigned  open;             /* of these */
    unsigned  half_open;
    uint64_t  until_ms;         /* the first of the open ones to try again */
} travel_breaker_sum_t;         /* all zero: nobody said anything */

void travel_breaker_add(travel_breaker_sum_t *sum,
    const travel_breaker_entry_t *entry, uint64_t now_ms);

/* OPEN when all that said something are open and none will try again before
 * *ret_wait_ms; HALF_OPEN when some are, or one is about to try. */
travel_breaker_state_e travel_breaker_sum(const travel_breaker_sum_t *sum,
    uint64_t now_ms, uint64_t *ret_wait_ms);

#endif
