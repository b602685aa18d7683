/*
 * travel_job_status: what became of a command (GET, with Prefer: wait as a long
 * poll; as a stream in job_events.c), and calling it off (DELETE): at once
 * while it is queued, else its handler is told.
 */

#include "ngx_http_travel_command_room.h"
#include "../../common/timestamp.h"

#define NGX_HTTP_TRAVEL_JOB_POLL  100        /* ms, where nobody tells */


typedef struct {
    ngx_http_travel_job_name_t   name;
    ngx_http_travel_waiter_t    *waiter;
    ngx_msec_t                   wait;
    ngx_str_t                    applied;
    unsigned                     stream:1;
} ngx_http_travel_look_t;


static void ngx_http_travel_look_ready(ngx_http_request_t *r, ngx_int_t rc);
static ngx_int_t ngx_http_travel_look_start(ngx_http_request_t *r,
    ngx_uint_t fresh);
static void ngx_http_travel_look_seen(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);
static void ngx_http_travel_look_waited(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);
static ngx_int_t ngx_http_travel_look_answer(ngx_http_request_t *r,
    ngx_http_travel_look_t *look, ngx_http_travel_job_t *job,
    ngx_uint_t status);
static void ngx_http_travel_look_member(travel_json_writer_t *w,
    const char *name, const ngx_str_t *json);
static void ngx_http_travel_look_instant(travel_json_writer_t *w,
    const char *name, const ngx_str_t *ms);
static ngx_int_t ngx_http_travel_look_cancel(ngx_http_request_t *r,
    ngx_http_travel_look_t *look);
static void ngx_http_travel_look_cancelled(ngx_http_travel_redis_op_t *op,
    ngx_uint_t i, const ngx_http_travel_reply_t *reply);
static ngx_int_t ngx_http_travel_look_unavailable(ngx_http_request_t *r);


ngx_int_t
ngx_http_travel_job_handler(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&ctx->route, "jobs.get");

    if (r->method == NGX_HTTP_DELETE) {
        ngx_str_set(&ctx->route, "jobs.cancel");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    /* the id is judged by the layout, which must be known */

    rc = ngx_http_travel_layout(r, ngx_http_travel_look_ready);

    if (rc == NGX_AGAIN) {
        r->main->count++;
        ngx_http_travel_command_suspend(r);
        return NGX_DONE;
    }

    if (rc != NGX_OK) {
        return ngx_http_travel_look_unavailable(r);
    }

    rc = ngx_http_travel_look_start(r, 0);

    if (rc == NGX_DONE) {
        r->main->count++;
        ngx_http_travel_command_suspend(r);
    }

    return rc;
}


static void
ngx_http_travel_look_ready(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_set_log_request(r->connection->log, r);

    rc = (rc == NGX_OK) ? ngx_http_travel_look_start(r, 1)
                        : ngx_http_travel_look_unavailable(r);

    if (rc != NGX_DONE) {
        ngx_http_travel_finish(r, rc);
    }
}


/* NGX_DONE: an event will finish r.  An id that no layout of ours knows may be
 * of partitions that another node knows already: unless it is fresh, it is
 * asked for again. */
static ngx_int_t
ngx_http_travel_look_start(ngx_http_request_t *r, ngx_uint_t fresh)
{
    ngx_str_t                            id;
    travel_job_id_t                      known;
    ngx_http_travel_look_t              *look;
    ngx_http_travel_command_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_command_module);
    look = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_look_t));

    if (look == NULL
        || ngx_http_complex_value(r, clcf->job_id, &id) != NGX_OK
        || ngx_http_travel_command_prefer(r, clcf->job_wait, 0, &look->wait,
                                          &look->applied)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_travel_job_parse(&look->name, &id) != NGX_OK) {

        if (!fresh
            && travel_job_id_parse(&known, ngx_http_travel_view(&id))
               == TRAVEL_OK
            && travel_queue_exists(known.queue)
            && ngx_http_travel_layout_again(r, ngx_http_travel_look_ready)
               == NGX_OK)
        {
            return NGX_DONE;
        }

        return ngx_http_travel_query_refuse(r, TRAVEL_E_RESOURCE_NOT_FOUND);
    }

    if (r->method == NGX_HTTP_DELETE) {
        return ngx_http_travel_look_cancel(r, look);
    }

    look->stream = (clcf->job_events && ngx_http_travel_event_stream_wanted(r));

    if (look->wait && !look->stream) {
        look->waiter = ngx_http_travel_job_expect(r, &look->name,
                                                  ngx_http_travel_look_waited,
                                                  look);
    }

    return ngx_http_travel_job_read(r, &look->name, ngx_http_travel_look_seen,
                                    look)
           == NGX_OK ? NGX_DONE : ngx_http_travel_look_unavailable(r);
}


static void
ngx_http_travel_look_seen(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job)
{
    ngx_http_travel_look_t  *look = data;

    if (look->waiter && job && !job->final && ngx_http_travel_job_mine(r, job))
    {
        ngx_http_travel_job_start(look->waiter, look->wait,
                                  NGX_HTTP_TRAVEL_JOB_POLL, 0);
        ngx_http_travel_job_watch(look->waiter, 0);
        return;
    }

    if (look->waiter) {
        ngx_http_travel_job_forget(look->waiter);
    }

    ngx_http_travel_look_waited(r, data, job);
}


static void
ngx_http_travel_look_waited(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job)
{
    ngx_int_t                rc;
    ngx_http_travel_look_t  *look = data;

    ngx_http_set_log_request(r->connection->log, r);

    if (job == NULL) {
        rc = ngx_http_travel_look_unavailable(r);

    } else if (!ngx_http_travel_job_mine(r, job)) {
        rc = ngx_http_travel_query_refuse(r, TRAVEL_E_RESOURCE_NOT_FOUND);

    } else if (look->stream) {
        rc = ngx_http_travel_stream_start(r, &look->name, job);

        if (rc == NGX_DONE) {
            return;
        }

    } else {
        rc = ngx_http_travel_look_answer(r, look, job, NGX_HTTP_OK);
    }

    ngx_http_travel_finish(r, rc);
}


static ngx_int_t
ngx_http_travel_look_answer(ngx_http_request_t *r,
    ngx_http_travel_look_t *look, ngx_http_travel_job_t *job,
    ngx_uint_t status)
{
    travel_json_writer_t  w;

    static ngx_str_t  fresh = ngx_string("private, no-cache");
    static ngx_str_t  vary = ngx_string("Accept, Prefer");

    if (ngx_http_travel_job_body(r, &look->name, job, &w) != NGX_OK
        || ngx_http_travel_add_header(r, "Cache-Control", &fresh) != NGX_OK
        || ngx_http_travel_add_header(r, "Vary", &vary) != NGX_OK
        || (look->applied.len
            && ngx_http_travel_add_header(r, "Preference-Applied",
                                          &look->applied) != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_travel_command_send(r, status, &w);
}


ngx_int_t
ngx_http_travel_job_body(ngx_http_request_t *r,
    const ngx_http_travel_job_name_t *name, ngx_http_travel_job_t *job,
    travel_json_writer_t *w)
{
    if (ngx_http_travel_command_writer(r, w, ngx_http_travel_job_room(job))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_travel_job_write(w, name, job);

    return NGX_OK;
}


size_t
ngx_http_travel_job_room(const ngx_http_travel_job_t *job)
{
    const ngx_str_t  *f = job->field;

    return 512 + TRAVEL_JOB_ID_MAX + 6 * f[NGX_HTTP_TRAVEL_JOB_TYPE].len
           + f[NGX_HTTP_TRAVEL_JOB_RESULT].len
           + f[NGX_HTTP_TRAVEL_JOB_ERROR].len
           + f[NGX_HTTP_TRAVEL_JOB_PROGRESS].len
           + f[NGX_HTTP_TRAVEL_JOB_ATTEMPTS].len;
}


void
ngx_http_travel_job_write(travel_json_writer_t *w,
    const ngx_http_travel_job_name_t *name, const ngx_http_travel_job_t *job)
{
    travel_str_t      id;
    const ngx_str_t  *f = job->field;

    id.data = name->text;
    id.len = name->len;

    travel_json_object(w);
    travel_json_member_string(w, "id", id);
    travel_json_member_string(w, "type",
                          ngx_http_travel_view(&f[NGX_HTTP_TRAVEL_JOB_TYPE]));
    travel_json_member_cstring(w, "status",
                               travel_job_status_name(job->status));
    ngx_http_travel_look_member(w, "progress",
                                &f[NGX_HTTP_TRAVEL_JOB_PROGRESS]);
    ngx_http_travel_look_member(w, "attempts",
                                &f[NGX_HTTP_TRAVEL_JOB_ATTEMPTS]);
    ngx_http_travel_look_member(w, "result", &f[NGX_HTTP_TRAVEL_JOB_RESULT]);
    ngx_http_travel_look_member(w, "error", &f[NGX_HTTP_TRAVEL_JOB_ERROR]);
    ngx_http_travel_look_instant(w, "created_at",
                                 &f[NGX_HTTP_TRAVEL_JOB_CREATED_AT]);
    ngx_http_travel_look_instant(w, "updated_at",
                                 &f[NGX_HTTP_TRAVEL_JOB_UPDATED_AT]);
    travel_json_object_end(w);
}


static void
ngx_http_travel_look_member(travel_json_writer_t *w, const char *name,
    const ngx_str_t *json)
{
    travel_str_t  key;

    key.data = name;
    key.len = ngx_strlen(name);

    travel_json_key(w, key);

    if (json->len) {
        travel_json_raw(w, ngx_http_travel_view(json));

    } else {
        travel_json_null(w);
    }
}


static void
ngx_http_travel_look_instant(travel_json_writer_t *w, const char *name,
    const ngx_str_t *ms)
{
    char          text[TRAVEL_TIMESTAMP_LEN];
    uint64_t      at;
    travel_str_t  s;

    s.data = name;
    s.len = ngx_strlen(name);
    travel_json_key(w, s);

    if (travel_digits_parse(&at, ngx_http_travel_view(ms)) != TRAVEL_OK) {
        travel_json_null(w);
        return;
    }

    travel_timestamp_format(text, at);

    s.data = text;
    s.len = TRAVEL_TIMESTAMP_LEN;
    travel_json_string(w, s);
}


/* --- DELETE --------------------------------------------------------------- */

static ngx_int_t
ngx_http_travel_look_cancel(ngx_http_request_t *r,
    ngx_http_travel_look_t *look)
{
    char                         key[TRAVEL_KEY_MAX], now[TRAVEL_DIGITS_MAX];
    size_t                       len[3];
    ngx_time_t                  *tp;
    const char                  *argv[3];
    ngx_http_travel_ctx_t       *ctx;
    ngx_http_travel_redis_op_t  *op;

    ctx = ngx_http_travel_get_ctx(r);

    /* the script takes no caller for an operator */

    if (ctx->user.len == 0) {
        return ngx_http_travel_query_refuse(r, TRAVEL_E_RESOURCE_NOT_FOUND);
    }

    op = ngx_http_travel_redis_op(NGX_HTTP_TRAVEL_REDIS_QUEUE, r, 0,
                                  ngx_http_travel_look_cancelled, look);
    if (op == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    tp = ngx_timeofday();

    argv[0] = key;
    len[0] = travel_key_job(key, &look->name.id);
    argv[1] = (char *) ctx->user.data;
    len[1] = ctx->user.len;
    argv[2] = now;
    len[2] = travel_digits_format(now, (uint64_t) tp->sec * 1000 + tp->msec);

    return ngx_http_travel_redis_script(op, travel_script_cancel, 1, 3, argv,
                                        len)
           == NGX_OK ? NGX_DONE : ngx_http_travel_look_unavailable(r);
}


static void
ngx_http_travel_look_cancelled(ngx_http_travel_redis_op_t *op, ngx_uint_t i,
    const ngx_http_travel_reply_t *reply)
{
    ngx_int_t                rc;
    ngx_str_t                word;
    ngx_http_request_t      *r;
    ngx_http_travel_job_t   *job;
    ngx_http_travel_look_t  *look;

    (void) i;

    r = op->request;
    look = op->data;

    ngx_http_set_log_request(r->connection->log, r);

    if (reply == NULL || ngx_http_travel_reply_count(reply) == 0) {
        rc = (reply == NULL && op->sent)
             ? ngx_http_travel_command_unavailable(r, TRAVEL_E_OUTCOME_UNKNOWN,
                   "It is not known whether the job was cancelled.")
             : ngx_http_travel_look_unavailable(r);
        ngx_http_travel_finish(r, rc);
        return;
    }

    word = ngx_http_travel_reply_str(ngx_http_travel_reply_elt(reply, 0));

    if (word.len && word.data[0] == 'u') {                    /* unknown */
        ngx_http_travel_finish(r, ngx_http_travel_query_refuse(r,
                                      TRAVEL_E_RESOURCE_NOT_FOUND));
        return;
    }

    job = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_job_t));

    if (job == NULL || ngx_http_travel_reply_count(reply) != 2
        || ngx_http_travel_job_pairs(r, ngx_http_travel_reply_elt(reply, 1),
                                     job)
           != NGX_OK)
    {
        ngx_http_travel_finish(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    job->name = &look->name;

    switch (word.data[0]) {

    case 'c':                                             /* cancelled */
        rc = ngx_http_travel_look_answer(r, look, job, NGX_HTTP_OK);
        break;

    case 't':                                                  /* told */
        rc = ngx_http_travel_look_answer(r, look, job, NGX_HTTP_ACCEPTED);
        break;

    default:
        rc = ngx_http_travel_error(r, TRAVEL_E_JOB_NOT_CANCELLABLE,
                                   "The job is %s.",
                                   travel_job_status_name(job->status));
    }

    ngx_http_travel_finish(r, rc);
}


static ngx_int_t
ngx_http_travel_look_unavailable(ngx_http_request_t *r)
{
    return ngx_http_travel_command_unavailable(r,
               TRAVEL_E_DEPENDENCY_UNAVAILABLE,
               "The queue cannot be reached. Please try again.");
}
