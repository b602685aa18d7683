/*
 * What the client is told: RateLimit-Policy, RateLimit and the three older
 * X-RateLimit ones, by the figures that the limiter itself went by.
 */

#include "ngx_http_travel_policy.h"


static ngx_int_t ngx_http_travel_limit_policy_headers(ngx_http_request_t *r,
    const ngx_http_travel_limit_record_t *record);
static ngx_uint_t ngx_http_travel_limit_tighter(
    const ngx_http_travel_verdict_t *v, const ngx_http_travel_verdict_t *than);
static u_char *ngx_http_travel_limit_item(u_char *p,
    const ngx_http_travel_limit_record_t *record,
    const ngx_http_travel_verdict_t *v, ngx_uint_t n);
static ngx_int_t ngx_http_travel_limit_x_headers(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v);


/* Of those that refuse who does for longest; else who has least room. */
const ngx_http_travel_verdict_t *
ngx_http_travel_limit_tightest(const ngx_http_travel_limit_record_t *record)
{
    ngx_uint_t                        i;
    const ngx_http_travel_verdict_t  *v, *best;

    v = record->verdicts.elts;
    best = NULL;

    for (i = 0; i < record->verdicts.nelts; i++) {

        if (v[i].dry_run) {
            continue;
        }

        if (best == NULL || ngx_http_travel_limit_tighter(&v[i], best)) {
            best = &v[i];
        }
    }

    return best;
}


static ngx_uint_t
ngx_http_travel_limit_tighter(const ngx_http_travel_verdict_t *v,
    const ngx_http_travel_verdict_t *than)
{
    uint32_t  room, than_room;

    if (v->full != than->full) {
        return v->full;
    }

    if (v->full) {
        return v->retry > than->retry;
    }

    room = v->room[v->worst];
    than_room = than->room[than->worst];

    return room < than_room
           || (room == than_room
               && v->wait[v->worst] > than->wait[than->worst]);
}


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
 * there is more of it.  Beside a Retry-After only those that refuse say t, so
 * that none of them is later than it.
 */
static ngx_int_t
ngx_http_travel_limit_policy_headers(ngx_http_request_t *r,
    const ngx_http_travel_limit_record_t *record)
{
    u_char                           *p, *q;
    size_t                            size, policies;
    ngx_str_t                         value;
    ngx_uint_t                        i, n;
    const ngx_http_travel_verdict_t  *v;

    v = record->verdicts.elts;
    policies = 0;
    size = 0;

    for (i = 0; i < record->verdicts.nelts; i++) {
        policies += v[i].policy->header.len + 2;

        for (n = 0; n < v[i].policy->nwindows; n++) {
            size += v[i].policy->windows[n].item.len
                    + 2 * NGX_INT32_LEN + sizeof(v->pk)
                    + sizeof(";t=;pk=::, ") - 1;
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
            q = ngx_http_travel_limit_item(q, record, &v[i], n);
        }
    }

    value.len = q - value.data - 2;

    return ngx_http_travel_add_header(r, "RateLimit", &value);
}


static u_char *
ngx_http_travel_limit_item(u_char *p,
    const ngx_http_travel_limit_record_t *record,
    const ngx_http_travel_verdict_t *v, ngx_uint_t n)
{
    const ngx_http_travel_window_t  *window;

    window = &v->policy->windows[n];

    p = ngx_cpymem(p, window->item.data, window->item.len);
    p = ngx_http_travel_limit_number(p, v->room[n]);

    if (!record->refused || (v->blocks & (1u << n))) {
        *p++ = ';';
        *p++ = 't';
        *p++ = '=';
        p = ngx_http_travel_limit_number(p,
                                    ngx_http_travel_limit_seconds(v->wait[n]));
    }

    if (v->policy->partition) {
        p = ngx_cpymem(p, ";pk=:", 5);
        p = ngx_cpymem(p, v->pk, sizeof(v->pk));
        *p++ = ':';
    }

    *p++ = ',';
    *p++ = ' ';

    return p;
}


/* The three older ones speak of the tightest window; Reset is in seconds. */
static ngx_int_t
ngx_http_travel_limit_x_headers(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v)
{
    u_char                  *p;
    uint32_t                 figure[3];
    ngx_str_t                value;
    ngx_uint_t               i;

    static const ngx_str_t  names[] = {
        ngx_string("X-RateLimit-Limit"), ngx_string("X-RateLimit-Remaining"),
        ngx_string("X-RateLimit-Reset")
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

        if (ngx_http_travel_push_field(r, &names[i], &value) == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
