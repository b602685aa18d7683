/*
 * Jobs as Redis has them: names, records, and waiting for one to end.
 *
 * The job's hash is the truth; what comes over this nginx worker's reply
 * channel is only a hint to look at it.  A waiter looks when a message names
 * its job, whenever the channel was subscribed (again), when its time is up,
 * and, if asked to, every now and then.  Messages come at the end of a job to
 * whom its command names, and at each change to those who watch it.
 *
 * One thing is in the message alone: the result of a type that tells it once.
 * The waiter of the request that sent the command takes it, and no other does;
 * should the hash show the end first, the message is waited for.
 *
 * A waiter lives in its request's pool and in a table by job until it is told
 * or its request ends.  "expected" waiters are in the table but not running
 * yet: a message that overtakes the answer to XADD must find them.  The timer
 * is not cancelable: an nginx worker that shuts down finishes its requests.
 */

#include "ngx_http_travel_command_room.h"

#define NGX_HTTP_TRAVEL_MESSAGE  "\"id\":\""
#define NGX_HTTP_TRAVEL_RESULT   ",\"result\":"

#define NGX_HTTP_TRAVEL_WATCHED  "4096"      /* jobs of a partition */
#define NGX_HTTP_TRAVEL_UNHEARD  5000        /* ms, to look while watching */
#define NGX_HTTP_TRAVEL_GRACE    1000        /* ms for a result on its way */


typedef struct {
    const ngx_http_travel_job_name_t  *name;
    ngx_http_travel_job_done_pt        done;
    void                              *data;
    ngx_http_travel_job_t             *job;      /* while its result is read */
    const char                        *values[1];
    ngx_http_travel_job_name_t        *found;    /* named as it is found */
    ngx_http_travel_job_name_t         moved;    /* where it was moved to */
} ngx_http_travel_job_read_t;


struct ngx_http_travel_waiter_s {
    ngx_queue_t                        queue;     /* in its bucket */
    ngx_http_request_t                *request;
    const ngx_http_travel_job_name_t  *name;
    ngx_http_travel_job_done_pt        done;
    void                              *data;
    ngx_event_t                        timer;
    ngx_msec_t                         until;
    ngx_msec_t                         poll;
    ngx_str_t                          result;    /* told once */
    unsigned                           listed:1;
    unsigned                           running:1;
    unsigned                           reading:1;
    unsigned                           hinted:1;  /* look (again) */
    unsigned                           last:1;    /* this look is the last */
    unsigned                           each:1;    /* tell of each look */
    unsigned                           receives:1;    /* the result */
    unsigned                           graced:1;
};


static void ngx_http_travel_job_reply(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_int_t ngx_http_travel_job_ask(ngx_http_request_t *r,
    ngx_http_travel_job_read_t *read, const travel_job_id_t *id);
static ngx_int_t ngx_http_travel_job_elsewhere(ngx_http_request_t *r,
    ngx_http_travel_job_read_t *read, const ngx_http_travel_job_t *job);
static ngx_int_t ngx_http_travel_job_result(ngx_http_request_t *r,
    ngx_http_travel_job_read_t *read, ngx_http_travel_job_t *job);
static void ngx_http_travel_job_result_read(ngx_http_request_t *r, void *data,
    ngx_int_t rc, ngx_http_travel_pg_result_t *result);
static ngx_int_t ngx_http_travel_job_fill(ngx_http_request_t *r,
    ngx_http_travel_job_t *job, ngx_uint_t field, ngx_str_t value);
static ngx_int_t ngx_http_travel_job_judge(ngx_http_travel_job_t *job);
static void ngx_http_travel_waiter_end(void *data);
static void ngx_http_travel_waiter_timer(ngx_event_t *ev);
static void ngx_http_travel_waiter_arm(ngx_http_travel_waiter_t *w);
static void ngx_http_travel_waiter_look(ngx_http_travel_waiter_t *w);
static void ngx_http_travel_waiter_watched(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_uint_t ngx_http_travel_waiter_lacks(
    const ngx_http_travel_waiter_t *w, const ngx_http_travel_job_t *job);
static void ngx_http_travel_waiter_seen(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);
static void ngx_http_travel_waiter_tell(ngx_http_travel_waiter_t *w,
    ngx_http_travel_job_t *job);
static void ngx_http_travel_channel_up(void *data);
static void ngx_http_travel_channel_message(void *data, ngx_str_t *payload);
static void ngx_http_travel_waiter_result(ngx_http_travel_waiter_t *w,
    const ngx_str_t *payload);


static const travel_str_t  ngx_http_travel_job_fields[] = {
    { "status", 6 }, { "sub", 3 }, { "type", 4 }, { "key", 3 },
    { "resource", 8 }, { "created_at", 10 }, { "updated_at", 10 },
    { "attempts", 8 }, { "progress", 8 }, { "result", 6 }, { "error", 5 },
    { "timeline", 8 }, { "lsn", 3 }, { "inval", 5 }, { "echo", 4 },
    { "promised", 8 }, { "claim", 5 }, { "moved", 5 }
};


/* of this nginx worker */

static ngx_queue_t                  ngx_http_travel_waiters[
                                        NGX_HTTP_TRAVEL_JOB_BUCKETS];
static ngx_http_travel_redis_sub_t  ngx_http_travel_channel;


/* --- names ---------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_job_name(ngx_http_travel_job_name_t *ret_name,
    const travel_job_id_t *id)
{
    travel_layout_t  layout;

    layout = ngx_http_travel_layout_now(id->queue);

    if (!travel_queue_exists(id->queue)
        || id->partition >= travel_layout_top(&layout))
    {
        return NGX_DECLINED;
    }

    ngx_http_travel_job_named(ret_name, id);

    return NGX_OK;
}


void
ngx_http_travel_job_named(ngx_http_travel_job_name_t *ret_name,
    const travel_job_id_t *id)
{
    travel_job_id_t  copy = *id;

    /* the view must not outlive its bytes, and those may be ret_name's own */

    ret_name->len = travel_job_id_format(ret_name->text, id);
    ret_name->id = copy;
    ret_name->id.queue.data = ret_name->text;
}


ngx_int_t
ngx_http_travel_job_parse(ngx_http_travel_job_name_t *ret_name,
    const ngx_str_t *text)
{
    travel_job_id_t  id;

    if (travel_job_id_parse(&id, ngx_http_travel_view(text)) != TRAVEL_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_travel_job_name(ret_name, &id);
}


ngx_uint_t
ngx_http_travel_job_mine(ngx_http_request_t *r,
    const ngx_http_travel_job_t *job)
{
    const ngx_str_t        *sub;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    sub = &job->field[NGX_HTTP_TRAVEL_JOB_SUB];

    return ctx && job->found && ctx->user.len && sub->len == ctx->user.len
           && ngx_memcmp(sub->data, ctx->user.data, sub->len) == 0;
}


ngx_queue_t *
ngx_http_travel_job_bucket(ngx_queue_t *table, const travel_uuid_t *id)
{
    uint64_t      tail;
    ngx_queue_t  *q;

    /* the random end of the id */

    ngx_memcpy(&tail, &id->b[8], sizeof(tail));
    tail ^= tail >> 32;

    q = &table[tail & (NGX_HTTP_TRAVEL_JOB_BUCKETS - 1)];

    if (q->next == NULL) {
        ngx_queue_init(q);
    }

    return q;
}


/* --- records -------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_job_read(ngx_http_request_t *r,
    const ngx_http_travel_job_name_t *name, ngx_http_travel_job_done_pt done,
    void *data)
{
    ngx_http_travel_job_read_t  *read;

    read = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_job_read_t));
    if (read == NULL) {
        return NGX_ERROR;
    }

    read->name = name;
    read->done = done;
    read->data = data;

    return ngx_http_travel_job_ask(r, read, &name->id);
}


ngx_int_t
ngx_http_travel_job_find(ngx_http_request_t *r,
    ngx_http_travel_job_name_t *ret_name, const travel_job_id_t *id,
    ngx_http_travel_job_done_pt done, void *data)
{
    travel_job_id_t              at;
    travel_layout_t              layout;
    ngx_http_travel_job_read_t  *read;

    layout = ngx_http_travel_layout_now(id->queue);
    at = *id;
    at.partition = travel_range_place(&layout.now,
                                      travel_uuid_bucket(&id->id));
    read = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_job_read_t));

    if (read == NULL || ngx_http_travel_job_name(ret_name, &at) != NGX_OK) {
        return NGX_DECLINED;
    }

    read->name = ret_name;
    read->done = done;
    read->data = data;
    read->found = (layout.was.n) ? ret_name : NULL;

    return ngx_http_travel_job_ask(r, read, &ret_name->id);
}


static ngx_int_t
ngx_http_travel_job_ask(ngx_http_request_t *r,
    ngx_http_travel_job_read_t *read, const travel_job_id_t *id)
{
    ngx_http_travel_redis_op_t  *op;

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, r, 0,
                                  ngx_http_travel_job_reply, read);

    return op != NULL ? ngx_http_travel_job_fields_ask(op, id) : NGX_ERROR;
}


ngx_int_t
ngx_http_travel_job_fields_ask(ngx_http_travel_redis_op_t *op,
    const travel_job_id_t *id)
{
    char         key[TRAVEL_KEY_MAX];
    size_t       len[NGX_HTTP_TRAVEL_JOB_FIELDS + 2];
    ngx_uint_t   i;
    const char  *argv[NGX_HTTP_TRAVEL_JOB_FIELDS + 2];

    argv[0] = "HMGET";
    len[0] = 5;
    argv[1] = key;
    len[1] = travel_key_job(key, id);

    for (i = 0; i < NGX_HTTP_TRAVEL_JOB_FIELDS; i++) {
        argv[i + 2] = ngx_http_travel_job_fields[i].data;
        len[i + 2] = ngx_http_travel_job_fields[i].len;
    }

    return ngx_http_travel_redis_command(op, NGX_HTTP_TRAVEL_JOB_FIELDS + 2,
                                         argv, len);
}


ngx_int_t
ngx_http_travel_job_fields_view(const ngx_http_travel_reply_t *reply,
    ngx_http_travel_job_t *ret_job)
{
    ngx_uint_t  i;

    if (reply == NULL
        || ngx_http_travel_reply_count(reply) != NGX_HTTP_TRAVEL_JOB_FIELDS)
    {
        return NGX_ERROR;
    }

    ngx_memzero(ret_job, sizeof(ngx_http_travel_job_t));

    for (i = 0; i < NGX_HTTP_TRAVEL_JOB_FIELDS; i++) {
        ret_job->field[i] = ngx_http_travel_reply_str(
                                ngx_http_travel_reply_elt(reply, i));
    }

    return ngx_http_travel_job_judge(ret_job);
}


static void
ngx_http_travel_job_reply(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_str_t                    text;
    ngx_uint_t                   n;
    ngx_http_request_t          *r;
    ngx_http_travel_job_t       *job;
    ngx_http_travel_job_read_t  *read;

    (void) i;

    r = op->request;
    read = op->data;

    ngx_http_set_log_request(r->connection->log, r);

    if (reply == NULL || ngx_http_travel_reply_count(reply)
                         != NGX_HTTP_TRAVEL_JOB_FIELDS)
    {
        if (reply) {
            text = ngx_http_travel_reply_str(reply);
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "job %s cannot be read: %V", read->name->text,
                          &text);
        }

        read->done(r, read->data, NULL);
        return;
    }

    job = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_job_t));
    if (job == NULL) {
        read->done(r, read->data, NULL);
        return;
    }

    job->name = read->name;

    for (n = 0; n < NGX_HTTP_TRAVEL_JOB_FIELDS; n++) {
        text = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, n));

        if (ngx_http_travel_job_fill(r, job, n, text) != NGX_OK) {
            read->done(r, read->data, NULL);
            return;
        }
    }

    if (ngx_http_travel_job_judge(job) != NGX_OK) {
        job = NULL;
    }

    if (job && ngx_http_travel_job_elsewhere(r, read, job) == NGX_OK) {
        return;
    }

    if (job && job->field[NGX_HTTP_TRAVEL_JOB_CLAIM].len
        && ngx_http_travel_job_result(r, read, job) == NGX_OK)
    {
        return;
    }

    read->done(r, read->data, job);
}


/*
 * A job may have been moved since its id was told; then it keeps that name. 
 * One that is looked for by its id alone may be where ids of before have their
 * place, and gets the name that it was given there.  NGX_OK: read once more.
 */
static ngx_int_t
ngx_http_travel_job_elsewhere(ngx_http_request_t *r,
    ngx_http_travel_job_read_t *read, const ngx_http_travel_job_t *job)
{
    travel_job_id_t   at;
    travel_layout_t   layout;

    at = read->name->id;

    if (read->found && !job->found) {
        layout = ngx_http_travel_layout_now(at.queue);

        if (layout.was.n == 0) {
            return NGX_DECLINED;
        }

        at.partition = travel_range_place(&layout.was,
                                          travel_uuid_bucket(&at.id));

        if (ngx_http_travel_job_name(read->found, &at) != NGX_OK) {
            return NGX_DECLINED;
        }

        read->found = NULL;

        return ngx_http_travel_job_ask(r, read, &read->name->id);
    }

    if (read->moved.len
        || ngx_http_travel_job_moved(job, &at.partition) != NGX_OK
        || ngx_http_travel_job_name(&read->moved, &at) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_travel_job_ask(r, read, &read->moved.id);
}


ngx_int_t
ngx_http_travel_job_moved(const ngx_http_travel_job_t *job,
    unsigned *ret_partition)
{
    uint64_t  moved;

    if (travel_digits_parse(&moved, ngx_http_travel_view(
                                  &job->field[NGX_HTTP_TRAVEL_JOB_MOVED]))
        != TRAVEL_OK
        || moved >= TRAVEL_PARTITIONS_MAX)
    {
        return NGX_DECLINED;
    }

    *ret_partition = (unsigned) moved;

    return NGX_OK;
}


/* Too large for the hash: the caller's own, so it is asked for as such. 
 * NGX_OK: it will be there, or not; NGX_DECLINED: nobody knows how, or it is
 * another's, who is not told. */
static ngx_int_t
ngx_http_travel_job_result(ngx_http_request_t *r,
    ngx_http_travel_job_read_t *read, ngx_http_travel_job_t *job)
{
    char                                 *uuid;
    ngx_http_travel_route_need_t          need;
    ngx_http_travel_command_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_command_module);

    if (!ngx_http_travel_job_mine(r, job)) {
        return NGX_DECLINED;
    }

    if (cmcf->result == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "job %s: its result is in the database, name the query "
                      "that reads it: \"travel_job_status result=jobs.result\"",
                      read->name->text);
        return NGX_DECLINED;
    }

    uuid = ngx_pnalloc(r->pool, TRAVEL_UUID_TEXT_LEN + 1);
    if (uuid == NULL) {
        return NGX_DECLINED;
    }

    travel_uuid_format(uuid, &read->name->id.id);
    uuid[TRAVEL_UUID_TEXT_LEN] = '\0';

    read->job = job;
    read->values[0] = uuid;

    /* it was written just now, and nobody knows its LSN */

    ngx_memzero(&need, sizeof(ngx_http_travel_route_need_t));
    need.primary = 1;

    return ngx_http_travel_query_run(r, cmcf->result, cmcf->result_statement,
                                     read->values, &need,
                                     ngx_http_travel_job_result_read, read)
           == NGX_OK ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_travel_job_result_read(ngx_http_request_t *r, void *data,
    ngx_int_t rc, ngx_http_travel_pg_result_t *result)
{
    ngx_http_travel_job_t       *job;
    ngx_http_travel_job_read_t  *read = data;

    ngx_http_set_log_request(r->connection->log, r);

    job = read->job;

    if (rc != NGX_OK
        || (ngx_http_travel_pg_rows(result)
            && ngx_http_travel_job_fill(r, job, NGX_HTTP_TRAVEL_JOB_RESULT,
                   ngx_http_travel_pg_value(result, 0, 0))
               != NGX_OK))
    {
        job = NULL;
    }

    read->done(r, read->data, job);
}


ngx_int_t
ngx_http_travel_job_pairs(ngx_http_request_t *r,
    const ngx_http_travel_reply_t *pairs, ngx_http_travel_job_t *ret_job)
{
    ngx_str_t   name;
    ngx_uint_t  i, n;

    for (i = 0; i + 1 < ngx_http_travel_reply_count(pairs); i += 2) {
        name = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(pairs, i));

        for (n = 0; n < NGX_HTTP_TRAVEL_JOB_FIELDS; n++) {
            if (travel_str_eq(ngx_http_travel_view(&name),
                              ngx_http_travel_job_fields[n]))
            {
                break;
            }
        }

        if (n < NGX_HTTP_TRAVEL_JOB_FIELDS
            && ngx_http_travel_job_fill(r, ret_job, n,
                   ngx_http_travel_reply_str(
                                   ngx_http_travel_reply_elt(pairs, i + 1)))
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_travel_job_judge(ret_job);
}


static ngx_int_t
ngx_http_travel_job_fill(ngx_http_request_t *r, ngx_http_travel_job_t *job,
    ngx_uint_t field, ngx_str_t value)
{
    ngx_str_t  *s;

    s = &job->field[field];

    if (value.len == 0) {
        return NGX_OK;
    }

    s->data = ngx_pnalloc(r->pool, value.len);
    if (s->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(s->data, value.data, value.len);
    s->len = value.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_job_judge(ngx_http_travel_job_t *job)
{
    uint64_t    timeline;
    ngx_str_t  *f;

    f = job->field;

    if (f[NGX_HTTP_TRAVEL_JOB_STATUS].len == 0) {
        return NGX_OK;
    }

    if (travel_job_status_parse(&job->status,
                ngx_http_travel_view(&f[NGX_HTTP_TRAVEL_JOB_STATUS]))
        != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    job->found = 1;
    job->final = travel_job_status_final(job->status);

    if (travel_digits_parse(&timeline,
                ngx_http_travel_view(&f[NGX_HTTP_TRAVEL_JOB_TIMELINE]))
        == TRAVEL_OK
        && travel_lsn_parse(&job->write.commit.lsn,
                ngx_http_travel_view(&f[NGX_HTTP_TRAVEL_JOB_LSN]))
           == TRAVEL_OK)
    {
        job->write.commit.timeline = (uint32_t) timeline;
        job->written = 1;

        if (f[NGX_HTTP_TRAVEL_JOB_INVAL].len
            && travel_stream_id_parse(&job->write.inval,
                   ngx_http_travel_view(&f[NGX_HTTP_TRAVEL_JOB_INVAL]))
               != TRAVEL_OK)
        {
            job->write.inval.ms = 0;
            job->write.inval.seq = 0;
        }
    }

    return NGX_OK;
}


/* --- waiting -------------------------------------------------------------- */

ngx_http_travel_waiter_t *
ngx_http_travel_job_expect(ngx_http_request_t *r,
    const ngx_http_travel_job_name_t *name, ngx_http_travel_job_done_pt done,
    void *data)
{
    ngx_http_cleanup_t        *cln;
    ngx_http_travel_waiter_t  *w;

    w = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_waiter_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (w == NULL || cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_travel_waiter_end;
    cln->data = w;

    w->request = r;
    w->name = name;
    w->done = done;
    w->data = data;

    w->timer.handler = ngx_http_travel_waiter_timer;
    w->timer.data = w;
    w->timer.log = ngx_cycle->log;

    ngx_queue_insert_tail(ngx_http_travel_job_bucket(ngx_http_travel_waiters,
                                                     &name->id.id),
                          &w->queue);
    w->listed = 1;

    return w;
}


void
ngx_http_travel_job_start(ngx_http_travel_waiter_t *w, ngx_msec_t timeout,
    ngx_msec_t poll, ngx_uint_t now)
{
    w->running = 1;
    w->until = ngx_current_msec + timeout;
    w->poll = poll;

    ngx_http_travel_waiter_arm(w);

    if (now || w->hinted) {
        ngx_http_travel_waiter_look(w);
    }
}


void
ngx_http_travel_job_forget(ngx_http_travel_waiter_t *w)
{
    ngx_http_travel_waiter_end(w);
}


void
ngx_http_travel_job_receive(ngx_http_travel_waiter_t *w)
{
    w->receives = 1;
}


/* The channel is subscribed for life, so all that is left is to be named. */
void
ngx_http_travel_job_watch(ngx_http_travel_waiter_t *w, ngx_uint_t each)
{
    ngx_http_travel_redis_op_t  *op;

    w->each = each;
    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, w->request, 0,
                                  ngx_http_travel_waiter_watched, w);

    if (op == NULL || ngx_http_travel_job_watch_ask(op, w->name) != NGX_OK) {
        ngx_http_travel_waiter_look(w);
    }
}


ngx_int_t
ngx_http_travel_job_watch_ask(ngx_http_travel_redis_op_t *op,
    const ngx_http_travel_job_name_t *name)
{
    char           table[TRAVEL_KEY_MAX];
    size_t         len[4];
    travel_str_t   channel;
    const char    *argv[4];

    channel = ngx_http_travel_job_channel();

    argv[0] = table;
    len[0] = travel_key_named(table, name->id.queue, name->id.partition,
                              "watch");
    argv[1] = name->text + name->len - TRAVEL_UUID_TEXT_LEN;
    len[1] = TRAVEL_UUID_TEXT_LEN;
    argv[2] = channel.data;
    len[2] = channel.len;
    argv[3] = NGX_HTTP_TRAVEL_WATCHED;
    len[3] = sizeof(NGX_HTTP_TRAVEL_WATCHED) - 1;

    return ngx_http_travel_redis_script(op, travel_script_watch, 1, 4, argv,
                                        len);
}


ngx_uint_t
ngx_http_travel_job_watch_taken(const ngx_http_travel_reply_t *reply)
{
    return reply && ngx_http_travel_reply_type(reply)
                    == NGX_HTTP_TRAVEL_REPLY_INTEGER
           && ngx_http_travel_reply_int(reply) == 1;
}


/* What has happened until now is seen by looking, all else will be told. */
static void
ngx_http_travel_waiter_watched(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_http_travel_waiter_t  *w = op->data;

    (void) i;

    if (!w->running) {
        return;
    }

    if (ngx_http_travel_job_watch_taken(reply)) {
        w->poll = NGX_HTTP_TRAVEL_UNHEARD;
    }

    ngx_http_travel_waiter_look(w);
}


void
ngx_http_travel_job_look(ngx_http_travel_waiter_t *w)
{
    ngx_http_travel_waiter_look(w);
}


static void
ngx_http_travel_waiter_end(void *data)
{
    ngx_http_travel_waiter_t  *w = data;

    w->running = 0;

    if (w->listed) {
        ngx_queue_remove(&w->queue);
        w->listed = 0;
    }

    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
    }
}


static void
ngx_http_travel_waiter_arm(ngx_http_travel_waiter_t *w)
{
    ngx_msec_t  left;

    left = ((ngx_msec_int_t) (w->until - ngx_current_msec) > 0)
           ? w->until - ngx_current_msec : 0;

    if (w->poll && w->poll < left) {
        left = w->poll;
    }

    ngx_add_timer(&w->timer, left);
}


static void
ngx_http_travel_waiter_timer(ngx_event_t *ev)
{
    ngx_http_travel_waiter_t  *w;

    w = ev->data;

    if ((ngx_msec_int_t) (w->until - ngx_current_msec) <= 0) {
        w->last = 1;

    } else {
        ngx_http_travel_waiter_arm(w);
    }

    ngx_http_travel_waiter_look(w);
}


static void
ngx_http_travel_waiter_look(ngx_http_travel_waiter_t *w)
{
    if (w->reading) {
        w->hinted = 1;
        return;
    }

    w->hinted = 0;

    if (ngx_http_travel_job_read(w->request, w->name,
                                 ngx_http_travel_waiter_seen, w)
        == NGX_OK)
    {
        w->reading = 1;
        return;
    }

    /* no link: somebody else's event, so it may be told from here */

    if (w->last) {
        ngx_http_travel_waiter_tell(w, NULL);
    }
}


static void
ngx_http_travel_waiter_seen(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job)
{
    ngx_http_travel_waiter_t  *w = data;

    (void) r;

    w->reading = 0;

    if (!w->running) {
        return;
    }

    if (w->each) {

        if (w->hinted) {
            ngx_http_travel_waiter_look(w);
        }

        w->done(w->request, w->data, job);
        return;
    }

    if (!w->graced && ngx_http_travel_waiter_lacks(w, job)) {
        w->graced = 1;
        w->last = 0;
        w->until = ngx_current_msec + NGX_HTTP_TRAVEL_GRACE;
        ngx_http_travel_waiter_arm(w);
        return;
    }

    if (w->last || (job && (job->final || !job->found))) {
        ngx_http_travel_waiter_tell(w, job);
        return;
    }

    if (w->hinted) {
        ngx_http_travel_waiter_look(w);
    }
}


/* It has succeeded, and the message that says with what is still to come. */
static ngx_uint_t
ngx_http_travel_waiter_lacks(const ngx_http_travel_waiter_t *w,
    const ngx_http_travel_job_t *job)
{
    return w->receives && w->result.len == 0 && job && job->final
           && job->status == TRAVEL_JOB_SUCCEEDED;
}


static void
ngx_http_travel_waiter_tell(ngx_http_travel_waiter_t *w,
    ngx_http_travel_job_t *job)
{
    ngx_uint_t                            i;
    ngx_http_travel_command_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(w->request,
                                         ngx_http_travel_command_module);
    i = (job && job->final) ? cmcf->waited : cmcf->late;
    ngx_http_travel_count(i, 1);

    ngx_http_travel_waiter_end(w);

    if (w->result.len && job && job->final) {
        job->field[NGX_HTTP_TRAVEL_JOB_RESULT] = w->result;
    }

    w->done(w->request, w->data, job);
}


/* --- the reply channel ---------------------------------------------------- */

ngx_int_t
ngx_http_travel_job_channel_init(ngx_cycle_t *cycle)
{
    u_char     *p;
    ngx_int_t   rc;

    if (ngx_http_travel_channel.channel.len) {
        return NGX_OK;
    }

    p = ngx_pnalloc(cycle->pool, sizeof("travel:reply:-") + cycle->hostname.len
                                 + NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_travel_channel.channel.data = p;
    ngx_http_travel_channel.channel.len =
        ngx_sprintf(p, "travel:reply:%V-%P", &cycle->hostname, ngx_pid) - p;
    ngx_http_travel_channel.on_up = ngx_http_travel_channel_up;
    ngx_http_travel_channel.on_message = ngx_http_travel_channel_message;

    rc = ngx_http_travel_redis_subscribe(cycle, NGX_HTTP_TRAVEL_REDIS_QUEUE,
                                         &ngx_http_travel_channel);
    if (rc != NGX_OK) {
        ngx_http_travel_channel.channel.len = 0;
    }

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


travel_str_t
ngx_http_travel_job_channel(void)
{
    return ngx_http_travel_view(&ngx_http_travel_channel.channel);
}


/* Whatever was said while nobody listened: everybody looks. */
static void
ngx_http_travel_channel_up(void *data)
{
    ngx_uint_t                 i;
    ngx_queue_t               *bucket, *q;
    ngx_http_travel_waiter_t  *w;

    (void) data;

    for (i = 0; i < NGX_HTTP_TRAVEL_JOB_BUCKETS; i++) {
        bucket = &ngx_http_travel_waiters[i];

        if (bucket->next == NULL) {
            continue;
        }

        for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket);
             q = ngx_queue_next(q))
        {
            w = ngx_queue_data(q, ngx_http_travel_waiter_t, queue);
            w->hinted = 1;

            if (w->running && !w->last) {
                ngx_http_travel_waiter_look(w);
            }
        }
    }

    ngx_http_travel_observers_again();
}


/* {"id":"booking.3.<uuid>"[,"status":"succeeded"[,"result":JSON]]} */
static void
ngx_http_travel_channel_message(void *data, ngx_str_t *payload)
{
    u_char                    *p, *last;
    ngx_str_t                  text;
    ngx_queue_t               *bucket, *q, *next;
    travel_job_id_t            id;
    ngx_http_travel_waiter_t  *w;

    (void) data;

    p = ngx_strnstr(payload->data, NGX_HTTP_TRAVEL_MESSAGE, payload->len);
    if (p == NULL) {
        return;
    }

    text.data = p + sizeof(NGX_HTTP_TRAVEL_MESSAGE) - 1;
    last = ngx_strlchr(text.data, payload->data + payload->len, '"');
    text.len = last ? (size_t) (last - text.data) : 0;

    if (travel_job_id_parse(&id, ngx_http_travel_view(&text)) != TRAVEL_OK) {
        return;
    }

    ngx_http_travel_observers_hear(&id.id);
    bucket = ngx_http_travel_job_bucket(ngx_http_travel_waiters, &id.id);

    for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket);
         q = next)
    {
        next = ngx_queue_next(q);
        w = ngx_queue_data(q, ngx_http_travel_waiter_t, queue);

        if (ngx_memcmp(&w->name->id.id, &id.id, sizeof(travel_uuid_t)) != 0) {
            continue;
        }

        w->hinted = 1;

        if (w->receives) {
            ngx_http_travel_waiter_result(w, payload);
        }

        if (w->running) {
            ngx_http_travel_waiter_look(w);
        }
    }
}


static void
ngx_http_travel_waiter_result(ngx_http_travel_waiter_t *w,
    const ngx_str_t *payload)
{
    size_t   len;
    u_char  *p, *last;

    last = payload->data + payload->len;
    p = ngx_strnstr(payload->data, NGX_HTTP_TRAVEL_RESULT, payload->len);

    if (p == NULL || last[-1] != '}') {
        return;
    }

    p += sizeof(NGX_HTTP_TRAVEL_RESULT) - 1;
    len = last - 1 - p;

    w->result.data = ngx_pnalloc(w->request->pool, len);
    if (w->result.data == NULL) {
        return;
    }

    ngx_memcpy(w->result.data, p, len);
    w->result.len = len;
}
