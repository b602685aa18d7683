/*
 * Policies by name, one of each: a line that says the same again has the same
 * counts.  And what is said of them in headers and metrics.
 */

#include "ngx_http_travel_policy.h"
#include "../../common/hash.h"


static ngx_uint_t ngx_http_travel_limit_same(
    const ngx_http_travel_policy_t *a, const ngx_http_travel_policy_t *b);
static ngx_int_t ngx_http_travel_limit_texts(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy);
static ngx_int_t ngx_http_travel_limit_window_texts(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_http_travel_window_t *w);
static ngx_int_t ngx_http_travel_limit_shared_counters(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy);
static ngx_int_t ngx_http_travel_limit_counter(ngx_conf_t *cf,
    ngx_int_t *counter, const char *name, ngx_str_t *policy,
    const char *help);
static ngx_int_t ngx_http_travel_limit_counters(ngx_conf_t *cf,
    ngx_http_travel_window_t *window);


ngx_http_travel_policy_t *
ngx_http_travel_limit_policy(ngx_conf_t *cf,
    ngx_http_travel_limit_main_conf_t *lmcf,
    const ngx_http_travel_policy_t *wanted)
{
    ngx_uint_t                  i;
    ngx_http_travel_policy_t  **policies, **slot, *policy;

    policies = lmcf->policies.elts;

    for (i = 0; i < lmcf->policies.nelts; i++) {

        if (policies[i]->name.len != wanted->name.len
            || ngx_strncmp(policies[i]->name.data, wanted->name.data,
                           wanted->name.len)
               != 0)
        {
            continue;
        }

        if (ngx_http_travel_limit_same(policies[i], wanted)) {
            return policies[i];
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_limit\" name \"%V\" already stands for "
                           "another key or other rates: give this line a "
                           "name=NAME of its own", &wanted->name);
        return NULL;
    }

    if (lmcf->zone == NULL) {
        lmcf->zone = ngx_http_travel_slots_zone(cf);
        if (lmcf->zone == NULL) {
            return NULL;
        }
    }

    policy = ngx_palloc(cf->pool, sizeof(ngx_http_travel_policy_t));
    slot = ngx_array_push(&lmcf->policies);

    if (policy == NULL || slot == NULL) {
        return NULL;
    }

    *policy = *wanted;
    *slot = policy;

    if (policy->identity) {
        lmcf->late = 1;

    } else {
        lmcf->early = 1;
    }

    if (ngx_http_travel_limit_texts(cf, policy) != NGX_OK) {
        return NULL;
    }

    return policy;
}


static ngx_uint_t
ngx_http_travel_limit_same(const ngx_http_travel_policy_t *a,
    const ngx_http_travel_policy_t *b)
{
    ngx_uint_t  i;

    if (a->nwindows != b->nwindows || a->text.len != b->text.len
        || ngx_strncmp(a->text.data, b->text.data, a->text.len) != 0
        || a->tz.len != b->tz.len
        || (a->tz.len != 0
            && ngx_strncmp(a->tz.data, b->tz.data, a->tz.len) != 0)
        || a->bytes != b->bytes || a->partition != b->partition
        || a->mode != b->mode || a->fail != b->fail || a->slice != b->slice
        || a->timeout != b->timeout)
    {
        return 0;
    }

    for (i = 0; i < a->nwindows; i++) {
        if (a->windows[i].rule.quota != b->windows[i].rule.quota
            || a->windows[i].rule.span != b->windows[i].rule.span
            || a->windows[i].calendar != b->windows[i].calendar)
        {
            return 0;
        }
    }

    return 1;
}


/* What is said of a policy in headers and metrics, and the id under which it
 * counts: a reload with the same line goes on with the same counts. */
static ngx_int_t
ngx_http_travel_limit_texts(ngx_conf_t *cf, ngx_http_travel_policy_t *policy)
{
    size_t                     len;
    u_char                    *p;
    uint8_t                    md[TRAVEL_SHA256_LEN];
    ngx_uint_t                 i;
    travel_str_t               part[2];
    ngx_http_travel_window_t  *w;

    len = policy->nwindows * (sizeof("\"-\";q=;w=;qu=\"content-bytes\", ")
                              + policy->name.len + 3 * NGX_INT32_LEN);

    policy->header.data = ngx_pnalloc(cf->pool, len);
    if (policy->header.data == NULL) {
        return NGX_ERROR;
    }

    p = policy->header.data;

    for (i = 0; i < policy->nwindows; i++) {
        w = &policy->windows[i];

        if (ngx_http_travel_limit_window_texts(cf, policy, w) != NGX_OK
            || ngx_http_travel_limit_counters(cf, w) != NGX_OK)
        {
            return NGX_ERROR;
        }

        p = ngx_sprintf(p, "%s\"%V\";q=%uD;w=%uD%s", i ? ", " : "", &w->name,
                        w->rule.quota, w->rule.span / 1000,
                        policy->bytes ? ";qu=\"content-bytes\"" : "");
    }

    policy->header.len = p - policy->header.data;

    part[0] = ngx_http_travel_view(&policy->text);
    part[1] = ngx_http_travel_view(&policy->header);

    if (travel_sha256_parts(md, part, 2) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(&policy->id, md, sizeof(policy->id));

    if (policy->mode == NGX_HTTP_TRAVEL_MODE_LOCAL) {
        return NGX_OK;
    }

    return ngx_http_travel_limit_shared_counters(cf, policy);
}


static ngx_int_t
ngx_http_travel_limit_window_texts(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy, ngx_http_travel_window_t *w)
{
    w->name.data = ngx_pnalloc(cf->pool, policy->name.len
                                         + NGX_INT32_LEN + 2);
    w->item.data = ngx_pnalloc(cf->pool, policy->name.len + NGX_INT32_LEN
                                         + sizeof("\"-\";r="));
    if (w->name.data == NULL || w->item.data == NULL) {
        return NGX_ERROR;
    }

    if (w->calendar) {
        w->name.len = ngx_sprintf(w->name.data, "%V-day%Z", &policy->name)
                      - w->name.data - 1;

    } else {
        w->name.len = ngx_sprintf(w->name.data, "%V-%uD%Z", &policy->name,
                                  w->rule.span / 1000)
                      - w->name.data - 1;
    }

    w->item.len = ngx_sprintf(w->item.data, "\"%V\";r=", &w->name)
                  - w->item.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_limit_counters(ngx_conf_t *cf, ngx_http_travel_window_t *window)
{
    if (ngx_http_travel_limit_counter(cf, &window->refused,
                              "travel_limit_refused_total", &window->name,
                              "Requests refused, by the window that refused.")
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_travel_limit_counter(cf, &window->delayed,
                              "travel_limit_delayed_total", &window->name,
                              "Times a request was held, by the window that "
                              "was full.")
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_limit_counter(cf, &window->dry,
                              "travel_limit_dry_run_total", &window->name,
                              "Requests a dry run would have refused.");
}


/* The bound of what all nodes admit too much is nodes times slice: the name
 * that the lease calls are counted under says it. */
static ngx_int_t
ngx_http_travel_limit_shared_counters(ngx_conf_t *cf,
    ngx_http_travel_policy_t *policy)
{
    u_char     *p;
    ngx_str_t   name;

    p = ngx_pnalloc(cf->pool, policy->name.len + NGX_INT32_LEN
                              + sizeof("\",slice=\""));
    if (p == NULL) {
        return NGX_ERROR;
    }

    name.data = p;
    name.len = ngx_sprintf(p, "%V\",slice=\"%uD", &policy->name, policy->slice)
               - p;

    if (ngx_http_travel_limit_counter(cf, &policy->leases,
                              "travel_limit_leases_total", &name,
                              "Leases asked for; nodes * slice is the bound of "
                              "what is admitted above the quota.") != NGX_OK
        || ngx_http_travel_limit_counter(cf, &policy->waited,
                              "travel_limit_waited_total", &policy->name,
                              "Requests that waited for Redis to count them.")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_limit_counter(cf, &policy->failures,
                              "travel_limit_redis_failures_total",
                              &policy->name,
                              "Calls that Redis did not answer.");
}


static ngx_int_t
ngx_http_travel_limit_counter(ngx_conf_t *cf, ngx_int_t *counter,
    const char *name, ngx_str_t *policy, const char *help)
{
    u_char  *p;

    p = ngx_pnalloc(cf->pool, ngx_strlen(name) + policy->len
                              + sizeof("{policy=\"\"}"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(p, "%s{policy=\"%V\"}%Z", name, policy);

    *counter = ngx_http_travel_counter_add(cf, (char *) p, help);

    return *counter == NGX_ERROR ? NGX_ERROR : NGX_OK;
}
