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

#include "ngx_http_travel_shared.h"
#include "../../common/digits.h"


static ngx_int_t ngx_http_travel_limit_phase(ngx_http_request_t *r,
    ngx_uint_t identity);
static ngx_int_t ngx_http_travel_limit_claim(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf,
    ngx_http_travel_limit_record_t *record);
static ngx_http_travel_limit_record_t *ngx_http_travel_limit_record(
    ngx_http_request_t *r, ngx_http_travel_ctx_t *ctx);
static ngx_uint_t ngx_http_travel_limit_asked(
    ngx_http_travel_limit_record_t *record,
    const ngx_http_travel_policy_t *policy);
static ngx_int_t ngx_http_travel_limit_key_value(ngx_http_request_t *r,
    ngx_http_travel_policy_t *policy, ngx_str_t *ret_key);
static ngx_int_t ngx_http_travel_limit_ask(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf,
    ngx_http_travel_limit_record_t *record,
    ngx_http_travel_limit_t *limit);
static void ngx_http_travel_limit_said(ngx_http_request_t *r,
    ngx_http_travel_limit_record_t *record, ngx_http_travel_verdict_t *v);
static ngx_int_t ngx_http_travel_limit_ask_shared(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf,
    ngx_http_travel_limit_record_t *record, ngx_http_travel_verdict_t *v,
    ngx_str_t *key);
static ngx_int_t ngx_http_travel_limit_ask_all(ngx_http_request_t *r,
    ngx_http_travel_limit_record_t *record);
static void ngx_http_travel_limit_answered_all(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_int_t ngx_http_travel_limit_all_alone(ngx_http_request_t *r,
    ngx_http_travel_limit_record_t *record);
static ngx_int_t ngx_http_travel_limit_alone(ngx_http_request_t *r,
    ngx_http_travel_limit_record_t *record, ngx_http_travel_verdict_t *v);
static void ngx_http_travel_limit_drop(
    ngx_http_travel_limit_record_t *record, ngx_uint_t identity);
static void ngx_http_travel_limit_answered(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_limit_undo(ngx_http_travel_verdict_t *v);
static ngx_int_t ngx_http_travel_limit_closed(ngx_http_request_t *r);
static void ngx_http_travel_limit_dry(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v);
static ngx_int_t ngx_http_travel_limit_refuse(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, ngx_http_travel_limit_record_t *record);
static ngx_int_t ngx_http_travel_limit_violated(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, ngx_http_travel_limit_record_t *record);
static ngx_int_t ngx_http_travel_limit_answer(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v, uint32_t seconds);
static ngx_int_t ngx_http_travel_limit_price(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf, ngx_http_travel_verdict_t *v);
static ngx_int_t ngx_http_travel_limit_day(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf, ngx_http_travel_verdict_t *v);


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
    ngx_int_t                           rc;
    ngx_uint_t                          i, method;
    ngx_http_travel_ctx_t              *ctx;
    ngx_http_travel_limit_t            *limit;
    ngx_http_travel_limit_record_t     *record;
    ngx_http_travel_limit_loc_conf_t   *llcf;
    ngx_http_travel_limit_main_conf_t  *lmcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_limit_module);

    if (llcf->limits == NULL || r != r->main || ngx_http_travel_is_own(r)) {
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

    if (record->refused && !record->waiting) {
        return NGX_DECLINED;
    }

    if (record->waiting) {
        record->waiting = 0;

        if (record->refused || record->closed) {
            goto refused;
        }
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

        rc = ngx_http_travel_limit_ask(r, lmcf, record, &limit[i]);

        if (rc == NGX_AGAIN) {
            record->waiting = 1;
            return ngx_http_travel_limit_suspend(r);
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    rc = ngx_http_travel_limit_ask_all(r, record);

    if (rc == NGX_AGAIN) {
        record->waiting = 1;
        return ngx_http_travel_limit_suspend(r);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!record->refused && !record->closed) {

        if (record->hold == 0) {
            return lmcf->settled ? ngx_http_travel_limit_claim(r, lmcf, record)
                                 : NGX_DECLINED;
        }

        ngx_http_travel_limit_drop(record, identity);

        return ngx_http_travel_limit_hold(r, record);
    }

refused:

    return ngx_http_travel_limit_refuse(r, ctx, record);
}


/* What is admitted and will cost what a job says. */
static ngx_int_t
ngx_http_travel_limit_claim(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf,
    ngx_http_travel_limit_record_t *record)
{
    ngx_uint_t                  i;
    ngx_http_travel_verdict_t  *v;

    v = record->verdicts.elts;

    for (i = 0; i < record->verdicts.nelts; i++) {
        if (v[i].limit->cost == NGX_HTTP_TRAVEL_COST_TOKENS && !v[i].full) {
            return ngx_http_travel_settled_claim(r, lmcf, &v[i]) == NGX_OK
                   ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
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


static ngx_int_t
ngx_http_travel_limit_key_value(ngx_http_request_t *r,
    ngx_http_travel_policy_t *policy, ngx_str_t *ret_key)
{
    ngx_http_variable_value_t  *v;

    if (policy->variable == NGX_ERROR) {
        return ngx_http_complex_value(r, &policy->key, ret_key);
    }

    v = ngx_http_get_flushed_variable(r, policy->variable);
    if (v == NULL) {
        return NGX_ERROR;
    }

    ret_key->data = v->data;
    ret_key->len = v->not_found ? 0 : v->len;

    return NGX_OK;
}


/* Once one has refused, the others only say how long to wait for them. */
static ngx_int_t
ngx_http_travel_limit_ask(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf,
    ngx_http_travel_limit_record_t *record,
    ngx_http_travel_limit_t *limit)
{
    ngx_str_t                   key;
    ngx_http_travel_verdict_t  *v;

    if (ngx_http_travel_limit_key_value(r, limit->policy, &key) != NGX_OK) {
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
    v->limit = limit;
    v->dry_run = limit->dry_run;
    v->asked = 0;
    v->shared = 0;
    v->shared_counted = 0;
    v->pending = 0;

    if (limit->policy->mode != NGX_HTTP_TRAVEL_MODE_LOCAL
        && !record->refused)
    {
        return ngx_http_travel_limit_ask_shared(r, lmcf, record, v, &key);
    }

    if (ngx_http_travel_limit_price(r, lmcf, v) != NGX_OK
        || ngx_http_travel_slots_ask(lmcf->zone, &key, !record->refused, v)
        != NGX_OK)
    {
        record->verdicts.nelts--;
        return NGX_ERROR;
    }

    ngx_http_travel_limit_said(r, record, v);

    return NGX_OK;
}


static void
ngx_http_travel_limit_said(ngx_http_request_t *r,
    ngx_http_travel_limit_record_t *record, ngx_http_travel_verdict_t *v)
{
    ngx_http_travel_limit_main_conf_t  *lmcf;

    if (v->evicted) {
        lmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_limit_module);
        ngx_http_travel_count(lmcf->evicted, 1);
    }

    if (v->full && v->dry_run) {
        ngx_http_travel_limit_dry(r, v);

    } else if (v->full && ngx_http_travel_limit_may_hold(record, v)) {
        record->hold = ngx_max(record->hold, v->retry);
        ngx_http_travel_count(v->policy->windows[v->worst].delayed, 1);

    } else if (v->full) {
        record->refused = 1;
    }
}


/* Who is held asks anew: what this phase counted is taken back. */
static void
ngx_http_travel_limit_drop(ngx_http_travel_limit_record_t *record,
    ngx_uint_t identity)
{
    ngx_http_travel_verdict_t  *v;

    v = record->verdicts.elts;

    while (record->verdicts.nelts != 0
           && v[record->verdicts.nelts - 1].policy->identity == identity)
    {
        ngx_http_travel_limit_undo(&v[--record->verdicts.nelts]);
    }
}


/* --- limits that nodes share ---------------------------------------------- */

/* NGX_AGAIN: Redis was asked.  Strict ones are left for _ask_all(). */
static ngx_int_t
ngx_http_travel_limit_ask_shared(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf,
    ngx_http_travel_limit_record_t *record, ngx_http_travel_verdict_t *v,
    ngx_str_t *key)
{
    ngx_int_t   rc;
    ngx_uint_t  strict;

    v->name = *key;
    strict = (v->policy->mode == NGX_HTTP_TRAVEL_MODE_STRICT);

    if (ngx_http_travel_limit_price(r, lmcf, v) != NGX_OK
        || ngx_http_travel_shared_key(v, key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!ngx_http_travel_shared_up()) {
        return ngx_http_travel_limit_alone(r, record, v);
    }

    /* strict: the slot is found now, and counts what Redis admits */
    v->shared = !strict;

    if (ngx_http_travel_slots_ask(lmcf->zone, key, !strict, v) != NGX_OK) {
        return NGX_ERROR;
    }

    if (v->asks) {
        ngx_http_travel_shared_lease(v);
    }

    if (strict) {
        v->pending = 1;
        return NGX_OK;
    }

    if (!v->waits) {
        ngx_http_travel_limit_said(r, record, v);
        return NGX_OK;
    }

    rc = ngx_http_travel_shared_ask(r, v, ngx_http_travel_limit_answered);

    return (rc == NGX_DECLINED) ? ngx_http_travel_limit_alone(r, record, v)
                                : rc;
}


/*
 * All strict ones of the phase in one call: none counts where one refuses.
 * What was refused before asks nobody, and only says how long it would wait.
 */
static ngx_int_t
ngx_http_travel_limit_ask_all(ngx_http_request_t *r,
    ngx_http_travel_limit_record_t *record)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_http_travel_verdict_t  *v, *asked[NGX_HTTP_TRAVEL_LIMIT_CALL];

    v = record->verdicts.elts;
    record->nsent = 0;

    for (i = 0; i < record->verdicts.nelts; i++) {

        if (!v[i].pending) {
            continue;
        }

        if (record->refused) {
            v[i].pending = 0;
            ngx_http_travel_limit_said(r, record, &v[i]);

        } else if (record->nsent < NGX_HTTP_TRAVEL_LIMIT_CALL) {
            asked[record->nsent] = &v[i];
            record->sent[record->nsent++] = i;
        }
    }

    if (record->nsent == 0) {
        return NGX_OK;
    }

    rc = ngx_http_travel_shared_ask_all(r, asked, record->nsent,
                                        ngx_http_travel_limit_answered_all);

    return (rc == NGX_DECLINED) ? ngx_http_travel_limit_all_alone(r, record)
                                : rc;
}


static void
ngx_http_travel_limit_answered_all(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply)
{
    ngx_http_request_t              *r = op->data;
    ngx_http_travel_ctx_t           *ctx;
    ngx_http_travel_verdict_t       *v;
    ngx_http_travel_limit_record_t  *record;

    ngx_http_set_log_request(r->connection->log, r);

    ctx = ngx_http_travel_get_ctx(r);
    record = ctx->room[NGX_HTTP_TRAVEL_ROOM_LIMIT];

    for (i = 0; i < record->nsent; i++) {
        v = record->verdicts.elts;
        v += record->sent[i];

        if (ngx_http_travel_shared_answer(v, reply
                              ? ngx_http_travel_reply_elt(reply, i) : NULL)
            != NGX_OK)
        {
            break;
        }

        v->pending = 0;

        if (v->shared_counted) {
            ngx_http_travel_slots_charge(v, v->cost);
        }

        ngx_http_travel_limit_said(r, record, v);
    }

    if (i < record->nsent
        && ngx_http_travel_limit_all_alone(r, record) != NGX_OK)
    {
        ngx_http_travel_finish(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_travel_limit_resume(r);
}


/* The last one first: some of them leave the list. */
static ngx_int_t
ngx_http_travel_limit_all_alone(ngx_http_request_t *r,
    ngx_http_travel_limit_record_t *record)
{
    ngx_uint_t                  i;
    ngx_http_travel_verdict_t  *v;

    for (i = record->nsent; i-- > 0; /* void */ ) {
        v = record->verdicts.elts;
        v += record->sent[i];

        if (!v->pending) {
            continue;
        }

        v->pending = 0;

        if (ngx_http_travel_limit_alone(r, record, v) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Without Redis, as fail= says. */
static ngx_int_t
ngx_http_travel_limit_alone(ngx_http_request_t *r,
    ngx_http_travel_limit_record_t *record, ngx_http_travel_verdict_t *v)
{
    ngx_http_travel_verdict_t          *end;
    ngx_http_travel_limit_main_conf_t  *lmcf;

    switch (v->policy->fail) {

    case NGX_HTTP_TRAVEL_FAIL_CLOSED:
        record->closed = !v->dry_run;
        /* fall through */

    case NGX_HTTP_TRAVEL_FAIL_OPEN:
        end = record->verdicts.elts;
        end += record->verdicts.nelts--;
        ngx_memmove(v, v + 1, (u_char *) end - (u_char *) (v + 1));
        return NGX_OK;

    default:
        break;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_limit_module);
    v->shared = 0;

    if (ngx_http_travel_slots_ask(lmcf->zone, &v->name, 1, v) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_travel_limit_said(r, record, v);

    return NGX_OK;
}


static void
ngx_http_travel_limit_answered(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_request_t              *r = op->data;
    ngx_http_travel_ctx_t           *ctx;
    ngx_http_travel_verdict_t       *v;
    ngx_http_travel_limit_record_t  *record;

    ngx_http_set_log_request(r->connection->log, r);

    ctx = ngx_http_travel_get_ctx(r);
    record = ctx->room[NGX_HTTP_TRAVEL_ROOM_LIMIT];

    v = record->verdicts.elts;
    v += record->verdicts.nelts - 1;

    if (ngx_http_travel_shared_answer(v, reply) == NGX_OK) {

        if (!v->full) {
            ngx_http_travel_slots_charge(v, v->cost);
        }

        ngx_http_travel_limit_said(r, record, v);

    } else if (ngx_http_travel_limit_alone(r, record, v) != NGX_OK) {
        ngx_http_travel_finish(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_travel_limit_resume(r);
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


/* What it costs, as far as that is known now; a measure reserves. */
static ngx_int_t
ngx_http_travel_limit_price(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf, ngx_http_travel_verdict_t *v)
{
    off_t      length;
    uint64_t   n;
    ngx_str_t  value;

    v->cost = v->limit->cost_fixed;

    if (v->limit->cost == NGX_HTTP_TRAVEL_COST_VALUE) {

        if (ngx_http_complex_value(r, &v->limit->cost_value, &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (value.len != 0
            && travel_digits_parse(&n, ngx_http_travel_view(&value))
               == TRAVEL_OK)
        {
            v->cost = (uint32_t) ngx_min(n, TRAVEL_WINDOW_QUOTA_MAX);
        }

    } else if (v->limit->cost == NGX_HTTP_TRAVEL_COST_REQUEST
               || v->limit->cost == NGX_HTTP_TRAVEL_COST_BYTES)
    {
        length = r->headers_in.content_length_n;

        if (length > (off_t) v->cost) {
            v->cost = (uint32_t) ngx_min(length, TRAVEL_WINDOW_QUOTA_MAX);
        }
    }

    if (v->policy->calendar) {
        return ngx_http_travel_limit_day(r, lmcf, v);
    }

    return NGX_OK;
}


/* Nobody's zone, or one that is none, is UTC. */
static ngx_int_t
ngx_http_travel_limit_day(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf, ngx_http_travel_verdict_t *v)
{
    ngx_str_t             name;
    struct timeval        tv;
    const travel_zone_t  *zone;

    zone = &v->policy->zone;

    if (v->policy->tz_value.lengths != NULL) {

        if (ngx_http_complex_value(r, &v->policy->tz_value, &name) != NGX_OK) {
            return NGX_ERROR;
        }

        zone = ngx_http_travel_tz_find(&lmcf->zones, &name);
        zone = zone ? zone : &v->policy->zone;
    }

    ngx_gettimeofday(&tv);

    travel_calendar_day(&v->day, zone, (uint64_t) tv.tv_sec * 1000
                                       + tv.tv_usec / 1000);

    return NGX_OK;
}


/* Nothing counts, and the time to wait is the longest that anyone asks. */
static ngx_int_t
ngx_http_travel_limit_refuse(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, ngx_http_travel_limit_record_t *record)
{
    uint32_t                          seconds;
    ngx_uint_t                        i;
    ngx_http_travel_window_t         *window;
    ngx_http_travel_verdict_t        *v;
    const ngx_http_travel_verdict_t  *tightest;

    v = record->verdicts.elts;

    for (i = 0; i < record->verdicts.nelts; i++) {
        ngx_http_travel_limit_undo(&v[i]);
    }

    if (record->closed) {
        record->refused = 1;
        return ngx_http_travel_limit_closed(r);
    }

    tightest = ngx_http_travel_limit_tightest(record);
    window = &tightest->policy->windows[tightest->worst];
    seconds = ngx_http_travel_limit_seconds(tightest->retry);

    ngx_http_travel_count(window->refused, 1);
    ctx->limited = (const char *) window->name.data;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "travel_limit: refused by \"%V\" for %uD s", &window->name,
                  seconds);

    if (ngx_http_travel_limit_violated(r, ctx, record) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* where no time helps none is named */
    if (tightest->retry != TRAVEL_WINDOW_NEVER
        && ngx_http_travel_add_number(r, "Retry-After", seconds) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_refuse(r, ngx_http_travel_limit_answer(r, tightest,
                                                                  seconds));
}


static void
ngx_http_travel_limit_undo(ngx_http_travel_verdict_t *v)
{
    uint32_t    room[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
    uint32_t    wait[NGX_HTTP_TRAVEL_LIMIT_WINDOWS];
    ngx_uint_t  i;

    if (!v->shared_counted) {
        ngx_http_travel_slots_undo(v);
        return;
    }

    /* what this node counted alone is no answer */
    ngx_memcpy(room, v->room, sizeof(room));
    ngx_memcpy(wait, v->wait, sizeof(wait));

    ngx_http_travel_slots_undo(v);
    ngx_http_travel_shared_charge(v, 0);

    for (i = 0; i < v->policy->nwindows; i++) {
        v->room[i] = room[i] + v->cost;
        v->wait[i] = wait[i];
    }
}


static ngx_int_t
ngx_http_travel_limit_closed(ngx_http_request_t *r)
{
    if (ngx_http_travel_add_number(r, "Retry-After", 1) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_refuse(r,
               ngx_http_travel_error(r, TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                                     "Nobody can tell at present how often "
                                     "this was asked for."));
}


/* All windows that refuse, for the problem's violated-policies. */
static ngx_int_t
ngx_http_travel_limit_violated(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx, ngx_http_travel_limit_record_t *record)
{
    ngx_uint_t                  i, n, total;
    ngx_http_travel_verdict_t  *v;

    v = record->verdicts.elts;
    total = record->verdicts.nelts * NGX_HTTP_TRAVEL_LIMIT_WINDOWS;

    ctx->violated = ngx_palloc(r->pool, total * sizeof(travel_str_t));
    if (ctx->violated == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < record->verdicts.nelts; i++) {

        if (v[i].dry_run) {
            continue;
        }

        for (n = 0; n < v[i].policy->nwindows; n++) {
            if (v[i].blocks & (1u << n)) {
                ctx->violated[ctx->nviolated++] = ngx_http_travel_view(
                                               &v[i].policy->windows[n].name);
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_limit_answer(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v, uint32_t seconds)
{
    const char                *unit;
    ngx_http_travel_window_t  *window;

    window = &v->policy->windows[v->worst];

    unit = v->policy->bytes ? "bytes"
           : v->limit->cost == NGX_HTTP_TRAVEL_COST_FIXED
             && v->limit->cost_fixed == 1 ? "requests" : "units";

    if (v->retry == TRAVEL_WINDOW_NEVER) {
        return ngx_http_travel_error(r, TRAVEL_E_RATE_LIMIT_EXCEEDED,
                                     "The limit \"%V\" is %uD %s in %uD s, "
                                     "this asks for %uD at once: it is never "
                                     "admitted.", &window->name,
                                     window->rule.quota, unit,
                                     window->rule.span / 1000, v->cost);
    }

    if (window->calendar) {
        return ngx_http_travel_error(r, TRAVEL_E_RATE_LIMIT_EXCEEDED,
                                     "The limit \"%V\" is %uD %s a day: ask "
                                     "again in %uD s.", &window->name,
                                     window->rule.quota, unit, seconds);
    }

    return ngx_http_travel_error(r, TRAVEL_E_RATE_LIMIT_EXCEEDED,
                                 "The limit \"%V\" is %uD %s in %uD s: ask "
                                 "again in %uD s.", &window->name,
                                 window->rule.quota, unit,
                                 window->rule.span / 1000, seconds);
}


/* --- the end: what was measured ------------------------------------------ */

ngx_int_t
ngx_http_travel_limit_log(ngx_http_request_t *r)
{
    off_t                            bytes;
    ngx_uint_t                       i;
    ngx_http_travel_ctx_t           *ctx;
    ngx_http_travel_cost_e           cost;
    ngx_http_travel_verdict_t       *v;
    ngx_http_travel_limit_record_t  *record;

    ctx = ngx_http_travel_get_ctx(r);
    record = ctx ? ctx->room[NGX_HTTP_TRAVEL_ROOM_LIMIT] : NULL;

    if (record == NULL || record->refused) {
        return NGX_OK;
    }

    v = record->verdicts.elts;

    for (i = 0; i < record->verdicts.nelts; i++) {
        cost = v[i].limit->cost;

        if (cost < NGX_HTTP_TRAVEL_COST_TOKENS || v[i].full
            || (cost == NGX_HTTP_TRAVEL_COST_TOKENS && ctx->quota_sent))
        {
            continue;                        /* or the job will tell */
        }

        bytes = 0;

        /* nginx knows the length of a chunked body once it has read it */
        if ((cost == NGX_HTTP_TRAVEL_COST_REQUEST
             || cost == NGX_HTTP_TRAVEL_COST_BYTES)
            && r->headers_in.content_length_n > 0)
        {
            bytes += r->headers_in.content_length_n;
        }

        if (cost == NGX_HTTP_TRAVEL_COST_RESPONSE
            || cost == NGX_HTTP_TRAVEL_COST_BYTES)
        {
            bytes += ngx_max(r->connection->sent - (off_t) r->header_size, 0);
        }

        bytes = ngx_min(bytes, TRAVEL_WINDOW_QUOTA_MAX);

        ngx_http_travel_shared_charge(&v[i], (uint32_t) bytes);
        ngx_http_travel_slots_charge(&v[i], (uint32_t) bytes);
    }

    return NGX_OK;
}
