/*
 * A sliding window: at most 'quota' events in any 'span' of time.
 *
 * Events are kept as marks: how many there were, and when the last of them
 * was.  With a quota of up to TRAVEL_WINDOW_MARKS every event has a mark of
 * its own and the window is exact.  With a larger one, events of one grain
 * (span / 22) share a mark, and then
 *
 *   - never are more than 'quota' events admitted in any interval of 'span'
 *     that is open at one end;
 *   - an event counts for at least 'span' and for less than 'span' + grain
 *     (4.6 % longer); a burst, whose events lie within a millisecond, counts
 *     for exactly 'span'.
 *
 * An event may weigh more than one (a request's cost): it is as many events at
 * once.  A charge that comes afterwards need not fit: the sum may exceed the
 * quota, and nothing is admitted until what is over has left the window.
 *
 * A window of a calendar day is a count and the number of its day; it has no
 * marks, and is asked by the functions at the end.
 *
 * Time is in milliseconds and may wrap; the caller's clock must not go back
 * between two calls for one window, nor may 2^31 ms pass: older windows are
 * to be cleared.  Nothing here takes memory or longer than one pass over the
 * marks.  A window of zero bytes is an empty one.
 */

#ifndef TRAVEL_WINDOW_H
#define TRAVEL_WINDOW_H

#include "travel.h"

#define TRAVEL_WINDOW_MARKS      24
#define TRAVEL_WINDOW_SPAN_MAX   86400000u       /* a day */
#define TRAVEL_WINDOW_QUOTA_MAX  1000000000u
#define TRAVEL_WINDOW_SUM_MAX    4000000000u     /* debts end there */
#define TRAVEL_WINDOW_NEVER      UINT32_MAX      /* more than the quota */

typedef struct {
    uint32_t  quota;          /* 1 .. QUOTA_MAX */
    uint32_t  span;           /* ms, 1 .. SPAN_MAX */
    uint32_t  grain;          /* ms, 0: exact */
} travel_window_rule_t;

typedef struct {
    uint32_t  at;             /* of its last event */
    uint32_t  n;              /* events */
} travel_window_mark_t;

typedef struct {
    uint16_t              oldest;      /* index into marks */
    uint16_t              live;        /* marks in use from there on */
    uint32_t              sum;         /* events in them */
    uint32_t              opened;      /* when the newest mark was opened */
    travel_window_mark_t  marks[TRAVEL_WINDOW_MARKS];
} travel_window_t;

travel_window_rule_t travel_window_rule(uint32_t quota, uint32_t span);

/* Forgets what is older than 'span'; to be called before the others below. */
void travel_window_advance(travel_window_t *w, const travel_window_rule_t *rule,
    uint32_t now);

/* How many events would be admitted now. */
uint32_t travel_window_room(const travel_window_t *w,
    const travel_window_rule_t *rule);

/* Milliseconds until 'n' events at once would be admitted if none comes in
 * between; TRAVEL_WINDOW_NEVER when n is more than the quota. */
uint32_t travel_window_wait(const travel_window_t *w,
    const travel_window_rule_t *rule, uint32_t n, uint32_t now);

/* Milliseconds until there is more room than now; 0 when it is empty. */
uint32_t travel_window_more(const travel_window_t *w,
    const travel_window_rule_t *rule, uint32_t now);

/* Counts 'n' events, 1 or more; returns their mark, for undo. */
unsigned travel_window_take(travel_window_t *w,
    const travel_window_rule_t *rule, uint32_t n, uint32_t now);

/* Takes 'n' events back that were counted at 'taken' under 'mark'. */
void travel_window_undo(travel_window_t *w, const travel_window_rule_t *rule,
    uint32_t n, unsigned mark, uint32_t taken, uint32_t now);


/*
 * The same for a calendar day, numbered from 1970; room is as above.  A number
 * lower than one seen before changes nothing: who travels west does not get
 * the same day twice.
 */
void travel_window_turn(travel_window_t *w, uint32_t day);

/* 'left': ms of the day 'day' that are left. */
uint32_t travel_window_day_wait(const travel_window_t *w,
    const travel_window_rule_t *rule, uint32_t n, uint32_t day, uint32_t left);

void travel_window_day_take(travel_window_t *w, uint32_t n);
void travel_window_day_undo(travel_window_t *w, uint32_t n, uint32_t day);

#endif
