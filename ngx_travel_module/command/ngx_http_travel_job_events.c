/*
 * travel_job_status to who accepts text/event-stream: what becomes of a job as
 * it happens (Server-Sent Events, WHATWG HTML section 9.2).
 *
 *     retry: 2000
 *     id: 1764..-1   event: status     data: the job, at first and on change
 *     id: ...        event: progress   data: {"id", "progress"}
 *     id: end        event: end        data: the job, when it has ended
 *     : a comment every 'heartbeat', so that proxies and clients see life
 *
 * Every stream begins with the job as it is, so nothing depends on what
 * Last-Event-ID says; but a client that has had the end and comes again, as
 * EventSource does, is told by 204 not to.  A stream lasts 'events=' at most;
 * an nginx worker that shuts down closes its streams, with a hint to come back
 * soon.
 *
 * A stream watches the job: it looks at the hash when workers say that it has
 * changed, and every few seconds besides.  It writes snapshots: to a client
 * that does not read, nothing is written until the last one is gone, and who
 * has read nothing for send_timeout is left.  It lives in its request's pool;
 * the timer is deleted with the request.
 */

#include "ngx_http_travel_command_room.h"

#define NGX_HTTP_TRAVEL_STREAM_POLL      500     /* ms, where nobody tells */
#define NGX_HTTP_TRAVEL_STREAM_TICK      1000
#define NGX_HTTP_TRAVEL_STREAM_BEAT      15000
#define NGX_HTTP_TRAVEL_STREAM_RETRY     "2000"  /* ms; after a shutdown 1000 */


typedef struct {
    ngx_http_request_t                *request;
    const ngx_http_travel_job_name_t  *name;
    ngx_http_travel_waiter_t          *waiter;
    ngx_event_t                        timer;
    ngx_msec_t                         until;
    ngx_msec_t                         beat;       /* when life was shown */
    ngx_msec_t                         stuck;      /* since when, or 0 */
    ngx_uint_t                         seq;
    travel_job_status_e                status;     /* as last written */
    ngx_str_t                          attempts;
    ngx_str_t                          progress;
    unsigned                           counted:1;
    unsigned                           behind:1;   /* look when it reads */
} ngx_http_travel_stream_t;


static void ngx_http_travel_stream_end(void *data);
static void ngx_http_travel_stream_tick(ngx_http_travel_stream_t *s);
static void ngx_http_travel_stream_timer(ngx_event_t *ev);
static void ngx_http_travel_stream_seen(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job);
static ngx_int_t ngx_http_travel_stream_tell(ngx_http_travel_stream_t *s,
    ngx_http_travel_job_t *job);
static ngx_int_t ngx_http_travel_stream_event(ngx_http_travel_stream_t *s,
    const char *event, travel_json_writer_t *w);
static ngx_int_t ngx_http_travel_stream_write(ngx_http_travel_stream_t *s,
    ngx_str_t *text);
static ngx_int_t ngx_http_travel_stream_text(ngx_http_travel_stream_t *s,
    const char *text);
static void ngx_http_travel_stream_writable(ngx_http_request_t *r);
static ngx_uint_t ngx_http_travel_stream_same(const ngx_str_t *a,
    const ngx_str_t *b);


static ngx_uint_t  ngx_http_travel_streams;      /* of this nginx worker */


ngx_int_t
ngx_http_travel_stream_start(ngx_http_request_t *r,
    const ngx_http_travel_job_name_t *name, ngx_http_travel_job_t *job)
{
    ngx_int_t                             rc;
    ngx_str_t                            *last;
    ngx_http_cleanup_t                   *cln;
    ngx_http_travel_stream_t             *s;
    ngx_http_travel_command_loc_conf_t   *clcf;
    ngx_http_travel_command_main_conf_t  *cmcf;

    static const ngx_str_t  vary = ngx_string("Accept, Prefer");

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_command_module);
    cmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_command_module);
    last = ngx_http_travel_header_in(r, "last-event-id",
                                     sizeof("last-event-id") - 1);

    if (job->final && last && last->len == 3
        && ngx_memcmp(last->data, "end", 3) == 0)
    {
        r->headers_out.status = NGX_HTTP_NO_CONTENT;
        r->header_only = 1;
        return ngx_http_send_header(r);
    }

    if (ngx_http_travel_streams >= clcf->job_streams) {
        ngx_http_travel_count(cmcf->streams_full, 1);
        return ngx_http_travel_command_unavailable(r,
                   TRAVEL_E_DEPENDENCY_UNAVAILABLE,
                   "Too many event streams are open. Ask for JSON instead.");
    }

    s = ngx_pcalloc(r->pool, sizeof(ngx_http_travel_stream_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (s == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_travel_stream_end;
    cln->data = s;

    s->request = r;
    s->name = name;
    s->until = ngx_current_msec + clcf->job_events;
    s->beat = ngx_current_msec;

    s->timer.handler = ngx_http_travel_stream_timer;
    s->timer.data = s;
    s->timer.log = ngx_cycle->log;

    rc = ngx_http_travel_event_stream_header(r, &vary);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    ngx_http_travel_count(cmcf->streams, 1);
    ngx_http_travel_streams++;
    s->counted = 1;

    r->write_event_handler = ngx_http_travel_stream_writable;

    rc = ngx_http_travel_stream_text(s,
                            "retry: " NGX_HTTP_TRAVEL_STREAM_RETRY "\n\n");

    if (rc != NGX_ERROR) {
        rc = ngx_http_travel_stream_tell(s, job);
    }

    if (rc == NGX_ERROR || rc == NGX_DONE) {
        return rc == NGX_DONE ? ngx_http_send_special(r, NGX_HTTP_LAST)
                              : NGX_ERROR;
    }

    s->waiter = ngx_http_travel_job_expect(r, name,
                                           ngx_http_travel_stream_seen, s);
    if (s->waiter == NULL) {
        return NGX_ERROR;
    }

    ngx_http_travel_stream_tick(s);
    ngx_http_travel_job_start(s->waiter, clcf->job_events
                                         + NGX_HTTP_TRAVEL_STREAM_BEAT,
                              NGX_HTTP_TRAVEL_STREAM_POLL, 0);
    ngx_http_travel_job_watch(s->waiter, 1);

    return NGX_DONE;
}


static void
ngx_http_travel_stream_end(void *data)
{
    ngx_http_travel_stream_t  *s = data;

    if (s->counted) {
        ngx_http_travel_streams--;
        s->counted = 0;
    }

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }
}


static void
ngx_http_travel_stream_tick(ngx_http_travel_stream_t *s)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (s->until - ngx_current_msec);
    left = ngx_min(ngx_max(left, 0), NGX_HTTP_TRAVEL_STREAM_TICK);

    ngx_add_timer(&s->timer, (ngx_msec_t) left);
}


/* Time to show life, or to close. */
static void
ngx_http_travel_stream_timer(ngx_event_t *ev)
{
    ngx_int_t                  rc;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *lcf;
    ngx_http_travel_stream_t  *s;

    s = ev->data;
    r = s->request;
    rc = NGX_OK;

    ngx_http_set_log_request(r->connection->log, r);

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (s->stuck && ngx_current_msec - s->stuck > lcf->send_timeout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client does not read its event stream");
        r->connection->timedout = 1;
        ngx_http_travel_finish(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (ngx_exiting || ngx_terminate
        || (ngx_msec_int_t) (s->until - ngx_current_msec) <= 0)
    {
        (void) ngx_http_travel_stream_text(s, ngx_exiting
                                           ? ": come again\nretry: 1000\n\n"
                                           : ": come again\n\n");
        ngx_http_travel_finish(r, ngx_http_send_special(r, NGX_HTTP_LAST));
        return;
    }

    if (!s->stuck
        && ngx_current_msec - s->beat >= NGX_HTTP_TRAVEL_STREAM_BEAT)
    {
        rc = ngx_http_travel_stream_text(s, ": alive\n\n");
    }

    if (rc == NGX_ERROR) {
        ngx_http_travel_finish(r, NGX_ERROR);
        return;
    }

    ngx_http_travel_stream_tick(s);
}


static void
ngx_http_travel_stream_seen(ngx_http_request_t *r, void *data,
    ngx_http_travel_job_t *job)
{
    ngx_int_t                  rc;
    ngx_http_travel_stream_t  *s = data;

    ngx_http_set_log_request(r->connection->log, r);

    if (job == NULL) {
        /* the queue is away: it may come back */
        return;
    }

    if (s->stuck) {
        s->behind = 1;
        return;
    }

    rc = job->found ? ngx_http_travel_stream_tell(s, job) : NGX_DONE;

    if (rc == NGX_DONE) {
        rc = ngx_http_send_special(r, NGX_HTTP_LAST);
        ngx_http_travel_finish(r, rc);

    } else if (rc == NGX_ERROR) {
        ngx_http_travel_finish(r, NGX_ERROR);
    }
}


static ngx_uint_t
ngx_http_travel_stream_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


/* What is new of the job; NGX_DONE: that was the end. */
static ngx_int_t
ngx_http_travel_stream_tell(ngx_http_travel_stream_t *s,
    ngx_http_travel_job_t *job)
{
    ngx_uint_t             fresh;
    travel_str_t           id;
    travel_json_writer_t   w;

    const ngx_str_t  *attempts = &job->field[NGX_HTTP_TRAVEL_JOB_ATTEMPTS];
    const ngx_str_t  *progress = &job->field[NGX_HTTP_TRAVEL_JOB_PROGRESS];

    fresh = (s->seq == 0 || s->status != job->status
             || !ngx_http_travel_stream_same(&s->attempts, attempts));

    if (fresh || job->final) {

        if (ngx_http_travel_job_body(s->request, s->name, job, &w) != NGX_OK
            || ngx_http_travel_stream_event(s, job->final ? "end" : "status",
                                            &w)
               == NGX_ERROR)
        {
            return NGX_ERROR;
        }

    } else if (!ngx_http_travel_stream_same(&s->progress, progress)) {

        if (ngx_http_travel_command_writer(s->request, &w, 64 + progress->len
                                                  + 6 * TRAVEL_JOB_ID_MAX)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        id.data = s->name->text;
        id.len = s->name->len;

        travel_json_object(&w);
        travel_json_member_string(&w, "id", id);
        travel_json_key(&w, TRAVEL_STR("progress"));
        travel_json_raw(&w, ngx_http_travel_view(progress));
        travel_json_object_end(&w);

        if (ngx_http_travel_stream_event(s, "progress", &w) == NGX_ERROR) {
            return NGX_ERROR;
        }

    } else {
        return NGX_OK;
    }

    s->status = job->status;
    s->attempts = *attempts;
    s->progress = *progress;

    return job->final ? NGX_DONE : NGX_OK;
}


/* One event; JSON may hold line breaks between its tokens, an event's line may
 * not, and a space means the same there. */
static ngx_int_t
ngx_http_travel_stream_event(ngx_http_travel_stream_t *s, const char *event,
    travel_json_writer_t *w)
{
    u_char     *p;
    size_t      i, len;
    ngx_str_t   text;

    len = travel_json_writer_finish(w);
    if (len == 0) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        if (w->dst[i] == '\n' || w->dst[i] == '\r') {
            w->dst[i] = ' ';
        }
    }

    text.data = ngx_pnalloc(s->request->pool, len + 128);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    s->seq++;

    p = (event[0] == 'e')
        ? ngx_sprintf(text.data, "id: end\nevent: %s\ndata: ", event)
        : ngx_sprintf(text.data, "id: %ui\nevent: %s\ndata: ", s->seq, event);
    p = ngx_cpymem(p, w->dst, len);
    *p++ = '\n';
    *p++ = '\n';

    text.len = p - text.data;

    return ngx_http_travel_stream_write(s, &text);
}


static ngx_int_t
ngx_http_travel_stream_text(ngx_http_travel_stream_t *s, const char *text)
{
    ngx_str_t  t;

    t.data = (u_char *) text;
    t.len = ngx_strlen(text);

    return ngx_http_travel_stream_write(s, &t);
}


/* 'text' must live as long as the request. */
static ngx_int_t
ngx_http_travel_stream_write(ngx_http_travel_stream_t *s, ngx_str_t *text)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t          out;
    ngx_http_request_t  *r;

    r = s->request;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = text->data;
    b->last = text->data + text->len;
    b->memory = 1;
    b->flush = 1;

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_output_filter(r, &out);

    s->beat = ngx_current_msec;

    if (rc == NGX_AGAIN && s->stuck == 0) {
        s->stuck = ngx_current_msec;

        if (ngx_handle_write_event(r->connection->write, 0) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return rc;
}


static void
ngx_http_travel_stream_writable(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_cleanup_t        *cln;
    ngx_http_travel_stream_t  *s;

    rc = ngx_http_output_filter(r, NULL);

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (rc == NGX_AGAIN) {
        if (ngx_handle_write_event(r->connection->write, 0) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        return;
    }

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_travel_stream_end) {
            s = cln->data;
            s->stuck = 0;

            if (s->behind) {
                s->behind = 0;
                ngx_http_travel_job_look(s->waiter);
            }
        }
    }
}
