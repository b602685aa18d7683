/* A circuit breaker for one destination. */

#include "breaker.h"


static void
breaker_move(worker_breaker_t *b, worker_breaker_state_e state,
    uint64_t now_ms)
{
    b->state = state;
    b->generation++;
    b->failures = 0;
    b->successes = 0;
    b->probing = false;

    if (state == WORKER_BREAKER_OPEN) {
        b->until_ms = now_ms + (b->open_ms > 0 ? b->open_ms
                                               : WORKER_BREAKER_OPEN_MS);
    }
}


bool
worker_breaker_ask(worker_breaker_t *b, uint64_t now_ms, unsigned *ret_pass,
    uint64_t *ret_wait_ms)
{
    if (b->state == WORKER_BREAKER_OPEN && now_ms >= b->until_ms) {
        breaker_move(b, WORKER_BREAKER_HALF_OPEN, now_ms);
    }

    switch (b->state) {

    case WORKER_BREAKER_CLOSED:
        break;

    case WORKER_BREAKER_HALF_OPEN:
        if (b->probing) {
            *ret_wait_ms = 1000;
            return false;
        }

        b->probing = true;
        break;

    case WORKER_BREAKER_OPEN:
        *ret_wait_ms = b->until_ms - now_ms;
        return false;
    }

    *ret_pass = b->generation;
    return true;
}


bool
worker_breaker_report(worker_breaker_t *b, unsigned pass, bool good,
    uint64_t now_ms)
{
    if (pass != b->generation) {
        return false;
    }

    if (b->state == WORKER_BREAKER_HALF_OPEN) {
        b->probing = false;

        if (!good) {
            breaker_move(b, WORKER_BREAKER_OPEN, now_ms);
            return true;
        }

        if (++b->successes == (b->min_successes > 0
                               ? b->min_successes : WORKER_BREAKER_SUCCESSES))
        {
            breaker_move(b, WORKER_BREAKER_CLOSED, now_ms);
            return true;
        }

        return false;
    }

    if (good) {
        b->failures = 0;
        return false;
    }

    if (++b->failures == (b->max_failures > 0 ? b->max_failures
                                              : WORKER_BREAKER_FAILURES))
    {
        breaker_move(b, WORKER_BREAKER_OPEN, now_ms);
        return true;
    }

    return false;
}


void
worker_breaker_forget(worker_breaker_t *b, unsigned pass)
{
    if (pass == b->generation) {
        b->probing = false;
    }
}
