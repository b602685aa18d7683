/* The rules of an HTTP cache: storing, lifetime, age, verdict. */

#include "http_freshness.h"


#define HTTP_KEPT_FOR_VALIDATION  86400


bool
travel_http_status_heuristic(uint32_t status)
{
    switch (status) {

    case 200:
    case 203:
    case 204:
    case 300:
    case 301:
    case 308:
    case 404:
    case 405:
    case 410:
    case 414:
    case 501:
        return true;

    default:
        return false;
    }
}


/* What must-understand asks for: whose rules of caching are known here. */
static bool
understood(uint32_t status)
{
    return travel_http_status_heuristic(status) || status == 302
           || status == 303 || status == 307 || status == 421
           || status == 451;
}


/* A lifetime that the answer itself names. */
static bool
explicit_lifetime(const travel_http_facts_t *a, bool shared,
    uint32_t *ret_lifetime)
{
    int64_t  date;

    if (shared && (a->cc.set & TRAVEL_CC_S_MAXAGE)) {
        *ret_lifetime = a->cc.s_maxage;
        return true;
    }

    if (a->cc.set & TRAVEL_CC_MAX_AGE) {
        *ret_lifetime = a->cc.max_age;
        return true;
    }

    if (a->targeted || !a->has_expires) {
        return false;
    }

    date = a->date != 0 ? a->date : a->came_ms / 1000;

    if (a->expires <= date) {
        *ret_lifetime = 0;

    } else if (a->expires - date > TRAVEL_DELTA_SECONDS_MAX) {
        *ret_lifetime = TRAVEL_DELTA_SECONDS_MAX;

    } else {
        *ret_lifetime = (uint32_t) (a->expires - date);
    }

    return true;
}


/* A tenth of the time for which it has been as it is; or what the operator
 * gives.  Never for an answer that names a lifetime. */
static uint32_t
heuristic_lifetime(const travel_http_facts_t *a,
    const travel_http_policy_t *policy)
{
    int64_t  date, tenth;

    if (!travel_http_status_heuristic(a->status)
        && !(a->cc.set & TRAVEL_CC_PUBLIC))
    {
        return 0;
    }

    if (policy->fallback != 0 && a->status < 400) {
        return policy->fallback;
    }

    date = a->date != 0 ? a->date : a->came_ms / 1000;

    if (a->last_modified == 0 || a->last_modified >= date) {
        return 0;
    }

    tenth = (date - a->last_modified) / 10;

    return tenth > policy->heuristic_max ? policy->heuristic_max
                                         : (uint32_t) tenth;
}


const char *
travel_http_storable(const travel_http_facts_t *a,
    const travel_http_policy_t *policy)
{
    uint32_t                  set, lifetime;
    travel_http_freshness_t   f;

    set = a->cc.set;

    if (a->status < 200 || a->status == 206 || a->status == 304) {
        return "status";
    }

    if (set & TRAVEL_CC_MUST_UNDERSTAND) {
        if (!understood(a->status)) {
            return "must-understand";
        }

    } else if (set & TRAVEL_CC_NO_STORE) {
        return "no-store";
    }

    if (policy->shared && (set & TRAVEL_CC_PRIVATE)) {
        return "private";
    }

    if (a->vary_any) {
        return "vary";
    }

    if (a->credentials && !a->credentials_ours
        && !(set & (TRAVEL_CC_PUBLIC|TRAVEL_CC_S_MAXAGE
                    |TRAVEL_CC_MUST_REVALIDATE)))
    {
        return "authorization";
    }

    if (!explicit_lifetime(a, policy->shared, &lifetime)
        && !(set & TRAVEL_CC_PUBLIC)
        && !(!policy->shared && (set & TRAVEL_CC_PRIVATE))
        && !travel_http_status_heuristic(a->status))
    {
        return "status";
    }

    travel_http_assess(&f, a, policy);

    if (travel_http_retention(&f) == 0) {
        return (f.flags & TRAVEL_HTTP_ALWAYS_ASK) ? "no-cache" : "no-freshness";
    }

    return NULL;
}


static uint32_t
capped(int64_t seconds)
{
    if (seconds < 0) {
        return 0;
    }

    return seconds > TRAVEL_DELTA_SECONDS_MAX ? TRAVEL_DELTA_SECONDS_MAX
                                              : (uint32_t) seconds;
}


/* Section 4.2.3: what the clocks say, or what the Age field says and the way
 * here took, whichever is more. */
static uint32_t
initial_age(const travel_http_facts_t *a)
{
    int64_t  apparent, corrected;

    apparent = a->date != 0 ? a->came_ms / 1000 - a->date : 0;
    corrected = (int64_t) a->age + (a->came_ms - a->asked_ms) / 1000;

    return capped(apparent > corrected ? apparent : corrected);
}


void
travel_http_assess(travel_http_freshness_t *ret_f,
    const travel_http_facts_t *a, const travel_http_policy_t *policy)
{
    uint32_t  set, flags, lifetime;

    set = a->cc.set;
    flags = 0;

    if (!explicit_lifetime(a, policy->shared, &lifetime)) {
        lifetime = heuristic_lifetime(a, policy);
    }

    if ((set & TRAVEL_CC_MUST_REVALIDATE)
        || (policy->shared && (set & (TRAVEL_CC_PROXY_REVALIDATE
                                      |TRAVEL_CC_S_MAXAGE))))
    {
        flags |= TRAVEL_HTTP_NEVER_STALE;
    }

    if (set & TRAVEL_CC_NO_CACHE) {
        flags |= TRAVEL_HTTP_ALWAYS_ASK;
    }

    if (a->has_etag || a->last_modified != 0) {
        flags |= TRAVEL_HTTP_VALIDATOR;
    }

    if (!(set & TRAVEL_CC_PRIVATE)
        && (set & (TRAVEL_CC_PUBLIC|TRAVEL_CC_S_MAXAGE)))
    {
        flags |= TRAVEL_HTTP_OPEN;
    }

    ret_f->came_ms = a->came_ms;
    ret_f->initial_age = initial_age(a);
    ret_f->lifetime = lifetime;
    ret_f->swr = (set & TRAVEL_CC_SWR) ? a->cc.swr : policy->stale;
    ret_f->sie = (set & TRAVEL_CC_SIE) ? a->cc.sie : policy->stale;
    ret_f->flags = flags;
}


uint32_t
travel_http_retention(const travel_http_freshness_t *f)
{
    int64_t   useful;
    uint32_t  window;

    if ((f->flags & TRAVEL_HTTP_ALWAYS_ASK)
        && !(f->flags & TRAVEL_HTTP_VALIDATOR))
    {
        return 0;
    }

    window = f->swr > f->sie ? f->swr : f->sie;

    if (f->flags & (TRAVEL_HTTP_NEVER_STALE|TRAVEL_HTTP_ALWAYS_ASK)) {
        window = 0;
    }

    useful = (int64_t) f->lifetime + window - f->initial_age;
    useful = useful < 0 ? 0 : useful;

    if (f->flags & TRAVEL_HTTP_VALIDATOR) {
        useful += HTTP_KEPT_FOR_VALIDATION;
    }

    return capped(useful);
}


uint32_t
travel_http_age(const travel_http_freshness_t *f, int64_t now_ms)
{
    int64_t  resident;

    resident = (now_ms - f->came_ms) / 1000;

    return capped(f->initial_age + (resident < 0 ? 0 : resident));
}


travel_http_verdict_e
travel_http_judge(const travel_http_freshness_t *f,
    const travel_cache_control_t *request, int64_t now_ms)
{
    int64_t  age, ttl;

    age = travel_http_age(f, now_ms);
    ttl = (int64_t) f->lifetime - age;

    if ((request->set & TRAVEL_CC_NO_CACHE)
        || ((request->set & TRAVEL_CC_MAX_AGE) && age > request->max_age)
        || ((request->set & TRAVEL_CC_MIN_FRESH)
            && ttl > 0 && ttl < request->min_fresh))
    {
        return TRAVEL_HTTP_ASK_REQUEST;
    }

    if (f->flags & TRAVEL_HTTP_ALWAYS_ASK) {
        return TRAVEL_HTTP_ASK_STALE;
    }

    if (ttl > 0) {
        return TRAVEL_HTTP_SERVE;
    }

    if ((f->flags & TRAVEL_HTTP_NEVER_STALE)
        || (request->set & TRAVEL_CC_MIN_FRESH))
    {
        return TRAVEL_HTTP_ASK_STALE;
    }

    if (f->swr != 0 && -ttl <= f->swr) {
        return TRAVEL_HTTP_SERVE_REFRESH;
    }

    if ((request->set & TRAVEL_CC_MAX_STALE) && -ttl <= request->max_stale) {
        return TRAVEL_HTTP_SERVE_STALE;
    }

    return TRAVEL_HTTP_ASK_STALE;
}


bool
travel_http_stands_in(const travel_http_freshness_t *f,
    const travel_cache_control_t *request, int64_t now_ms)
{
    int64_t   stale;
    uint32_t  window;

    if (f->flags & (TRAVEL_HTTP_NEVER_STALE|TRAVEL_HTTP_ALWAYS_ASK)) {
        return false;
    }

    window = f->sie;

    if ((request->set & TRAVEL_CC_SIE) && request->sie > window) {
        window = request->sie;
    }

    stale = (int64_t) travel_http_age(f, now_ms) - f->lifetime;

    return stale < 0 || (window != 0 && stale <= window);
}
