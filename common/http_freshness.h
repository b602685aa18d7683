/*
 * The rules of an HTTP cache (RFC 9111), without the cache: may this answer be
 * stored, how long is it fresh, how old is it, may it be served now
 * (RFC 5861 included).  Times are unix; ages and lifetimes are seconds.
 */

#ifndef TRAVEL_HTTP_FRESHNESS_H
#define TRAVEL_HTTP_FRESHNESS_H

#include "cache_control.h"

/* What the operator says. */
typedef struct {
    bool       shared;          /* a shared cache; else one caller's own */
    uint32_t   fallback;        /* lifetime where the answer names none; 0 */
    uint32_t   heuristic_max;   /* most that Last-Modified may lead to; 0: no
                                   heuristics */
    uint32_t   stale;           /* both windows of RFC 5861, where the answer
                                   names none; 0 */
} travel_http_policy_t;

/* What an answer says.  Times are seconds; 0 where absent or unreadable. */
typedef struct {
    uint32_t                status;
    travel_cache_control_t  cc;            /* of the field that decides */
    bool                    targeted;      /* ... a targeted one */
    bool                    has_expires;   /* readable or not */
    bool                    has_etag;
    bool                    vary_any;      /* Vary: * */
    bool                    credentials;   /* the request had some */
    bool                    credentials_ours;  /* judged here, and the cache
                                   is theirs: Authorization alone is no bar */
    int64_t                 date;
    int64_t                 expires;
    int64_t                 last_modified;
    uint32_t                age;           /* the Age field; 0 */
    int64_t                 asked_ms;      /* the request went out */
    int64_t                 came_ms;       /* the header came in */
} travel_http_facts_t;

/* What of it must be kept to judge it later. */
#define TRAVEL_HTTP_NEVER_STALE     0x01   /* must-revalidate and its like */
#define TRAVEL_HTTP_ALWAYS_ASK      0x02   /* no-cache */
#define TRAVEL_HTTP_VALIDATOR       0x04
#define TRAVEL_HTTP_OPEN            0x08   /* public or s-maxage: for all */

typedef struct {
    int64_t    came_ms;
    uint32_t   initial_age;
    uint32_t   lifetime;
    uint32_t   swr;             /* windows after the lifetime */
    uint32_t   sie;
    uint32_t   flags;
} travel_http_freshness_t;

/* NULL: it may be stored; else why not, in a word or two for the operator.
 * RFC 9111 section 3. */
const char *travel_http_storable(const travel_http_facts_t *answer,
    const travel_http_policy_t *policy);

/* For an answer that may be stored; sections 4.2.1 to 4.2.3. */
void travel_http_assess(travel_http_freshness_t *ret_f,
    const travel_http_facts_t *answer, const travel_http_policy_t *policy);

/* How long, in seconds from came_ms, it is of any use; 0: of none.  A
 * validator makes it useful for a day longer. */
uint32_t travel_http_retention(const travel_http_freshness_t *f);

/* Current age; section 4.2.3. */
uint32_t travel_http_age(const travel_http_freshness_t *f, int64_t now_ms);

typedef enum {
    TRAVEL_HTTP_SERVE,          /* fresh */
    TRAVEL_HTTP_SERVE_STALE,    /* the client takes it stale (max-stale) */
    TRAVEL_HTTP_SERVE_REFRESH,  /* stale, to be refreshed behind: RFC 5861 */
    TRAVEL_HTTP_ASK_STALE,      /* ask the origin: it is stale */
    TRAVEL_HTTP_ASK_REQUEST     /* ask the origin: the client wants that */
} travel_http_verdict_e;

travel_http_verdict_e travel_http_judge(const travel_http_freshness_t *f,
    const travel_cache_control_t *request, int64_t now_ms);

/* May it stand in for a 500, 502, 503 or 504?  RFC 5861 section 4. */
bool travel_http_stands_in(const travel_http_freshness_t *f,
    const travel_cache_control_t *request, int64_t now_ms);

/* Status codes whose answers RFC 9110 section 15.1 lets be cached without
 * being told to, but 206, which is not stored here. */
bool travel_http_status_heuristic(uint32_t status);

#endif
