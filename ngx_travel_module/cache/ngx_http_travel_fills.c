/*
 * Fills that are running in this nginx worker, and who waits for them.
 *
 * Process memory, one thread.  A running fill belongs to the request that
 * began it and lives in its pool; a waiter belongs to its own.  Whichever
 * request ends first takes itself out through its pool's cleanup: a fill whose
 * request died wakes its waiters, and the first of them begins anew.
 */

#include "ngx_http_travel_cache_room.h"


#define NGX_HTTP_TRAVEL_FILL_BUCKETS   256
#define NGX_HTTP_TRAVEL_FILL_WAITERS   1000     /* per nginx worker */


typedef struct {
    ngx_queue_t             queue;       /* next NULL: ended */
    ngx_queue_t             waiters;
    ngx_http_request_t     *request;     /* which runs it */
    uint64_t                hash;
    ngx_str_t               key;
    uint64_t                tags[NGX_HTTP_TRAVEL_TAGS_MAX];
    ngx_uint_t              ntags;
    travel_stream_id_t      pos;
    uint64_t                generation;
} ngx_http_travel_running_t;

typedef struct {
    ngx_queue_t             queue;       /* next NULL: left */
    ngx_event_t             event;
    ngx_http_request_t     *request;
    void                  (*woken)(ngx_http_request_t *r);
} ngx_http_travel_joined_t;


static ngx_http_travel_running_t *ngx_http_travel_fills_find(
    const ngx_http_travel_fill_t *fill);
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


ngx_uint_t
ngx_http_travel_fills_running(const ngx_http_travel_fill_t *fill,
    travel_stream_id_t floor)
{
    ngx_uint_t                  k;
    travel_lsn_t                lsn;
    travel_stream_id_t          last;
    ngx_http_travel_running_t  *run;

    run = ngx_http_travel_fills_find(fill);

    if (run == NULL || run->generation != fill->generation
        || travel_stream_id_cmp(run->pos, floor) < 0)
    {
        return 0;
    }

    /* what it brings is already overwritten: nothing to wait for */

    for (k = 0; k < fill->ntags && fill->generation != 0; k++) {
        ngx_http_travel_tag_last(fill->tags[k], &last, &lsn);

        if (travel_stream_id_cmp(last, run->pos) > 0) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_http_travel_cache_begin(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill)
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_travel_running_t  *run;

    if (!fill->enabled || !fill->fresh) {
        return NGX_DECLINED;
    }

    /* an overtaken fill goes on alone; its key is ours now */

    run = ngx_http_travel_fills_find(fill);

    if (run != NULL) {
        ngx_http_travel_running_end(run);
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_travel_running_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    run = cln->data;
    run->request = r;
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

    ngx_queue_t               *q;
    ngx_http_travel_joined_t  *joined;

    if (run->queue.next == NULL) {
        return;
    }

    ngx_queue_remove(&run->queue);
    run->queue.next = NULL;

    while (!ngx_queue_empty(&run->waiters)) {
        q = ngx_queue_head(&run->waiters);
        joined = ngx_queue_data(q, ngx_http_travel_joined_t, queue);

        ngx_queue_remove(q);
        ngx_queue_init(q);

        ngx_post_event(&joined->event, &ngx_posted_events);
    }
}


ngx_int_t
ngx_http_travel_cache_wait(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill, ngx_msec_t timeout,
    void (*woken)(ngx_http_request_t *r))
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_travel_joined_t   *joined;
    ngx_http_travel_running_t  *run;

    run = ngx_http_travel_fills_find(fill);

    if (run == NULL
        || ngx_http_travel_fills_waiting == NGX_HTTP_TRAVEL_FILL_WAITERS)
    {
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
