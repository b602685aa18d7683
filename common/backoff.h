/* Exponential backoff, full jitter: uniform in [0, min(cap, base * 2^n)]. */

#ifndef TRAVEL_BACKOFF_H
#define TRAVEL_BACKOFF_H

#include "travel.h"

/* 'attempt' counts from 0; 'rnd' is a random 32-bit value.  Milliseconds; never
 * overflows; 'floor_ms' (a Retry-After, say) is added below the jitter. */
uint64_t travel_backoff_ms(unsigned attempt, uint64_t base_ms, uint64_t cap_ms,
    uint64_t floor_ms, uint32_t rnd);

#endif
