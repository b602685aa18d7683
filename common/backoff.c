/* Exponential backoff with full jitter. */

#include "backoff.h"


uint64_t
travel_backoff_ms(unsigned attempt, uint64_t base_ms, uint64_t cap_ms,
    uint64_t floor_ms, uint32_t rnd)
{
    uint64_t  top, jitter;

    /* base * 2^attempt, or the cap as soon as that is certain to exceed it */

    top = cap_ms;

    if (base_ms == 0) {
        top = 0;

    } else if (attempt < 64 && base_ms <= cap_ms >> attempt) {
        top = base_ms << attempt;
    }

    if (top < UINT64_MAX) {
        top++;
    }

    /* floor(top * rnd / 2^32): below top, so at most the bound itself */

    jitter = (top >> 32) * rnd + (((top & UINT32_MAX) * rnd) >> 32);

    return jitter > UINT64_MAX - floor_ms ? UINT64_MAX : floor_ms + jitter;
}
