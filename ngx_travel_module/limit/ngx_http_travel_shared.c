/*
 * Limits that nodes share, through the cache role of Redis.
 *
 * Strict: a request asks the script and waits for its answer.  Global: the node
 * leases a slice of the quota in the background and admits from it; without a
 * lease it admits up to one slice on credit, which the next lease call reports;
 * who finds both used up asks as strict does.  So nodes together never admit
 * more than the quota and one slice each.
 *
 * What a node holds is in the slot of the key, under its shard's lock, and
 * survives reloads and workers; one worker of the node asks for a lease at a
 * time ('asking').  A lease lasts 'life' and counts in Redis as if it was used
 * at its end; what is left of it then is given back by the next call, or leaves
 * with the window.
 *
 * A call that is not answered in time, and a link that is not there, make the
 * worker do without Redis (fail=) for a second; then a request tries again.
 */

#include "ngx_http_travel_shared.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/digits.h"
#include "../../common/hash.h"
#include "../../common/limit_scripts.h"


#define NGX_HTTP_TRAVEL_SHARED_PAUSE  1000       /* ms without Redis */
#define NGX_HTTP_TRAVEL_SHARED_KEY    (sizeof("travel:limit::") + 16 + 64)
#define NGX_HTTP_TRAVEL_SHARED_ARGS                                           \
    (1 + 6 + 3 * NGX_HTTP_TRAVEL_LIMIT_WINDOWS)

#define NGX_HTTP_TRAVEL_SHARED_MANY                                           \
    (NGX_HTTP_TRAVEL_LIMIT_CALL * (2 + NGX_HTTP_TRAVEL_SHARED_ARGS))

/* A call of the script, its numbers as text. */
typedef struct {
    const char  *argv[NGX_HTTP_TRAVEL_SHARED_ARGS];
    size_t       len[NGX_HTTP_TRAVEL_SHARED_ARGS];
    ngx_uint_t   argc;
    u_char      *last;
    u_char       text[NGX_HTTP_TRAVEL_SHARED_KEY
                      + NGX_HTTP_TRAVEL_SHARED_ARGS * (TRAVEL_DIGITS_MAX + 1)];
} ngx_http_travel_shared_call_t;

/* A lease that was asked for; freed with its answer. */
typedef struct {
    ngx_http_travel_verdict_t  v;          /* a copy: slot, born, policy */
    uint64_t                   sent;
    uint32_t                   owed;
    uint32_t                   back;
} ngx_http_travel_shared_ask_t;


static void ngx_http_travel_shared_call(ngx_http_travel_shared_call_t *call,
    const ngx_http_travel_verdict_t *v, const int64_t figures[6]);
static void ngx_http_travel_shared_number(ngx_http_travel_shared_call_t *call,
    int64_t n);
static ngx_int_t ngx_http_travel_shared_send(ngx_http_travel_redis_op_t *op,
    const ngx_http_travel_verdict_t *v, const int64_t figures[6]);
static void ngx_http_travel_shared_figures(ngx_http_travel_verdict_t *v,
    ngx_uint_t i, int64_t sum, int64_t more);
static void ngx_http_travel_shared_lost(const ngx_http_travel_verdict_t *v);
static void ngx_http_travel_shared_leased(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_shared_ignored(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);


/* Of this nginx worker: until when it does without Redis, 0: it does not. */
static ngx_msec_t  ngx_http_travel_shared_pause;


ngx_uint_t
ngx_http_travel_shared_up(void)
{
    if (ngx_http_travel_shared_pause != 0) {

        if ((ngx_msec_int_t) (ngx_http_travel_shared_pause - ngx_current_msec)
            > 0)
        {
            return 0;
        }

        ngx_http_travel_shared_pause = 0;
    }

    return ngx_http_travel_redis_up(NGX_HTTP_TRAVEL_REDIS_CACHE);
}


static void
ngx_http_travel_shared_lost(const ngx_http_travel_verdict_t *v)
{
    ngx_http_travel_count(v->policy->failures, 1);

    ngx_http_travel_shared_pause = ngx_current_msec
                                   + NGX_HTTP_TRAVEL_SHARED_PAUSE;

    if (ngx_http_travel_shared_pause == 0) {
        ngx_http_travel_shared_pause = 1;
    }
}


/* --- the script ----------------------------------------------------------- */

static void
ngx_http_travel_shared_number(ngx_http_travel_shared_call_t *call, int64_t n)
{
    call->argv[call->argc] = (char *) call->last;

    if (n < 0) {
        *call->last++ = '-';
        n = -n;
    }

    call->last += travel_digits_format((char *) call->last, (uint64_t) n);
    call->len[call->argc] = (char *) call->last - call->argv[call->argc];
    call->argc++;
}


static void
ngx_http_travel_shared_call(ngx_http_travel_shared_call_t *call,
    const ngx_http_travel_verdict_t *v, const int64_t figures[6])
{
    ngx_uint_t                       i;
    const ngx_http_travel_window_t  *w;

    call->argc = 1;
    call->argv[0] = (char *) call->text;
    call->last = ngx_sprintf(call->text, "travel:limit:%016xL:",
                             v->policy->id);
    call->last = ngx_cpymem(call->last, v->key, v->key_len);
    call->len[0] = call->last - call->text;

    for (i = 0; i < 6; i++) {
        ngx_http_travel_shared_number(call, figures[i]);
    }

    for (i = 0; i < v->policy->nwindows; i++) {
        w = &v->policy->windows[i];

        ngx_http_travel_shared_number(call, w->rule.quota);
        ngx_http_travel_shared_number(call, w->calendar ? v->day.day
                                                        : w->rule.span);
        ngx_http_travel_shared_number(call, w->calendar
                                            ? -(int64_t) v->day.left
                                            : (int64_t) w->rule.grain);
    }
}


static ngx_int_t
ngx_http_travel_shared_send(ngx_http_travel_redis_op_t *op,
    const ngx_http_travel_verdict_t *v, const int64_t figures[6])
{
    ngx_http_travel_shared_call_t  call;

    ngx_http_travel_shared_call(&call, v, figures);

    return ngx_http_travel_redis_script(op, travel_script_limit, 1, call.argc,
                                        call.argv, call.len);
}


/* The longest keys are their hashes, as in the zone. */
ngx_int_t
ngx_http_travel_shared_key(ngx_http_travel_verdict_t *v, const ngx_str_t *key)
{
    uint8_t  md[TRAVEL_SHA256_LEN];

    if (key->len < sizeof(v->key)) {
        ngx_memcpy(v->key, key->data, key->len);
        v->key_len = (u_char) key->len;
        return NGX_OK;
    }

    if (travel_sha256(md, ngx_http_travel_view(key)) != TRAVEL_OK) {
        return NGX_ERROR;
    }

    ngx_hex_dump(v->key, md, sizeof(md));
    v->key_len = 2 * sizeof(md);

    return NGX_OK;
}


/* --- a request asks ------------------------------------------------------ */

ngx_int_t
ngx_http_travel_shared_ask(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v,
    ngx_http_travel_redis_handler_pt handler)
{
    int64_t                      figures[6] = { 0 };
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, r,
                                  v->policy->timeout, handler, r);
    if (op == NULL) {
        return NGX_ERROR;
    }

    figures[1] = v->cost ? v->cost : 1;
    figures[2] = v->cost;

    ngx_http_travel_count(v->policy->waited, 1);

    if (ngx_http_travel_shared_send(op, v, figures) != NGX_OK) {
        ngx_http_travel_shared_lost(v);
        return NGX_DECLINED;
    }

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_travel_shared_ask_all(ngx_http_request_t *r,
    ngx_http_travel_verdict_t **verdicts, ngx_uint_t n,
    ngx_http_travel_redis_handler_pt handler)
{
    int64_t                        figures[6] = { 0 };
    u_char                         count[NGX_HTTP_TRAVEL_LIMIT_CALL][4];
    size_t                         len[NGX_HTTP_TRAVEL_SHARED_MANY];
    ngx_uint_t                     i, k, argc;
    const char                    *argv[NGX_HTTP_TRAVEL_SHARED_MANY];
    ngx_http_travel_redis_op_t    *op;
    ngx_http_travel_shared_call_t  calls[NGX_HTTP_TRAVEL_LIMIT_CALL];

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, r,
                                  verdicts[0]->policy->timeout, handler, r);
    if (op == NULL) {
        return NGX_ERROR;
    }

    argc = n;

    for (i = 0; i < n; i++) {
        figures[1] = verdicts[i]->cost ? verdicts[i]->cost : 1;
        figures[2] = verdicts[i]->cost;

        ngx_http_travel_count(verdicts[i]->policy->waited, 1);
        ngx_http_travel_shared_call(&calls[i], verdicts[i], figures);

        argv[i] = calls[i].argv[0];
        len[i] = calls[i].len[0];

        argv[argc] = verdicts[i]->dry_run ? "0" : "1";
        len[argc++] = 1;
        argv[argc] = (char *) count[i];
        len[argc++] = ngx_sprintf(count[i], "%ui", calls[i].argc - 1)
                      - count[i];

        for (k = 1; k < calls[i].argc; k++) {
            argv[argc] = calls[i].argv[k];
            len[argc++] = calls[i].len[k];
        }
    }

    if (ngx_http_travel_redis_script(op, travel_script_limits, n, argc, argv,
                                     len)
        != NGX_OK)
    {
        ngx_http_travel_shared_lost(verdicts[0]);
        return NGX_DECLINED;
    }

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_travel_shared_answer(ngx_http_travel_verdict_t *v,
    const ngx_http_travel_reply_t *reply)
{
    int64_t     granted, sum, more, wait;
    ngx_uint_t  i;

    if (reply == NULL
        || ngx_http_travel_reply_type(reply) != NGX_HTTP_TRAVEL_REPLY_ARRAY
        || ngx_http_travel_reply_count(reply) < 2 + 3 * v->policy->nwindows)
    {
        ngx_http_travel_shared_lost(v);
        return NGX_DECLINED;
    }

    granted = ngx_http_travel_reply_int(ngx_http_travel_reply_elt(reply, 0));
    v->full = 0;
    v->shared_at = ngx_http_travel_reply_int(
                                          ngx_http_travel_reply_elt(reply, 1));
    v->blocks = 0;
    v->retry = 0;
    v->worst = 0;

    for (i = 0; i < v->policy->nwindows; i++) {
        sum = ngx_http_travel_reply_int(
                                  ngx_http_travel_reply_elt(reply, 2 + 3 * i));
        more = ngx_http_travel_reply_int(
                                  ngx_http_travel_reply_elt(reply, 3 + 3 * i));
        wait = ngx_http_travel_reply_int(
                                  ngx_http_travel_reply_elt(reply, 4 + 3 * i));

        ngx_http_travel_shared_figures(v, i, sum, more);

        if (granted == 0 && wait > 0) {
            v->full = 1;
            v->blocks |= 1u << i;

            if ((uint32_t) wait >= v->retry) {
                v->retry = (uint32_t) wait;
                v->worst = i;
            }

            if (v->cost > v->policy->windows[i].rule.quota) {
                v->retry = TRAVEL_WINDOW_NEVER;
                v->worst = i;
            }

        } else if (v->blocks == 0 && v->room[i] < v->room[v->worst]) {
            v->worst = i;
        }
    }

    /* not where another one of the request refused */
    v->shared_counted = (granted > 0);

    return NGX_OK;
}


static void
ngx_http_travel_shared_figures(ngx_http_travel_verdict_t *v, ngx_uint_t i,
    int64_t sum, int64_t more)
{
    uint32_t  quota;

    quota = v->policy->windows[i].rule.quota;

    v->room[i] = sum < quota ? (uint32_t) (quota - sum) : 0;
    v->wait[i] = (uint32_t) more;
}


/* What was counted there is taken back; 'cost' counts instead, if any. */
void
ngx_http_travel_shared_charge(ngx_http_travel_verdict_t *v, uint32_t cost)
{
    int64_t                      figures[6] = { 0 };
    ngx_http_travel_redis_op_t  *op;

    if (!v->shared_counted) {
        return;
    }

    v->shared_counted = 0;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL,
                                  v->policy->timeout,
                                  ngx_http_travel_shared_ignored, NULL);
    if (op == NULL) {
        return;
    }

    figures[0] = cost;
    figures[4] = v->cost;
    figures[5] = (int64_t) v->shared_at;

    (void) ngx_http_travel_shared_send(op, v, figures);
}


static void
ngx_http_travel_shared_ignored(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    /* lost, it counts until the window has passed */
}


/* --- leases -------------------------------------------------------------- */

/*
 * Admits from the lease or on credit; else says that it is closed (v->full) or
 * that one has to ask (v->waits).  v->asks: the caller is the one to call
 * ngx_http_travel_shared_lease() once the lock is gone.
 */
void
ngx_http_travel_shared_take_locked(ngx_http_travel_lease_t *lease,
    ngx_http_travel_verdict_t *v)
{
    v->on_credit = 0;

    if (lease->left != 0 && v->at >= lease->until) {
        lease->back += lease->left;
        lease->left = 0;
    }

    if (lease->left >= v->cost) {
        lease->left -= v->cost;
        lease->used += v->cost;

    } else if (lease->closed > v->at) {
        v->full = 1;
        v->blocks = lease->blocks ? lease->blocks : 1;
        return;

    } else if ((uint64_t) lease->credit + v->cost <= v->policy->slice) {
        lease->credit += v->cost;
        lease->used += v->cost;
        v->on_credit = 1;

    } else {
        v->waits = 1;
    }

    if (lease->left < v->policy->slice / 2 + 1 && lease->asking <= v->at) {
        lease->asking = v->at + v->policy->timeout;
        v->asks = 1;
    }
}


void
ngx_http_travel_shared_undo_locked(ngx_http_travel_lease_t *lease,
    ngx_http_travel_verdict_t *v)
{
    if (v->on_credit) {
        lease->credit -= ngx_min(lease->credit, v->cost);

    } else if (lease->until > v->at) {
        lease->left += v->cost;

    } else {
        lease->back += v->cost;
    }

    lease->used -= ngx_min(lease->used, v->cost);
}


/* What all nodes have left, in place of what this one has alone. */
void
ngx_http_travel_shared_report_locked(const ngx_http_travel_lease_t *lease,
    ngx_http_travel_verdict_t *v)
{
    uint64_t    room, since;
    uint32_t    closed;
    ngx_uint_t  i;

    if (lease->told == 0) {
        return;
    }

    since = v->at - lease->told;
    closed = lease->closed > v->at ? (uint32_t) (lease->closed - v->at) : 0;

    for (i = 0; i < v->policy->nwindows; i++) {

        if (since > v->policy->windows[i].rule.span) {
            continue;
        }

        room = (uint64_t) lease->rooms[i] + lease->left;
        room -= ngx_min(room, lease->credit);

        if (room < v->room[i]) {
            v->room[i] = (uint32_t) room;
            v->wait[i] = lease->waits[i] > since
                         ? (uint32_t) (lease->waits[i] - since) : 1;
        }

        if ((v->blocks & (1u << i)) && closed != 0) {
            v->room[i] = 0;
            v->wait[i] = closed;

            if (closed >= v->retry) {
                v->retry = closed;
                v->worst = i;
            }

        } else if (v->blocks == 0 && v->room[i] < v->room[v->worst]) {
            v->worst = i;
        }
    }
}


void
ngx_http_travel_shared_lease(ngx_http_travel_verdict_t *v)
{
    int64_t                        figures[6];
    uint32_t                       want;
    ngx_http_travel_lease_t       *lease;
    ngx_http_travel_redis_op_t    *op;
    ngx_http_travel_shared_ask_t  *ask;

    ask = ngx_alloc(sizeof(ngx_http_travel_shared_ask_t), ngx_cycle->log);
    if (ask == NULL) {
        return;
    }

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_CACHE, NULL,
                                  v->policy->timeout,
                                  ngx_http_travel_shared_leased, ask);
    if (op == NULL) {
        ngx_free(ask);
        return;
    }

    ask->v = *v;

    ngx_http_travel_shard_lock(v->shard);

    lease = ngx_http_travel_slots_lease_locked(v);

    if (lease) {
        ask->sent = lease->asking - v->policy->timeout;
        ask->owed = lease->credit;
        ask->back = lease->back;

        want = ngx_min(v->policy->slice, 2 * (uint64_t) lease->used + 1);
        want = ngx_max(want, v->cost);
        want -= ngx_min(want, lease->left);
        lease->used = 0;

    } else {
        ask->owed = 0;
        ask->back = 0;
        want = 0;
    }

    figures[0] = ask->owed;
    figures[1] = want ? 1 : 0;
    figures[2] = want;
    figures[3] = v->policy->life;
    figures[4] = ask->back;
    figures[5] = lease ? (int64_t) lease->at : 0;

    ngx_http_travel_shard_unlock(v->shard);

    ngx_http_travel_count(v->policy->leases, 1);

    if (ngx_http_travel_shared_send(op, v, figures) != NGX_OK) {
        ngx_http_travel_shared_lost(v);
        ngx_free(ask);
    }
}


static void
ngx_http_travel_shared_leased(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    int64_t                        granted, at;
    ngx_uint_t                     n;
    ngx_http_travel_lease_t       *lease;
    ngx_http_travel_verdict_t      v;
    ngx_http_travel_shared_ask_t  *ask = op->data;

    v = ask->v;
    v.worst = 0;

    if (reply == NULL
        || ngx_http_travel_reply_type(reply) != NGX_HTTP_TRAVEL_REPLY_ARRAY
        || ngx_http_travel_reply_count(reply) < 2 + 3 * v.policy->nwindows)
    {
        ngx_http_travel_shared_lost(&v);
        ngx_free(ask);
        return;
    }

    granted = ngx_http_travel_reply_int(ngx_http_travel_reply_elt(reply, 0));
    at = ngx_http_travel_reply_int(ngx_http_travel_reply_elt(reply, 1));

    ngx_http_travel_shard_lock(v.shard);

    lease = ngx_http_travel_slots_lease_locked(&v);

    if (lease) {
        lease->asking = 0;
        lease->told = ngx_http_travel_slots_now();
        lease->credit -= ngx_min(lease->credit, ask->owed);
        lease->back -= ngx_min(lease->back, ask->back);
        lease->blocks = 0;
        lease->closed = 0;

        if (granted > 0) {

            /* what was held before ends as it would have */
            if (lease->left == 0 || lease->told >= lease->until) {
                lease->back += lease->left;
                lease->left = 0;
                lease->until = ask->sent + v.policy->life;
                lease->at = (uint64_t) at;
            }

            lease->left += (uint32_t) granted;
        }

        for (n = 0; n < v.policy->nwindows; n++) {
            ngx_http_travel_shared_figures(&v, n,
                ngx_http_travel_reply_int(
                                 ngx_http_travel_reply_elt(reply, 2 + 3 * n)),
                ngx_http_travel_reply_int(
                                 ngx_http_travel_reply_elt(reply, 3 + 3 * n)));

            lease->rooms[n] = v.room[n];
            lease->waits[n] = v.wait[n];

            at = ngx_http_travel_reply_int(
                                  ngx_http_travel_reply_elt(reply, 4 + 3 * n));

            if (granted == 0 && at > 0) {
                lease->blocks |= (uint8_t) (1u << n);
                lease->closed = ngx_max(lease->closed,
                                        lease->told + (uint64_t) at);
            }
        }
    }

    ngx_http_travel_shard_unlock(v.shard);

    ngx_free(ask);
}
