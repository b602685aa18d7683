/*
 * Jobs that somebody watches without a request: topics (live).
 *
 * As a waiter does (job.c), an observer looks at the job's hash when workers
 * say that it has changed, whenever this nginx worker's reply channel was
 * subscribed (again), and now and then besides.  Its handler is told what is
 * new.  It is in the table of watchers from when it was found to be there, so
 * that ids which name nothing leave nothing in Redis.
 *
 * An observer belongs to who asked for it and is in a table by job until it is
 * given up.  A question's 'data' is cleared with it.  The timer is cancelable:
 * no nginx worker stays for the sake of one.
 */

#include "ngx_http_travel_command_room.h"

#define NGX_HTTP_TRAVEL_OBSERVER_RETRY    500    /* ms, where nobody tells */
#define NGX_HTTP_TRAVEL_OBSERVER_UNHEARD  5000
#define NGX_HTTP_TRAVEL_OBSERVER_OVER     30000  /* requeued, and untold? */


struct ngx_http_travel_observer_s {
    ngx_queue_t                    queue;
    ngx_http_travel_observed_pt    handler;
    void                          *data;
    ngx_event_t                    timer;
    ngx_http_travel_job_name_t     name;
    ngx_http_travel_job_name_t     at;         /* where its hash is */
    ngx_http_travel_redis_op_t    *reading;
    ngx_http_travel_redis_op_t    *watching;
    ngx_str_t                      seen;       /* as it was told last */
    ngx_msec_t                     pause;
    unsigned                       hinted:1;   /* look once more */
    unsigned                       found:1;
    unsigned                       watched:1;  /* we are told of changes */
};


static void ngx_http_travel_observer_timer(ngx_event_t *ev);
static void ngx_http_travel_observer_look(ngx_http_travel_observer_t *o);
static void ngx_http_travel_observer_watch(ngx_http_travel_observer_t *o);
static void ngx_http_travel_observer_watched(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static void ngx_http_travel_observer_seen(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_uint_t ngx_http_travel_observer_moved(ngx_http_travel_observer_t *o,
    const ngx_http_travel_job_t *job);
static void ngx_http_travel_observer_tell(ngx_http_travel_observer_t *o,
    ngx_http_travel_job_t *job);


static ngx_queue_t  ngx_http_travel_observers[NGX_HTTP_TRAVEL_JOB_BUCKETS];


ngx_http_travel_observer_t *
ngx_http_travel_job_observe(const ngx_str_t *id,
    ngx_http_travel_observed_pt handler, void *data)
{
    travel_job_id_t              job;
    ngx_http_travel_observer_t  *o;

    if (travel_job_id_parse(&job, ngx_http_travel_view(id)) != TRAVEL_OK) {
        return NULL;
    }

    o = ngx_calloc(sizeof(ngx_http_travel_observer_t), ngx_cycle->log);
    if (o == NULL) {
        return NULL;
    }

    ngx_http_travel_job_named(&o->name, &job);
    ngx_http_travel_job_named(&o->at, &job);

    o->handler = handler;
    o->data = data;
    o->pause = NGX_HTTP_TRAVEL_OBSERVER_RETRY;

    o->timer.handler = ngx_http_travel_observer_timer;
    o->timer.data = o;
    o->timer.log = ngx_cycle->log;
    o->timer.cancelable = 1;

    ngx_queue_insert_tail(ngx_http_travel_job_bucket(ngx_http_travel_observers,
                                                     &job.id),
                          &o->queue);
    ngx_http_travel_observer_look(o);

    return o;
}


void
ngx_http_travel_job_unobserve(ngx_http_travel_observer_t *o)
{
    ngx_queue_remove(&o->queue);

    if (o->reading != NULL) {
        o->reading->data = NULL;
    }

    if (o->watching != NULL) {
        o->watching->data = NULL;
    }

    if (o->timer.timer_set) {
        ngx_del_timer(&o->timer);
    }

    ngx_free(o->seen.data);
    ngx_free(o);
}


void
ngx_http_travel_observers_hear(const travel_uuid_t *id)
{
    ngx_queue_t                 *bucket, *q;
    ngx_http_travel_observer_t  *o;

    bucket = ngx_http_travel_job_bucket(ngx_http_travel_observers, id);

    for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        o = ngx_queue_data(q, ngx_http_travel_observer_t, queue);

        if (ngx_memcmp(&o->name.id.id, id, sizeof(travel_uuid_t)) == 0) {
            ngx_http_travel_observer_look(o);
        }
    }
}


/* Whatever was said while nobody listened, and what Redis may have lost. */
void
ngx_http_travel_observers_again(void)
{
    ngx_uint_t                   i;
    ngx_queue_t                 *bucket, *q;
    ngx_http_travel_observer_t  *o;

    for (i = 0; i < NGX_HTTP_TRAVEL_JOB_BUCKETS; i++) {
        bucket = &ngx_http_travel_observers[i];

        if (bucket->next == NULL) {
            continue;
        }

        for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket);
             q = ngx_queue_next(q))
        {
            o = ngx_queue_data(q, ngx_http_travel_observer_t, queue);
            o->watched = 0;
            ngx_http_travel_observer_look(o);
        }
    }
}


static void
ngx_http_travel_observer_timer(ngx_event_t *ev)
{
    ngx_http_travel_observer_look(ev->data);
}


/* Tells nobody from within. */
static void
ngx_http_travel_observer_look(ngx_http_travel_observer_t *o)
{
    ngx_add_timer(&o->timer, o->pause);

    if (o->reading != NULL) {
        o->hinted = 1;
        return;
    }

    o->hinted = 0;
    o->reading = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, NULL, 0,
                                          ngx_http_travel_observer_seen, o);

    if (o->reading != NULL
        && ngx_http_travel_job_fields_ask(o->reading, &o->at.id) != NGX_OK)
    {
        o->reading = NULL;
    }
}


/* Without a channel (no command is taken here) it is looked at instead. */
static void
ngx_http_travel_observer_watch(ngx_http_travel_observer_t *o)
{
    if (o->watching != NULL || ngx_http_travel_job_channel().len == 0) {
        return;
    }

    o->watching = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, NULL,
                                           0, ngx_http_travel_observer_watched,
                                           o);

    if (o->watching != NULL
        && ngx_http_travel_job_watch_ask(o->watching, &o->at) != NGX_OK)
    {
        o->watching = NULL;
    }
}


/* What has happened until now is seen by looking, all else will be told. */
static void
ngx_http_travel_observer_watched(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_observer_t  *o = op->data;

    (void) i;

    if (o == NULL) {
        return;
    }

    o->watching = NULL;

    if (ngx_http_travel_job_watch_taken(reply)) {
        o->watched = 1;
        o->pause = NGX_HTTP_TRAVEL_OBSERVER_UNHEARD;
        ngx_http_travel_observer_look(o);
    }
}


static void
ngx_http_travel_observer_seen(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_job_t        job;
    ngx_http_travel_observer_t  *o = op->data;

    (void) i;

    if (o == NULL) {
        return;
    }

    o->reading = NULL;

    if (ngx_http_travel_job_fields_view(reply, &job) != NGX_OK) {
        return;                     /* the timer looks again */
    }

    if (ngx_http_travel_observer_moved(o, &job) || o->hinted) {
        ngx_http_travel_observer_look(o);
    }

    if (!job.found) {

        if (!o->found) {
            o->pause = NGX_HTTP_TRAVEL_OBSERVER_OVER;
            o->handler(o->data, NULL);
        }

        return;
    }

    o->found = 1;

    if (job.final && job.status != TRAVEL_JOB_DEAD) {
        /* its row in the table of watchers went with its end */
        o->watched = 0;

    } else if (!o->watched) {
        o->pause = NGX_HTTP_TRAVEL_OBSERVER_RETRY;
        ngx_http_travel_observer_watch(o);
    }

    if (job.final) {
        o->pause = NGX_HTTP_TRAVEL_OBSERVER_OVER;
        ngx_add_timer(&o->timer, o->pause);
    }

    ngx_http_travel_observer_tell(o, &job);
}


/* It was given another place, and keeps its name: 1, look there. */
static ngx_uint_t
ngx_http_travel_observer_moved(ngx_http_travel_observer_t *o,
    const ngx_http_travel_job_t *job)
{
    travel_job_id_t  at = o->at.id;

    if (ngx_http_travel_job_moved(job, &at.partition) != NGX_OK
        || at.partition == o->at.id.partition)
    {
        return 0;
    }

    ngx_http_travel_job_named(&o->at, &at);
    o->watched = 0;

    return 1;
}


/* When it changed last, and to what: of two states in a millisecond at least
 * the status differs, or the progress. */
static travel_stream_id_t
ngx_http_travel_observer_position(const ngx_http_travel_job_t *job)
{
    uint64_t             progress;
    travel_stream_id_t   at;

    if (travel_digits_parse(&at.ms, ngx_http_travel_view(
                                &job->field[NGX_HTTP_TRAVEL_JOB_UPDATED_AT]))
        != TRAVEL_OK)
    {
        at.ms = 1;
    }

    if (travel_digits_parse(&progress, ngx_http_travel_view(
                                &job->field[NGX_HTTP_TRAVEL_JOB_PROGRESS]))
        != TRAVEL_OK)
    {
        progress = 0;
    }

    at.seq = 1 + (uint64_t) job->status * 1000 + ngx_min(progress, 999);

    return at;
}


/* The last step: the handler may give the observer up. */
static void
ngx_http_travel_observer_tell(ngx_http_travel_observer_t *o,
    ngx_http_travel_job_t *job)
{
    size_t                       room;
    ngx_str_t                    text;
    travel_json_writer_t         w;
    ngx_http_travel_observed_t   seen;

    room = ngx_http_travel_job_room(job);
    text.data = ngx_alloc(room, ngx_cycle->log);
    if (text.data == NULL) {
        return;
    }

    travel_json_writer_init(&w, (char *) text.data, room);
    ngx_http_travel_job_write(&w, &o->name, job);
    text.len = travel_json_writer_finish(&w);

    if (text.len == 0
        || (text.len == o->seen.len
            && ngx_memcmp(text.data, o->seen.data, text.len) == 0))
    {
        ngx_free(text.data);
        return;
    }

    ngx_free(o->seen.data);
    o->seen = text;

    seen.json = text;
    seen.owner = job->field[NGX_HTTP_TRAVEL_JOB_SUB];
    seen.status = travel_job_status_name(job->status);
    seen.position = ngx_http_travel_observer_position(job);

    o->handler(o->data, &seen);
}
