/*
 * Durable operations: on a replicated server they hear nothing until replicas
 * have what they wrote.
 *
 * All that one turn of the loop asks a server for is followed by one WAIT, the
 * barrier; until its answer the replies are held as copies, since hiredis frees
 * its own.  A call whose command was sent once more, because a script was not
 * known or a cluster's slot had moved, waits behind a barrier of that server,
 * too; that it had enough replicas must be the word of all of them.
 */

#include "ngx_http_travel_redis_call.h"


/* A WAIT, and whose writes it is about. */
typedef struct {
    ngx_http_travel_redis_node_t  *node;
    ngx_queue_t                    calls;
} ngx_http_travel_redis_barrier_t;


static void ngx_http_travel_redis_barred(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_travel_redis_unbar(ngx_http_travel_redis_call_t *call,
    ngx_int_t acks);


/* One more answer to wait for. */
void
ngx_http_travel_redis_gather(ngx_http_travel_redis_call_t *call)
{
    if (call->gathered || call->barred || call->node->link.conf->acks == 0) {
        return;
    }

    ngx_queue_insert_tail(&call->node->durable, &call->durable);
    call->gathered = 1;
    call->outstanding++;
}


void
ngx_http_travel_redis_ungather(ngx_http_travel_redis_call_t *call)
{
    if (call->gathered) {
        ngx_queue_remove(&call->durable);
        call->gathered = 0;
        call->outstanding--;
    }
}


void
ngx_http_travel_redis_bar(ngx_http_travel_link_t *link)
{
    u_char                            acks[NGX_INT_T_LEN];
    u_char                            time[NGX_INT_T_LEN];
    size_t                            len[3];
    ngx_queue_t                      *q;
    const char                       *argv[3];
    ngx_http_travel_redis_call_t     *call;
    ngx_http_travel_redis_node_t     *node;
    ngx_http_travel_redis_barrier_t  *barrier;

    node = link->data;

    if (ngx_queue_empty(&node->durable)) {
        return;
    }

    barrier = ngx_alloc(sizeof(ngx_http_travel_redis_barrier_t),
                        ngx_cycle->log);
    if (barrier == NULL) {
        return;                     /* their deadline will tell */
    }

    argv[0] = "WAIT";
    len[0] = 4;
    argv[1] = (char *) acks;
    len[1] = ngx_sprintf(acks, "%ui", link->conf->acks) - acks;
    argv[2] = (char *) time;
    len[2] = ngx_sprintf(time, "%M", link->conf->timeout / 2) - time;

    if (ngx_http_travel_link_send(link, ngx_http_travel_redis_barred, barrier,
                                  3, argv, len)
        != NGX_OK)
    {
        ngx_free(barrier);
        return;
    }

    barrier->node = node;
    ngx_queue_init(&barrier->calls);
    ngx_queue_add(&barrier->calls, &node->durable);
    ngx_queue_init(&node->durable);

    for (q = ngx_queue_head(&barrier->calls);
         q != ngx_queue_sentinel(&barrier->calls);
         q = ngx_queue_next(q))
    {
        call = ngx_queue_data(q, ngx_http_travel_redis_call_t, durable);
        call->gathered = 0;
        call->barred = 1;
    }
}


static void
ngx_http_travel_redis_barred(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_int_t                         acks;
    ngx_uint_t                        need;
    redisReply                       *r;
    ngx_queue_t                      *q;
    ngx_http_travel_redis_call_t     *call;
    ngx_http_travel_redis_conf_t     *conf;
    ngx_http_travel_redis_barrier_t  *barrier;

    (void) ac;

    r = reply;
    barrier = data;
    conf = barrier->node->link.conf;
    need = conf->acks;
    acks = r && r->type == REDIS_REPLY_INTEGER ? (ngx_int_t) r->integer
                                               : NGX_ERROR;

    if (r && acks < (ngx_int_t) need) {
        ngx_http_travel_count(conf->counters.timeouts, 1);
    }

    while (!ngx_queue_empty(&barrier->calls)) {
        q = ngx_queue_head(&barrier->calls);
        ngx_queue_remove(q);

        call = ngx_queue_data(q, ngx_http_travel_redis_call_t, durable);
        call->barred = 0;
        call->outstanding--;

        if (r && !call->done && (call->outstanding || call->rebar)) {
            /* asked again, behind the WAIT or elsewhere */
            call->rebar = 0;
            call->few |= acks < (ngx_int_t) need && call->spread;
            ngx_http_travel_redis_gather(call);

            if (!call->node->link.flush.posted) {
                ngx_post_event(&call->node->link.flush, &ngx_posted_events);
            }

            continue;
        }

        ngx_http_travel_redis_unbar(call, call->few ? 0 : acks);
    }

    ngx_free(barrier);
}


/* The replies that were held; what the server refused was not done, whoever
 * has what. */
static void
ngx_http_travel_redis_unbar(ngx_http_travel_redis_call_t *call, ngx_int_t acks)
{
    ngx_uint_t   i;
    redisReply  *last;

    last = call->commands ? call->held[call->commands - 1] : NULL;

    if (last == NULL || (acks < (ngx_int_t) call->node->link.conf->acks
                         && last->type != REDIS_REPLY_ERROR))
    {
        ngx_http_travel_redis_lost(call, 0, acks == NGX_ERROR
                                   ? call->node->link.why
                                   : "too few replicas have it");
        ngx_http_travel_redis_call_end(call);
        return;
    }

    ngx_http_travel_redis_unwait(call);
    call->busy = 1;

    for (i = 0; i < call->commands && !call->done; i++) {
        call->op.handler(&call->op, i,
                         (ngx_http_travel_reply_t *) call->held[i]);
    }

    call->busy = 0;
    ngx_http_travel_redis_call_end(call);
}


ngx_uint_t
ngx_http_travel_redis_hold(ngx_http_travel_redis_call_t *call, ngx_uint_t i,
    const redisReply *reply)
{
    if (i >= NGX_HTTP_TRAVEL_REDIS_HELD) {
        return 0;
    }

    call->held[i] = ngx_http_travel_reply_copy(reply);

    return call->held[i] != NULL;
}
