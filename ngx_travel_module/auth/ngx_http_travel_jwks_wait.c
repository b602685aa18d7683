/*
 * Requests that wait for a key.
 *
 * A request whose key is not there is parked in the access phase while a fetch
 * may bring it: not for longer than wait=, once only, and so many at a time in
 * one worker; beyond that it is judged by the keys there are.  The queue is
 * this process's own.  A fetch of this process ends the wait by
 * jwks_wake(); that of another worker is noticed by a timer, which runs only
 * while somebody waits and keeps a worker that is to go, as any request under
 * way does.
 *
 * A waiter lies in its request's pool, and a cleanup takes it out of the queue
 * when the request ends before the wait does.
 */

#include "ngx_http_travel_bearer.h"


#define NGX_HTTP_TRAVEL_WAITERS_MAX   128
#define NGX_HTTP_TRAVEL_WAITERS_LOOK  20          /* ms */

typedef struct {
    ngx_queue_t              queue;
    ngx_http_request_t      *request;   /* NULL: it waits no more */
    ngx_http_travel_jwks_t  *jwks;
    uint64_t                 lease;
    ngx_msec_t               until;
} ngx_http_travel_waiter_t;


static ngx_int_t ngx_http_travel_waiter_park(ngx_http_request_t *r,
    ngx_http_travel_waiter_t *waiter);
static void ngx_http_travel_waiters_look(ngx_event_t *ev);
static void ngx_http_travel_waiter_gone(void *data);
static void ngx_http_travel_waiter_resume(ngx_http_travel_waiter_t *waiter);


static ngx_queue_t          ngx_http_travel_waiters;
static ngx_uint_t           ngx_http_travel_waiters_n;
static ngx_event_t          ngx_http_travel_waiters_timer;
static ngx_connection_t     ngx_http_travel_waiters_ident;

/* The request that is being called again after its wait. */
static ngx_http_request_t  *ngx_http_travel_resumed;


ngx_int_t
ngx_http_travel_jwks_wait(ngx_http_request_t *r, ngx_http_travel_jwks_t *jwks)
{
    uint64_t                   lease;
    ngx_http_travel_waiter_t  *waiter;

    /* the fetch is wanted even where nobody may wait for it */
    if (jwks->source == NULL || r == ngx_http_travel_resumed
        || ngx_http_travel_jwks_source_ask(jwks, &lease) != NGX_AGAIN
        || jwks->source->wait == 0
        || ngx_http_travel_waiters_n == NGX_HTTP_TRAVEL_WAITERS_MAX)
    {
        return NGX_DECLINED;
    }

    waiter = ngx_palloc(r->pool, sizeof(ngx_http_travel_waiter_t));
    if (waiter == NULL) {
        return NGX_DECLINED;
    }

    waiter->jwks = jwks;
    waiter->lease = lease;
    waiter->until = ngx_current_msec + jwks->source->wait;

    return ngx_http_travel_waiter_park(r, waiter);
}


static ngx_int_t
ngx_http_travel_waiter_park(ngx_http_request_t *r,
    ngx_http_travel_waiter_t *waiter)
{
    ngx_event_t         *ev;
    ngx_http_cleanup_t  *cln;

    /* so that a client that leaves is noticed */
    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        return NGX_DECLINED;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_DECLINED;
    }

    cln->handler = ngx_http_travel_waiter_gone;
    cln->data = waiter;

    if (ngx_http_travel_waiters.prev == NULL) {
        ngx_queue_init(&ngx_http_travel_waiters);
    }

    waiter->request = r;
    ngx_queue_insert_tail(&ngx_http_travel_waiters, &waiter->queue);
    ngx_http_travel_waiters_n++;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ev = &ngx_http_travel_waiters_timer;

    if (!ev->timer_set) {
        ngx_http_travel_waiters_ident.fd = (ngx_socket_t) -1;
        ev->handler = ngx_http_travel_waiters_look;
        ev->data = &ngx_http_travel_waiters_ident;
        ev->log = ngx_cycle->log;
        ngx_add_timer(ev, NGX_HTTP_TRAVEL_WAITERS_LOOK);
    }

    return NGX_OK;
}


static void
ngx_http_travel_waiter_gone(void *data)
{
    ngx_http_travel_waiter_t  *waiter = data;

    if (waiter->request != NULL) {
        ngx_queue_remove(&waiter->queue);
        waiter->request = NULL;
        ngx_http_travel_waiters_n--;
    }
}


static void
ngx_http_travel_waiters_look(ngx_event_t *ev)
{
    ngx_http_travel_jwks_wake();

    if (ngx_http_travel_waiters_n != 0 && !ev->timer_set) {
        ngx_add_timer(ev, NGX_HTTP_TRAVEL_WAITERS_LOOK);
    }
}


/* Those whose wait is over stand in a queue of their own before the first of
 * them is called: it may take others with it, or come back. */
void
ngx_http_travel_jwks_wake(void)
{
    ngx_queue_t               *q, *next, ready;
    ngx_http_travel_waiter_t  *waiter;

    if (ngx_http_travel_waiters_n == 0) {
        return;
    }

    ngx_queue_init(&ready);

    for (q = ngx_queue_head(&ngx_http_travel_waiters);
         q != ngx_queue_sentinel(&ngx_http_travel_waiters);
         q = next)
    {
        next = ngx_queue_next(q);
        waiter = ngx_queue_data(q, ngx_http_travel_waiter_t, queue);

        if (waiter->until <= ngx_current_msec
            || !ngx_http_travel_jwks_source_busy(waiter->jwks, waiter->lease))
        {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&ready, q);
        }
    }

    while (!ngx_queue_empty(&ready)) {
        q = ngx_queue_head(&ready);
        waiter = ngx_queue_data(q, ngx_http_travel_waiter_t, queue);

        ngx_http_travel_waiter_resume(waiter);
    }
}


static void
ngx_http_travel_waiter_resume(ngx_http_travel_waiter_t *waiter)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = waiter->request;
    c = r->connection;

    ngx_http_travel_waiter_gone(waiter);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_set_log_request(c->log, r);

    ngx_http_travel_resumed = r;
    ngx_http_core_run_phases(r);
    ngx_http_travel_resumed = NULL;

    ngx_http_run_posted_requests(c);
}
