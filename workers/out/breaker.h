/*
 * A circuit breaker for one destination: closed, open, half-open.
 *
 * So many failures in a row open it (five); after a while (60 s) one probe at a
 * time is let through; so many successful probes in a row close it (two), a
 * failed one opens it again for as long.  Answers to calls that were let
 * through before the last change of state say nothing about the present and
 * are not counted.
 *
 * Not locked: the I/O thread alone asks and reports.
 */

#ifndef WORKER_BREAKER_H
#define WORKER_BREAKER_H

#include "../../common/travel.h"

#define WORKER_BREAKER_FAILURES    5
#define WORKER_BREAKER_OPEN_MS     60000
#define WORKER_BREAKER_SUCCESSES   2

typedef enum {
    WORKER_BREAKER_CLOSED,
    WORKER_BREAKER_OPEN,
    WORKER_BREAKER_HALF_OPEN
} worker_breaker_state_e;

typedef struct {
    worker_breaker_state_e  state;
    unsigned                failures;     /* in a row, while closed */
    unsigned                successes;    /* in a row, while half-open */
    bool                    probing;      /* half-open: a probe is under way */
    uint64_t                until_ms;     /* open until then */
    unsigned                generation;   /* raised by each change of state */

    unsigned                max_failures; /* 0: the default, so below */
    unsigned                min_successes;
    uint64_t                open_ms;
} worker_breaker_t;                       /* all zero: closed */

/* May a call go out at 'now_ms' (monotonic)?  When so, *ret_pass is to be
 * given back with its outcome; when not, *ret_wait_ms says how long. */
bool worker_breaker_ask(worker_breaker_t *b, uint64_t now_ms,
    unsigned *ret_pass, uint64_t *ret_wait_ms);

/* The outcome of a call that was let through; true: the state changed. */
bool worker_breaker_report(worker_breaker_t *b, unsigned pass, bool good,
    uint64_t now_ms);

/* It was called off and has no outcome. */
void worker_breaker_forget(worker_breaker_t *b, unsigned pass);

#endif
