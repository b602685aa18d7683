/* What nodes share of a limit, see ngx_http_travel_shared.c. */

#ifndef NGX_HTTP_TRAVEL_SHARED_H
#define NGX_HTTP_TRAVEL_SHARED_H

#include "ngx_http_travel_policy.h"
#include "../net/ngx_http_travel_redis.h"

/* Is Redis there, as far as this worker knows? */
ngx_uint_t ngx_http_travel_shared_up(void);

/* v->key, as Redis and the other nodes know it. */
ngx_int_t ngx_http_travel_shared_key(ngx_http_travel_verdict_t *v,
    const ngx_str_t *key);

/*
 * Asks the script for v->cost; 'handler' hears.  NGX_AGAIN; NGX_DECLINED: there
 * is no Redis; NGX_ERROR.
 */
ngx_int_t ngx_http_travel_shared_ask(ngx_http_request_t *r,
    const ngx_http_travel_verdict_t *v,
    ngx_http_travel_redis_handler_pt handler);

/* Asks for several at once, all or none; at most NGX_HTTP_TRAVEL_LIMIT_CALL. */
ngx_int_t ngx_http_travel_shared_ask_all(ngx_http_request_t *r,
    ngx_http_travel_verdict_t **verdicts, ngx_uint_t n,
    ngx_http_travel_redis_handler_pt handler);

/* What it answered, as the verdict; NGX_DECLINED: nothing. */
ngx_int_t ngx_http_travel_shared_answer(ngx_http_travel_verdict_t *v,
    const ngx_http_travel_reply_t *reply);

/* In place of what v counted in Redis 'cost' counts there. */
void ngx_http_travel_shared_charge(ngx_http_travel_verdict_t *v,
    uint32_t cost);

/* Asks for a lease, as v->asks wants. */
void ngx_http_travel_shared_lease(ngx_http_travel_verdict_t *v);

/* Under the shard's lock, for slots. */
void ngx_http_travel_shared_take_locked(ngx_http_travel_lease_t *lease,
    ngx_http_travel_verdict_t *v);
void ngx_http_travel_shared_undo_locked(ngx_http_travel_lease_t *lease,
    ngx_http_travel_verdict_t *v);
void ngx_http_travel_shared_report_locked(const ngx_http_travel_lease_t *lease,
    ngx_http_travel_verdict_t *v);

#endif
