/*
 * Costs that only a job's end tells: the tokens of a language model.
 *
 * A request is admitted at its reserve; the claim on that (quota_claim.h) goes
 * with the command, and comes back with the cost on a stream of the queue role
 * that workers write and all nginx workers of all nodes tail.  The node that
 * made the claim, whichever of its workers reads it first, puts the cost in the
 * reserve's place: in its zone, in Redis where that was asked, and in what it
 * owes there where it has a lease.
 *
 * Nothing is kept here: what was read last is in the zone, under its lock.  A
 * claim whose slot is gone, whose node began anew, or that was trimmed away
 * unread, has cost its reserve.
 */

#include "ngx_http_travel_shared.h"
#include "../net/ngx_http_travel_redis.h"
#include "../../common/quota_claim.h"


static void ngx_http_travel_settled_on_up(void *data, ngx_str_t *after);
static void ngx_http_travel_settled_on_start(void *data, ngx_str_t *after);
static void ngx_http_travel_settled_on_entry(void *data, ngx_str_t *id,
    const ngx_http_travel_reply_t *fields);
static void ngx_http_travel_settled_on_batch(void *data, ngx_uint_t newest);
static ngx_int_t ngx_http_travel_settled_read(
    const ngx_http_travel_reply_t *fields, travel_quota_claim_t *ret_claim,
    uint64_t *ret_cost);
static void ngx_http_travel_settled_charge(const travel_quota_claim_t *claim,
    uint32_t cost);
static ngx_http_travel_policy_t *ngx_http_travel_settled_policy(uint64_t id);


static ngx_http_travel_limit_main_conf_t  *ngx_http_travel_settled_conf;
static ngx_http_travel_redis_tail_t        ngx_http_travel_settled_tail;
static u_char                              ngx_http_travel_settled_after[64];
static travel_stream_id_t                  ngx_http_travel_settled_asked;


/* --- a request is admitted ----------------------------------------------- */

ngx_int_t
ngx_http_travel_settled_claim(ngx_http_request_t *r,
    ngx_http_travel_limit_main_conf_t *lmcf, ngx_http_travel_verdict_t *v)
{
    ngx_http_travel_ctx_t  *ctx;
    travel_quota_claim_t    claim;

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx->quota.len != 0) {
        return NGX_OK;
    }

    ngx_memzero(&claim, sizeof(travel_quota_claim_t));

    claim.node = ngx_http_travel_slots_node(lmcf->zone);
    claim.policy = v->policy->id;
    claim.hash = v->hash;
    claim.at = v->at;
    claim.shared_at = v->shared_counted ? v->shared_at : 0;
    claim.born = v->born;
    claim.cost = v->counted ? v->cost : 0;
    claim.day = v->day.day;
    claim.left = v->day.left;
    ngx_memcpy(claim.marks, v->marks, sizeof(v->marks));

    if (v->policy->mode != NGX_HTTP_TRAVEL_MODE_LOCAL) {
        claim.key_len = v->key_len;
        ngx_memcpy(claim.key, v->key, v->key_len);
    }

    ctx->quota.data = ngx_pnalloc(r->pool, TRAVEL_QUOTA_CLAIM_MAX);
    if (ctx->quota.data == NULL) {
        return NGX_ERROR;
    }

    ctx->quota.len = travel_quota_claim_format((char *) ctx->quota.data,
                                               &claim);

    return NGX_OK;
}


/* --- costs come in ------------------------------------------------------- */

ngx_int_t
ngx_http_travel_settled_start(ngx_cycle_t *cycle,
    ngx_http_travel_limit_main_conf_t *lmcf)
{
    ngx_http_travel_redis_tail_t  *tail = &ngx_http_travel_settled_tail;

    ngx_http_travel_settled_conf = lmcf;

    ngx_str_set(&tail->stream, TRAVEL_KEY_QUOTA);
    tail->on_up = ngx_http_travel_settled_on_up;
    tail->on_start = ngx_http_travel_settled_on_start;
    tail->on_entry = ngx_http_travel_settled_on_entry;
    tail->on_batch = ngx_http_travel_settled_on_batch;

    return ngx_http_travel_redis_tail(cycle, NGX_HTTP_TRAVEL_REDIS_QUEUE,
                                      tail)
           == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/* A zone that is new has made no claim that was charged before now. */
static void
ngx_http_travel_settled_on_up(void *data, ngx_str_t *after)
{
    travel_stream_id_t  id;

    id = ngx_http_travel_slots_settled(ngx_http_travel_settled_conf->zone);
    ngx_http_travel_settled_asked = id;

    if (id.ms == 0) {
        ngx_str_set(after, "$");
        return;
    }

    after->data = ngx_http_travel_settled_after;
    after->len = travel_stream_id_format((char *) after->data, id);
}


static void
ngx_http_travel_settled_on_start(void *data, ngx_str_t *after)
{
    travel_stream_id_t  id;

    if (travel_stream_id_parse(&id, ngx_http_travel_view(after)) == TRAVEL_OK) {
        ngx_http_travel_slots_restart(ngx_http_travel_settled_conf->zone,
                                      ngx_http_travel_settled_asked, id);
    }
}


static void
ngx_http_travel_settled_on_batch(void *data, ngx_uint_t newest)
{
    /* each entry has been told already */
}


static void
ngx_http_travel_settled_on_entry(void *data, ngx_str_t *id,
    const ngx_http_travel_reply_t *fields)
{
    uint64_t               cost;
    travel_stream_id_t     at;
    travel_quota_claim_t   claim;
    ngx_http_travel_zone_t  *zone;

    zone = ngx_http_travel_settled_conf->zone;

    if (travel_stream_id_parse(&at, ngx_http_travel_view(id)) != TRAVEL_OK
        || !ngx_http_travel_slots_settle(zone, at))
    {
        return;
    }

    if (ngx_http_travel_settled_read(fields, &claim, &cost) == NGX_OK
        && claim.node == ngx_http_travel_slots_node(zone))
    {
        ngx_http_travel_settled_charge(&claim,
            (uint32_t) ngx_min(cost, TRAVEL_WINDOW_QUOTA_MAX));
    }
}


static ngx_int_t
ngx_http_travel_settled_read(const ngx_http_travel_reply_t *fields,
    travel_quota_claim_t *ret_claim, uint64_t *ret_cost)
{
    ngx_str_t   name, value;
    ngx_uint_t  i, count, seen;

    count = ngx_http_travel_reply_count(fields);

    for (i = 0, seen = 0; i + 1 < count; i += 2) {
        name = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(fields, i));
        value = ngx_http_travel_reply_str(
                                     ngx_http_travel_reply_elt(fields, i + 1));

        if (name.len == 5 && ngx_strncmp(name.data, "claim", 5) == 0
            && travel_quota_claim_parse(ret_claim,
                                        ngx_http_travel_view(&value))
               == TRAVEL_OK)
        {
            seen |= 1;

        } else if (name.len == 4 && ngx_strncmp(name.data, "cost", 4) == 0
                   && travel_digits_parse(ret_cost,
                                          ngx_http_travel_view(&value))
                      == TRAVEL_OK)
        {
            seen |= 2;
        }
    }

    return (seen == 3) ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_travel_settled_charge(const travel_quota_claim_t *claim,
    uint32_t cost)
{
    ngx_http_travel_verdict_t  v;

    ngx_memzero(&v, sizeof(ngx_http_travel_verdict_t));

    v.policy = ngx_http_travel_settled_policy(claim->policy);

    if (v.policy == NULL || claim->key_len >= sizeof(v.key)) {
        return;                          /* of another configuration */
    }

    v.hash = claim->hash;
    v.born = claim->born;
    v.at = claim->at;
    v.cost = claim->more ? 0 : claim->cost;
    v.counted = (v.cost != 0);
    v.shared_at = claim->shared_at;
    v.shared_counted = (claim->shared_at != 0);
    v.day.day = claim->day;
    v.day.left = claim->left;
    v.key_len = (u_char) claim->key_len;
    ngx_memcpy(v.key, claim->key, claim->key_len);
    ngx_memcpy(v.marks, claim->marks, sizeof(v.marks));

    ngx_http_travel_count(ngx_http_travel_settled_conf->tokens, cost);

    ngx_http_travel_shared_charge(&v, cost);

    if (ngx_http_travel_slots_again(ngx_http_travel_settled_conf->zone, &v)
        == NGX_OK)
    {
        ngx_http_travel_slots_charge(&v, cost);
    }
}


static ngx_http_travel_policy_t *
ngx_http_travel_settled_policy(uint64_t id)
{
    ngx_uint_t                  i;
    ngx_http_travel_policy_t  **policy;

    policy = ngx_http_travel_settled_conf->policies.elts;

    for (i = 0; i < ngx_http_travel_settled_conf->policies.nelts; i++) {
        if (policy[i]->id == id) {
            return policy[i];
        }
    }

    return NULL;
}
