/*
 * Cache directives of requests and answers: Cache-Control (RFC 9111 section
 * 5.2, RFC 5861), read as leniently as it is written, and the targeted fields
 * (RFC 9213), which are strict structured Dictionaries.
 *
 * A qualified no-cache="field" or private="field" counts as unqualified, as
 * RFC 9111 allows.  Unknown directives are passed over.
 */

#ifndef TRAVEL_CACHE_CONTROL_H
#define TRAVEL_CACHE_CONTROL_H

#include "travel.h"

#define TRAVEL_CC_MAX_AGE            0x0001
#define TRAVEL_CC_S_MAXAGE           0x0002
#define TRAVEL_CC_MIN_FRESH          0x0004
#define TRAVEL_CC_MAX_STALE          0x0008
#define TRAVEL_CC_SWR                0x0010     /* stale-while-revalidate */
#define TRAVEL_CC_SIE                0x0020     /* stale-if-error */
#define TRAVEL_CC_NO_CACHE           0x0040
#define TRAVEL_CC_NO_STORE           0x0080
#define TRAVEL_CC_PRIVATE            0x0100
#define TRAVEL_CC_PUBLIC             0x0200
#define TRAVEL_CC_MUST_REVALIDATE    0x0400
#define TRAVEL_CC_PROXY_REVALIDATE   0x0800
#define TRAVEL_CC_MUST_UNDERSTAND    0x1000
#define TRAVEL_CC_ONLY_IF_CACHED     0x2000
#define TRAVEL_CC_ANY                0x4000     /* a field was there */
#define TRAVEL_CC_NO_TRANSFORM       0x8000

#define TRAVEL_DELTA_SECONDS_MAX     0x80000000u

/* Seconds count only where their bit is in 'set'. */
typedef struct {
    uint32_t   set;
    uint32_t   max_age;
    uint32_t   s_maxage;
    uint32_t   min_fresh;
    uint32_t   max_stale;       /* without a value: TRAVEL_DELTA_SECONDS_MAX */
    uint32_t   swr;
    uint32_t   sie;
} travel_cache_control_t;

/* Adds one line of Cache-Control.  The first of a directive that comes twice
 * counts; max-age and s-maxage that are no number are 0 (stale), others that
 * are none are passed over. */
void travel_cache_control_parse(travel_cache_control_t *cc, travel_str_t line);

/* A targeted field, its lines joined with commas.  TRAVEL_OK, or
 * TRAVEL_INVALID: malformed or empty, so it counts as absent. */
int travel_cache_control_targeted(travel_cache_control_t *ret_cc,
    travel_str_t field) TRAVEL_MUST_CHECK;

/* Digits only; what does not fit is 2^31 (RFC 9111 section 1.2.2). */
int travel_delta_seconds(uint32_t *ret_v, travel_str_t text) TRAVEL_MUST_CHECK;

#endif
