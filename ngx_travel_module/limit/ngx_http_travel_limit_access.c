/*
 * The request: asks the policies of its location, refuses or lets pass, and
 * tells the client where it stands.
 *
 * Policies whose key needs no identity are asked before the access phase, the
 * others in it, after auth.  What they said is kept in the request's record,
 * so that an internal redirect asks no policy twice, a refusal can take back
 * what was counted, and the header filter can write the figures that the
 * limiter itself went by.
 */

#include "ngx_http_travel_policy.h"
#include "../../common/digits.h"


typedef struct {
    ngx_array_t                 verdicts;  /* ngx_http_travel_verdict_t */
    unsigned                    refused:1;
    unsigned                    written:1; /* the headers are */
} ngx_http_travel_limit_record_t;


static ngx_int_t ngx_http_travel_limit_phase(ngx_http_request_t *r,
    ngx_uint_t identity);
static ngx_http_travel_limit_record_t *ngx_http_travel_limit_record(
    ngx_http_request_t *r, ngx_http_travel_ctx_t *ctx);
static ngx_uint_t ngx_http_travel_limit_asked(
    ngx_http_travel_limit_record_t *record,
    const ngx_http_travel_policy_t *policy);
static ngx_int_t ngx_http_travel_limit_ask(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf,
    ngx_http_travel_limit_record_t *record,
    const ngx_http_travel_limit_t *limit);
static void ngx_http_travel_limit_dry(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v);
static ngx_int_t ngx_http_travel_limit_refuse(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, ngx_http_travel_limit_record_t *record);
static const ngx_http_travel_verdict_t *ngx_http_travel_limit_tightest(
    const ngx_http_travel_limit_record_t *record);
static ngx_int_t ngx_http_travel_limit_policy_headers(ngx_http_request_t *r,
    const ngx_http_travel_limit_record_t *record);
static ngx_int_t ngx_http_travel_limit_x_headers(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v);
static u_char *ngx_http_travel_limit_number(u_char *p, uint32_t n);
static uint32_t ngx_http_travel_limit_seconds(uint32_t ms);


ngx_int_t
ngx_http_travel_limit_early(ngx_http_request_t *r)
{
    return ngx_http_travel_limit_phase(r, 0);
}


ngx_int_t
ngx_http_travel_limit_late(ngx_http_request_t *r)
{
    return ngx_http_travel_limit_phase(r, 1);
}


static ngx_int_t
ngx_http_travel_limit_phase(ngx_http_request_t *r, ngx_uint_t identity)
{
    ngx_uint_t                          i, method;
    ngx_http_travel_ctx_t              *ctx;
    ngx_http_travel_limit_t            *limit;
    ngx_http_travel_limit_record_t     *record;
    ngx_http_travel_limit_loc_conf_t   *llcf;
    ngx_http_travel_limit_main_conf_t  *lmcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_limit_module);

    if (llcf->limits == NULL || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    record = ngx_http_travel_limit_record(r, ctx);
    if (record == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (record->refused) {
        return NGX_DECLINED;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_limit_module);
    limit = llcf->limits->elts;
    method = (r->method == NGX_HTTP_HEAD) ? NGX_HTTP_GET : r->method;

    for (i = 0; i < llcf->limits->nelts; i++) {

        if (limit[i].policy->identity != identity
            || (limit[i].methods != 0 && !(limit[i].methods & method))
            || ngx_http_travel_limit_asked(record, limit[i].policy))
        {
            continue;
        }

        if (ngx_http_travel_limit_ask(r, lmcf, record, &limit[i]) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (record->refused) {
        return ngx_http_travel_limit_refuse(r, ctx, record);
    }

    return NGX_DECLINED;
}


static ngx_http_travel_limit_record_t *
ngx_http_travel_limit_record(ngx_http_request_t *r, ngx_http_travel_ctx_t *ctx)
{
    ngx_http_travel_limit_record_t  *record;

    record = ctx->room[NGX_HTTP_TRAVEL_ROOM_LIMIT];
    if (record != NULL) {
        return record;
    }

    record = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_limit_record_t));
    if (record == NULL) {
        return NULL;
    }

    if (ngx_array_init(&record->verdicts, r->pool, 2,
                       sizeof(ngx_http_travel_verdict_t))
        != NGX_OK)
    {
        return NULL;
    }

    ctx->room[NGX_HTTP_TRAVEL_ROOM_LIMIT] = record;

    return record;
}


static ngx_uint_t
ngx_http_travel_limit_asked(ngx_http_travel_limit_record_t *record,
    const ngx_http_travel_policy_t *policy)
{
    ngx_uint_t                  i;
    ngx_http_travel_verdict_t  *v;

    v = record->verdicts.elts;

    for (i = 0; i < record->verdicts.nelts; i++) {
        if (v[i].policy == policy) {
            return 1;
        }
    }

    return 0;
}


/* Once one has refused, the others only say how long to wait for them. */
static ngx_int_t
ngx_http_travel_limit_ask(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf,
    ngx_http_travel_limit_record_t *record,
    const ngx_http_travel_limit_t *limit)
{
    ngx_str_t                   key;
    ngx_http_travel_verdict_t  *v;

    if (ngx_http_complex_value(r, &limit->policy->key, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    if (key.len == 0) {
        return NGX_OK;
    }

    v = ngx_array_push(&record->verdicts);
    if (v == NULL) {
        return NGX_ERROR;
    }

    v->policy = limit->policy;
    v->dry_run = limit->dry_run;

    if (ngx_http_travel_slots_ask(lmcf->zone, &key, !record->refused, v)
        != NGX_OK)
    {
        record->verdicts.nelts--;
        return NGX_ERROR;
    }

    if (v->evicted) {
        ngx_http_travel_count(lmcf->evicted, 1);
    }

    if (v->full && v->dry_run) {
        ngx_http_travel_limit_dry(r, v);

    } else if (v->full) {
        record->refused = 1;
    }

    return NGX_OK;
}


static void
ngx_http_travel_limit_dry(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v)
{
    ngx_http_travel_window_t  *window;

    window = &v->policy->windows[v->worst];

    ngx_http_travel_count(window->dry, 1);

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "travel_limit: \"%V\" would have refused this, dry run",
                  &window->name);
}


/* Nothing counts, and the time to wait is the longest that anyone asks. */
static ngx_int_t
ngx_http_travel_limit_refuse(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, ngx_http_travel_limit_record_t *record)
{
    uint32_t                          seconds;
    ngx_str_t                         value;
    ngx_uint_t                        i;
    ngx_http_travel_window_t         *window;
    ngx_http_travel_verdict_t        *v;
    const ngx_http_travel_verdict_t  *tightest;

    v = record->verdicts.elts;

    for (i = 0; i < record->verdicts.nelts; i++) {
        ngx_http_travel_slots_undo(&v[i]);
    }

    tightest = ngx_http_travel_limit_tightest(record);
    window = &tightest->policy->windows[tightest->worst];
    seconds = ngx_http_travel_limit_seconds(tightest->wait[tightest->worst]);

    ngx_http_travel_count(window->refused, 1);
    ctx->limited = (const char *) window->name.data;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "travel_limit: refused by \"%V\" for %uD s", &window->name,
                  seconds);

    value.data = ngx_pnalloc(r->pool, NGX_INT32_LEN);
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.len = ngx_http_travel_limit_number(value.data, seconds) - value.data;

    if (ngx_http_travel_add_header(r, "Retry-After", &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_refuse(r,
               ngx_http_travel_error(r, TRAVEL_E_RATE_LIMIT_EXCEEDED,
                                     "The limit \"%V\" is %uD requests in %uD "
                                     "s: ask again in %uD s.", &window->name,
                                     window->rule.quota,
                                     window->rule.span / 1000, seconds));
}


/* A window that would refuse, the longest; else the one with least room. */
static const ngx_http_travel_verdict_t *
ngx_http_travel_limit_tightest(const ngx_http_travel_limit_record_t *record)
{
    uint32_t                          room, wait;
    ngx_uint_t                        i;
    const ngx_http_travel_verdict_t  *v, *best;

    v = record->verdicts.elts;
    best = NULL;
    room = 0;
    wait = 0;

    for (i = 0; i < record->verdicts.nelts; i++) {

        if (v[i].dry_run) {
            continue;
        }

        if (best == NULL
            || v[i].room[v[i].worst] < room
            || (v[i].room[v[i].worst] == room && v[i].wait[v[i].worst] > wait))
        {
            best = &v[i];
            room = best->room[best->worst];
            wait = best->wait[best->worst];
        }
    }

    return best;
}


/* --- headers ------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_limit_headers(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t              *ctx;
    const ngx_http_travel_verdict_t    *tightest;
    ngx_http_travel_limit_record_t     *record;
    ngx_http_travel_limit_loc_conf_t   *llcf;
    ngx_http_travel_limit_main_conf_t  *lmcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_limit_module);

    /* an error page answers for the location that the request was asked in */
    if (llcf->limits == NULL && !r->internal && !r->error_page) {
        return NGX_OK;
    }

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    record = ctx->room[NGX_HTTP_TRAVEL_ROOM_LIMIT];

    if (record == NULL || record->written) {
        return NGX_OK;
    }

    record->written = 1;

    if (!record->refused) {
        lmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_limit_module);
        ngx_http_travel_count(lmcf->admitted, 1);
    }

    tightest = ngx_http_travel_limit_tightest(record);
    if (tightest == NULL) {
        return NGX_OK;
    }

    if (ngx_http_travel_limit_policy_headers(r, record) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_travel_limit_x_headers(r, tightest);
}


/*
 * RateLimit-Policy and RateLimit, draft-ietf-httpapi-ratelimit-headers-10:
 * every window of every policy that was asked, r = room, t = seconds until
 * there is more of it.
 */
static ngx_int_t
ngx_http_travel_limit_policy_headers(ngx_http_request_t *r,
    const ngx_http_travel_limit_record_t *record)
{
    u_char                           *p, *q;
    size_t                            size, policies;
    ngx_str_t                         value;
    ngx_uint_t                        i, n;
    const ngx_http_travel_window_t   *window;
    const ngx_http_travel_verdict_t  *v;

    v = record->verdicts.elts;
    policies = 0;
    size = 0;

    for (i = 0; i < record->verdicts.nelts; i++) {
        policies += v[i].policy->header.len + 2;

        for (n = 0; n < v[i].policy->nwindows; n++) {
            size += v[i].policy->windows[n].item.len
                    + 2 * NGX_INT32_LEN + sizeof(";t=, ") - 1;
        }
    }

    p = ngx_pnalloc(r->pool, policies + size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    q = p + policies;
    value.data = p;

    for (i = 0; i < record->verdicts.nelts; i++) {
        if (!v[i].dry_run) {
            p = ngx_cpymem(p, v[i].policy->header.data,
                           v[i].policy->header.len);
            *p++ = ',';
            *p++ = ' ';
        }
    }

    value.len = p - value.data - 2;

    if (ngx_http_travel_add_header(r, "RateLimit-Policy", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    value.data = q;

    for (i = 0; i < record->verdicts.nelts; i++) {

        if (v[i].dry_run) {
            continue;
        }

        for (n = 0; n < v[i].policy->nwindows; n++) {
            window = &v[i].policy->windows[n];

            q = ngx_cpymem(q, window->item.data, window->item.len);
            q = ngx_http_travel_limit_number(q, v[i].room[n]);
            *q++ = ';';
            *q++ = 't';
            *q++ = '=';
            q = ngx_http_travel_limit_number(q,
                            ngx_http_travel_limit_seconds(v[i].wait[n]));
            *q++ = ',';
            *q++ = ' ';
        }
    }

    value.len = q - value.data - 2;

    return ngx_http_travel_add_header(r, "RateLimit", &value);
}


/* The three older ones speak of the tightest window; Reset is in seconds. */
static ngx_int_t
ngx_http_travel_limit_x_headers(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v)
{
    u_char             *p;
    uint32_t            figure[3];
    ngx_str_t           value;
    ngx_uint_t          i;

    static const char  *names[] = {
        "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"
    };

    figure[0] = v->policy->windows[v->worst].rule.quota;
    figure[1] = v->room[v->worst];
    figure[2] = ngx_http_travel_limit_seconds(v->wait[v->worst]);

    p = ngx_pnalloc(r->pool, 3 * NGX_INT32_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < 3; i++) {
        value.data = p;
        p = ngx_http_travel_limit_number(p, figure[i]);
        value.len = p - value.data;

        if (ngx_http_travel_add_header(r, names[i], &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* At most NGX_INT32_LEN bytes; ngx_sprintf costs more than all the rest. */
static u_char *
ngx_http_travel_limit_number(u_char *p, uint32_t n)
{
    return p + travel_digits_format((char *) p, n);
}


static uint32_t
ngx_http_travel_limit_seconds(uint32_t ms)
{
    return (ms + 999) / 1000;
}
