/*
 * Fills that are running, and who of this nginx worker waits for them.
 *
 * Process memory, one thread.  A running fill belongs to the request that
 * began it and lives in its pool; a waiter belongs to its own.  Whichever
 * request ends first takes itself out through its pool's cleanup: a fill whose
 * request died wakes its waiters, and the first of them begins anew.
 *
 * A fill of another nginx worker is known by its lease (lease.c).  Who waits
 * for it joins a record that has no request, on the heap: its timer looks at
 * the lease again and again, and ends the record when that is gone.
 */

#include "ngx_http_travel_cache_room.h"


#define NGX_HTTP_TRAVEL_FILL_BUCKETS   256
#define NGX_HTTP_TRAVEL_FILL_WAITERS   1000     /* per nginx worker */
#define NGX_HTTP_TRAVEL_FILL_LOOK      2        /* ms, first, then doubled */
#define NGX_HTTP_TRAVEL_FILL_LOOK_MAX  16


typedef struct {
    ngx_queue_t             queue;       /* next NULL: ended */
    ngx_queue_t             waiters;
    ngx_http_request_t     *request;     /* which runs it; NULL: elsewhere */
    uint64_t                hash;
    ngx_str_t               key;
    uint64_t                tags[NGX_HTTP_TRAVEL_TAGS_MAX];
    ngx_uint_t              ntags;
    travel_stream_id_t      pos;
    uint64_t                generation;
    uint32_t                lease;       /* its serial */
} ngx_http_travel_running_t;

typedef struct {
    ngx_http_travel_running_t  run;      /* first */
    ngx_event_t                event;
    ngx_connection_t           dummy;    /* nginx wants an fd in event.data */
    ngx_http_travel_fill_t     fill;     /* what its lease is judged by */
    travel_stream_id_t         need;
    ngx_msec_t                 step;
} ngx_http_travel_elsewhere_t;

typedef struct {
    ngx_queue_t             queue;       /* next NULL: left */
    ngx_event_t             event;
    ngx_http_request_t     *request;
    void                  (*woken)(ngx_http_request_t *r);
} ngx_http_travel_joined_t;


static ngx_http_travel_running_t *ngx_http_travel_fills_find(
    const ngx_http_travel_fill_t *fill);
static ngx_http_travel_running_t *ngx_http_travel_elsewhere(
    const ngx_http_travel_fill_t *fill, travel_stream_id_t need);
static void ngx_http_travel_elsewhere_look(ngx_event_t *ev);
static void ngx_http_travel_running_end(void *data);
static void ngx_http_travel_joined_woken(ngx_event_t *ev);
static void ngx_http_travel_joined_leave(void *data);


static ngx_queue_t  ngx_http_travel_fills[NGX_HTTP_TRAVEL_FILL_BUCKETS];
static ngx_uint_t   ngx_http_travel_fills_waiting;


static ngx_queue_t *
ngx_http_travel_fills_bucket(uint64_t hash)
{
    ngx_queue_t  *bucket;

    bucket = &ngx_http_travel_fills[hash % NGX_HTTP_TRAVEL_FILL_BUCKETS];

    if (bucket->next == NULL) {
        ngx_queue_init(bucket);
    }

    return bucket;
}


static ngx_http_travel_running_t *
ngx_http_travel_fills_find(const ngx_http_travel_fill_t *fill)
{
    ngx_queue_t                *q, *bucket;
    ngx_http_travel_running_t  *run;

    bucket = ngx_http_travel_fills_bucket(fill->hash);

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        run = ngx_queue_data(q, ngx_http_travel_running_t, queue);

        if (run->hash == fill->hash && run->key.len == fill->key.len
            && run->ntags == fill->ntags
            && ngx_memcmp(run->tags, fill->tags,
                          run->ntags * sizeof(uint64_t)) == 0
            && ngx_memcmp(run->key.data, fill->key.data, fill->key.len) == 0)
        {
            return run;
        }
    }

    return NULL;
}


travel_stream_id_t
ngx_http_travel_fills_need(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t floor)
{
    ngx_uint_t          k;
    travel_lsn_t        lsn;
    travel_stream_id_t  last;

    for (k = 0; k < fill->ntags && fill->generation != 0; k++) {
        ngx_http_travel_tag_last(fill->tags[k], &last, &lsn);

        if (travel_stream_id_cmp(last, floor) > 0) {
            floor = last;
        }
    }

    return floor;
}


ngx_uint_t
ngx_http_travel_fills_running(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t floor)
{
    travel_stream_id_t          need, pos;
    ngx_http_travel_running_t  *run;

    need = ngx_http_travel_fills_need(fill, floor);
    run = ngx_http_travel_fills_find(fill);

    if (run != NULL && run->generation == fill->generation
        && travel_stream_id_cmp(run->pos, need) >= 0)
    {
        return 1;
    }

    return ngx_http_travel_lease_held(fill, need, &pos);
}


ngx_int_t
ngx_http_travel_cache_begin(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill)
{
    uint32_t                    lease;
    ngx_pool_cleanup_t         *cln;
    ngx_http_travel_running_t  *run;

    if (!fill->enabled || !fill->fresh) {
        return NGX_DECLINED;
    }

    if (ngx_http_travel_lease_take(fill,
                                   ngx_http_travel_fills_need(fill, fill->need),
                                   &lease)
        != NGX_OK)
    {
        return NGX_BUSY;
    }

    /* an overtaken fill goes on alone; its key is ours now */

    run = ngx_http_travel_fills_find(fill);

    if (run != NULL) {
        ngx_http_travel_running_end(run);
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_travel_running_t));
    if (cln == NULL) {
        ngx_http_travel_lease_drop(fill->hash, lease);
        return NGX_ERROR;
    }

    run = cln->data;
    run->request = r;
    run->lease = lease;
    run->hash = fill->hash;
    run->key = fill->key;
    run->ntags = fill->ntags;
    ngx_memcpy(run->tags, fill->tags, fill->ntags * sizeof(uint64_t));
    run->pos = fill->pos;
    run->generation = fill->generation;
    ngx_queue_init(&run->waiters);

    ngx_queue_insert_tail(ngx_http_travel_fills_bucket(fill->hash),
                          &run->queue);
    cln->handler = ngx_http_travel_running_end;

    return NGX_OK;
}


void
ngx_http_travel_fills_end(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill)
{
    ngx_http_travel_running_t  *run;

    run = ngx_http_travel_fills_find(fill);

    if (run != NULL && run->request == r) {
        ngx_http_travel_running_end(run);
    }
}


static void
ngx_http_travel_running_end(void *data)
{
    ngx_http_travel_running_t  *run = data;

    ngx_queue_t                  *q;
    ngx_http_travel_joined_t     *joined;
    ngx_http_travel_elsewhere_t  *elsewhere;

    if (run->queue.next == NULL) {
        return;
    }

    ngx_queue_remove(&run->queue);
    run->queue.next = NULL;

    ngx_http_travel_lease_drop(run->hash, run->lease);

    while (!ngx_queue_empty(&run->waiters)) {
        q = ngx_queue_head(&run->waiters);
        joined = ngx_queue_data(q, ngx_http_travel_joined_t, queue);

        ngx_queue_remove(q);
        ngx_queue_init(q);

        ngx_post_event(&joined->event, &ngx_posted_events);
    }

    if (run->request == NULL) {
        elsewhere = (ngx_http_travel_elsewhere_t *) run;

        if (elsewhere->event.timer_set) {
            ngx_del_timer(&elsewhere->event);
        }

        ngx_free(elsewhere);
    }
}


/* --- fills of other nginx workers ---------------------------------------- */

static ngx_http_travel_running_t *
ngx_http_travel_elsewhere(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t need)
{
    travel_stream_id_t            pos;
    ngx_http_travel_elsewhere_t  *e;

    if (!ngx_http_travel_lease_held(fill, need, &pos)) {
        return NULL;
    }

    e = ngx_calloc(sizeof(ngx_http_travel_elsewhere_t) + fill->key.len,
                   ngx_cycle->log);
    if (e == NULL) {
        return NULL;
    }

    e->fill = *fill;
    e->need = need;
    e->fill.key.data = (u_char *) (e + 1);
    ngx_memcpy(e->fill.key.data, fill->key.data, fill->key.len);

    e->run.hash = fill->hash;
    e->run.key = e->fill.key;
    e->run.ntags = fill->ntags;
    ngx_memcpy(e->run.tags, fill->tags, fill->ntags * sizeof(uint64_t));
    e->run.pos = pos;
    e->run.generation = fill->generation;
    ngx_queue_init(&e->run.waiters);

    ngx_queue_insert_tail(ngx_http_travel_fills_bucket(fill->hash),
                          &e->run.queue);

    e->step = NGX_HTTP_TRAVEL_FILL_LOOK;
    e->dummy.fd = (ngx_socket_t) -1;
    e->event.data = &e->dummy;
    e->event.handler = ngx_http_travel_elsewhere_look;
    e->event.log = ngx_cycle->log;
    e->event.cancelable = 1;             /* who waits has timers of their own */

    ngx_add_timer(&e->event, e->step);

    return &e->run;
}


static void
ngx_http_travel_elsewhere_look(ngx_event_t *ev)
{
    travel_stream_id_t            pos;
    ngx_http_travel_elsewhere_t  *e;

    e = (ngx_http_travel_elsewhere_t *)
            ((u_char *) ev - offsetof(ngx_http_travel_elsewhere_t, event));

    if (ngx_queue_empty(&e->run.waiters)
        || !ngx_http_travel_lease_held(&e->fill, e->need, &pos))
    {
        ngx_http_travel_running_end(&e->run);
        return;
    }

    e->step = ngx_min(e->step * 2, NGX_HTTP_TRAVEL_FILL_LOOK_MAX);
    ngx_add_timer(&e->event, e->step);
}


ngx_int_t
ngx_http_travel_cache_wait(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill, ngx_msec_t timeout,
    void (*woken)(ngx_http_request_t *r))
{
    ngx_pool_cleanup_t         *cln;
    travel_stream_id_t          need;
    ngx_http_travel_joined_t   *joined;
    ngx_http_travel_running_t  *run;

    if (ngx_http_travel_fills_waiting == NGX_HTTP_TRAVEL_FILL_WAITERS) {
        return NGX_ERROR;
    }

    need = ngx_http_travel_fills_need(fill, fill->need);
    run = ngx_http_travel_fills_find(fill);

    if (run == NULL || run->generation != fill->generation
        || travel_stream_id_cmp(run->pos, need) < 0)
    {
        if (run != NULL && run->request == NULL) {
            ngx_http_travel_running_end(run);
        }

        run = ngx_http_travel_elsewhere(fill, need);
    }

    if (run == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_travel_joined_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    joined = cln->data;
    ngx_memzero(joined, sizeof(ngx_http_travel_joined_t));

    joined->request = r;
    joined->woken = woken;
    joined->event.data = joined;
    joined->event.handler = ngx_http_travel_joined_woken;
    joined->event.log = r->connection->log;

    cln->handler = ngx_http_travel_joined_leave;

    ngx_queue_insert_tail(&run->waiters, &joined->queue);
    ngx_add_timer(&joined->event, timeout);
    ngx_http_travel_fills_waiting++;

    return NGX_OK;
}


static void
ngx_http_travel_joined_woken(ngx_event_t *ev)
{
    ngx_http_travel_joined_t  *joined;

    joined = ev->data;

    ngx_http_travel_joined_leave(joined);
    joined->woken(joined->request);
}


static void
ngx_http_travel_joined_leave(void *data)
{
    ngx_http_travel_joined_t  *joined = data;

    if (joined->queue.next == NULL) {
        return;
    }

    ngx_queue_remove(&joined->queue);
    joined->queue.next = NULL;
    ngx_http_travel_fills_waiting--;

    if (joined->event.timer_set) {
        ngx_del_timer(&joined->event);
    }

    if (joined->event.posted) {
        ngx_delete_posted_event(&joined->event);
    }
}
