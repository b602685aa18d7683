/*
 * Event streams (Server-Sent Events, WHATWG HTML section 9.2) that outlive the
 * handler of their request.
 *
 * The request stays, and its pool with it; nothing is taken from the pool for
 * a message: texts are shared, links of chains are used again.  What is sent
 * waits in a queue until the end of the loop's turn, and then goes to nginx's
 * output all at once, but only when nginx has nothing of ours left; so what
 * has not gone yet can be dropped, and a client that does not read costs no
 * more than 'queue'.
 *
 * A stream ends in three handlers alone: of its posted event, its timer, and
 * nginx's own when the client goes.  Whoever sends from elsewhere leaves a
 * mark.  All that is ours is given back by the request's cleanup.
 */

#include "ngx_http_travel_live_room.h"
#include "../../common/live_message.h"


static void ngx_http_travel_events_cleanup(void *data);
static void ngx_http_travel_events_release(ngx_http_travel_unsent_t **list);
static size_t ngx_http_travel_events_bytes(const ngx_http_travel_unsent_t *u);
static void ngx_http_travel_events_post(ngx_http_travel_events_t *e);
static void ngx_http_travel_events_flush(ngx_event_t *ev);
static void ngx_http_travel_events_writable(ngx_http_request_t *r);
static void ngx_http_travel_events_go_on(ngx_http_travel_events_t *e);
static ngx_int_t ngx_http_travel_events_write(ngx_http_travel_events_t *e);
static ngx_chain_t *ngx_http_travel_events_chain(ngx_http_travel_events_t *e);
static void ngx_http_travel_events_timer(ngx_event_t *ev);
static void ngx_http_travel_events_next(ngx_http_travel_events_t *e);
static void ngx_http_travel_events_guest(ngx_http_travel_guest_t *guest,
    unsigned code, const char *reason, ngx_http_travel_live_counter_e how);
static void ngx_http_travel_events_slow(ngx_http_travel_events_t *e);
static void ngx_http_travel_events_fail(ngx_http_travel_events_t *e,
    const char *why, ngx_http_travel_live_counter_e how);


ngx_int_t
ngx_http_travel_events_init(ngx_http_travel_events_t *e,
    ngx_http_request_t *r, const ngx_http_travel_live_loc_conf_t *conf)
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_travel_events_cleanup;
    cln->data = e;

    e->request = r;
    e->conf = conf;
    e->last = &e->unsent;
    e->how = NGX_HTTP_TRAVEL_LIVE_LOST;
    e->guest.leave = ngx_http_travel_events_guest;

    e->flush.handler = ngx_http_travel_events_flush;
    e->flush.data = e;
    e->flush.log = r->connection->log;

    e->timer.handler = ngx_http_travel_events_timer;
    e->timer.data = e;
    e->timer.log = r->connection->log;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_events_open(ngx_http_travel_events_t *e)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r = e->request;

    static const ngx_str_t  vary = ngx_string("Accept");

    rc = ngx_http_travel_event_stream_header(r, &vary);

    if (rc != NGX_OK || r->header_only) {
        return rc;
    }

    ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_OPENED);
    e->opened = 1;
    ngx_http_travel_guest_enter(&e->guest);

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_travel_events_writable;
    r->connection->log->action = "sending events";

    e->beat = ngx_current_msec + e->conf->heartbeat;
    ngx_http_travel_events_next(e);

    return NGX_DONE;
}


static void
ngx_http_travel_events_cleanup(void *data)
{
    ngx_http_travel_events_t  *e = data;

    if (e->opened) {
        ngx_log_error(NGX_LOG_INFO, e->request->connection->log, 0,
                      "event stream ends: %s",
                      e->why ? e->why : "the client has left");
        ngx_http_travel_live_count(e->how);
    }

    e->owner->gone(e);
    ngx_http_travel_guest_gone(&e->guest);

    ngx_http_travel_events_release(&e->unsent);
    ngx_http_travel_events_release(&e->flying);

    if (e->timer.timer_set) {
        ngx_del_timer(&e->timer);
    }

    if (e->flush.posted) {
        ngx_delete_posted_event(&e->flush);
    }
}


static void
ngx_http_travel_events_release(ngx_http_travel_unsent_t **list)
{
    ngx_http_travel_unsent_t  *u;

    while (*list != NULL) {
        u = *list;
        *list = u->next;

        ngx_http_travel_text_release(u->text);
        ngx_free(u);
    }
}


static size_t
ngx_http_travel_events_bytes(const ngx_http_travel_unsent_t *u)
{
    size_t  n;

    for (n = 0; u != NULL; u = u->next) {
        n += u->text->len;
    }

    return n;
}


/* --- out ----------------------------------------------------------------- */

void
ngx_http_travel_events_send(ngx_http_travel_events_t *e,
    ngx_http_travel_text_t *text)
{
    ngx_http_travel_unsent_t  *u;

    if (e->failed || e->ending) {
        return;
    }

    /* one event may be larger than the bound, if nothing else waits; what only
     * waits for the end of this turn can go now */
    if (e->queued > 0 && e->queued + text->len > e->conf->queue) {

        if (ngx_http_travel_events_write(e) != NGX_OK) {
            ngx_http_travel_events_fail(e, "the connection broke",
                                        NGX_HTTP_TRAVEL_LIVE_LOST);
            return;
        }

        if (e->queued > 0 && e->queued + text->len > e->conf->queue) {
            ngx_http_travel_events_slow(e);
            return;
        }
    }

    u = ngx_alloc(sizeof(ngx_http_travel_unsent_t), ngx_cycle->log);

    if (u == NULL) {
        ngx_http_travel_events_fail(e, "no memory", NGX_HTTP_TRAVEL_LIVE_LOST);
        return;
    }

    u->text = text;
    u->next = NULL;
    text->refs++;

    *e->last = u;
    e->last = &u->next;
    e->queued += text->len;

    ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_SENT);
    ngx_http_travel_events_post(e);
}


void
ngx_http_travel_events_give(ngx_http_travel_events_t *e,
    ngx_http_travel_text_t *text)
{
    if (text == NULL) {
        ngx_http_travel_events_fail(e, "no memory", NGX_HTTP_TRAVEL_LIVE_LOST);
        return;
    }

    ngx_http_travel_events_send(e, text);
    ngx_http_travel_text_release(text);
}


static void
ngx_http_travel_events_post(ngx_http_travel_events_t *e)
{
    ngx_post_event(&e->flush, &ngx_posted_events);
}


static void
ngx_http_travel_events_flush(ngx_event_t *ev)
{
    ngx_http_travel_events_t  *e = ev->data;

    ngx_http_set_log_request(e->request->connection->log, e->request);
    ngx_http_travel_events_go_on(e);
}


/* nginx goes on with the request after it: it must still be there. */
static void
ngx_http_travel_events_writable(ngx_http_request_t *r)
{
    ngx_http_cleanup_t        *cln;
    ngx_http_travel_events_t  *e;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_travel_events_cleanup) {
            e = cln->data;
            ngx_http_travel_events_post(e);
            return;
        }
    }
}


/* Sends what can be sent; the end, when it has come.  e may be gone after. */
static void
ngx_http_travel_events_go_on(ngx_http_travel_events_t *e)
{
    ngx_http_request_t  *r = e->request;

    if (!e->failed && ngx_http_travel_events_write(e) != NGX_OK) {
        ngx_http_travel_events_fail(e, "the connection broke",
                                    NGX_HTTP_TRAVEL_LIVE_LOST);
    }

    if (e->failed) {
        r->connection->timedout = 1;
        ngx_http_travel_finish(r, NGX_ERROR);
        return;
    }

    if (e->ending && e->unsent == NULL && e->flying == NULL) {
        ngx_http_travel_finish(r, ngx_http_send_special(r, NGX_HTTP_LAST));
    }
}


static ngx_int_t
ngx_http_travel_events_write(ngx_http_travel_events_t *e)
{
    ngx_chain_t         *out;
    ngx_http_request_t  *r = e->request;

    for ( ;; ) {
        out = NULL;

        if (e->flying == NULL) {
            if (e->unsent == NULL) {
                return NGX_OK;
            }

            out = ngx_http_travel_events_chain(e);
            if (out == NULL) {
                return NGX_ERROR;
            }
        }

        if (ngx_http_output_filter(r, out) == NGX_ERROR) {
            return NGX_ERROR;
        }

        ngx_chain_update_chains(r->pool, &e->free, &e->busy, &out,
                                (ngx_buf_tag_t) &ngx_http_travel_live_module);

        if (e->busy != NULL) {
            if (e->stuck == 0) {
                e->stuck = ngx_current_msec ? ngx_current_msec : 1;
            }

            return ngx_handle_write_event(r->connection->write, 0);
        }

        e->stuck = 0;
        e->queued = ngx_http_travel_events_bytes(e->unsent);
        ngx_http_travel_events_release(&e->flying);
    }
}


/* All that waits, as buffers; NULL: no memory. */
static ngx_chain_t *
ngx_http_travel_events_chain(ngx_http_travel_events_t *e)
{
    ngx_buf_t                 *b;
    ngx_chain_t               *cl, *out, **last;
    ngx_http_travel_unsent_t  *u;

    out = NULL;
    b = NULL;
    last = &out;

    for (u = e->unsent; u != NULL; u = u->next) {
        cl = ngx_chain_get_free_buf(e->request->pool, &e->free);
        if (cl == NULL) {
            return NULL;
        }

        b = cl->buf;
        ngx_memzero(b, sizeof(ngx_buf_t));

        b->start = u->text->data;
        b->pos = b->start;
        b->last = b->start + u->text->len;
        b->end = b->last;
        b->memory = 1;
        b->tag = (ngx_buf_tag_t) &ngx_http_travel_live_module;

        *last = cl;
        last = &cl->next;
    }

    b->flush = 1;

    e->flying = e->unsent;
    e->unsent = NULL;
    e->last = &e->unsent;
    e->beat = ngx_current_msec + e->conf->heartbeat;

    return out;
}


/* Who does not read is not sent the rest: only why. */
static void
ngx_http_travel_events_slow(ngx_http_travel_events_t *e)
{
    ngx_http_travel_events_release(&e->unsent);
    e->last = &e->unsent;
    e->queued = 0;

    ngx_http_travel_events_leave(e, TRAVEL_WS_TRY_LATER,
                                 "too slow: messages were lost",
                                 NGX_HTTP_TRAVEL_LIVE_SLOW);
}


/* --- time ---------------------------------------------------------------- */

static void
ngx_http_travel_events_timer(ngx_event_t *ev)
{
    ngx_msec_t                 end;
    ngx_http_travel_events_t  *e = ev->data;

    static u_char  comment[] = ":\n\n";

    ngx_http_set_log_request(e->request->connection->log, e->request);

    end = e->ending ? e->end : e->stuck + e->conf->heartbeat;

    if ((e->ending || e->stuck)
        && (ngx_msec_int_t) (end - ngx_current_msec) <= 0)
    {
        ngx_http_travel_events_fail(e, e->ending ? e->why
                                    : "the client reads nothing",
                                    e->ending ? e->how
                                    : NGX_HTTP_TRAVEL_LIVE_SILENT);

    } else if (!e->ending && ngx_http_travel_guest_left(&e->guest) == 0) {
        ngx_http_travel_events_leave(e, TRAVEL_LIVE_EXPIRED,
                                     "the token has expired",
                                     NGX_HTTP_TRAVEL_LIVE_EXPIRED_TOKEN);

    } else if (!e->ending && !e->stuck
               && (ngx_msec_int_t) (e->beat - ngx_current_msec) <= 0)
    {
        e->beat = ngx_current_msec + e->conf->heartbeat;
        ngx_http_travel_events_give(e, ngx_http_travel_text_copy(comment,
                                                    sizeof(comment) - 1));
    }

    ngx_http_travel_events_next(e);
}


static void
ngx_http_travel_events_next(ngx_http_travel_events_t *e)
{
    ngx_msec_t      at;
    ngx_msec_int_t  left;

    if (e->failed) {
        return;
    }

    at = e->ending ? e->end
         : e->stuck ? e->stuck + e->conf->heartbeat : e->beat;
    left = e->ending ? -1 : ngx_http_travel_guest_left(&e->guest);

    if (left >= 0 && (ngx_msec_int_t) (ngx_current_msec + left - at) < 0) {
        at = ngx_current_msec + left + 1;
    }

    left = (ngx_msec_int_t) (at - ngx_current_msec);
    ngx_add_timer(&e->timer, ngx_max(left, 1));
}


/* --- the end ------------------------------------------------------------- */

static void
ngx_http_travel_events_guest(ngx_http_travel_guest_t *guest, unsigned code,
    const char *reason, ngx_http_travel_live_counter_e how)
{
    ngx_http_travel_events_leave(ngx_queue_data(guest,
                                                ngx_http_travel_events_t,
                                                guest),
                                 code, reason, how);
}


void
ngx_http_travel_events_leave(ngx_http_travel_events_t *e, unsigned code,
    const char *reason, ngx_http_travel_live_counter_e how)
{
    if (e->ending || e->failed) {
        return;
    }

    e->why = reason;
    e->how = how;

    if (e->owner->farewell) {
        e->owner->farewell(e, code);
    }

    ngx_http_travel_events_end(e);
}


void
ngx_http_travel_events_end(ngx_http_travel_events_t *e)
{
    if (e->ending || e->failed) {
        return;
    }

    if (e->why == NULL) {
        e->why = "it is complete";
        e->how = NGX_HTTP_TRAVEL_LIVE_CLOSED;
    }

    e->ending = 1;
    e->end = ngx_current_msec + e->conf->close;

    ngx_http_travel_events_next(e);
    ngx_http_travel_events_post(e);
}


static void
ngx_http_travel_events_fail(ngx_http_travel_events_t *e, const char *why,
    ngx_http_travel_live_counter_e how)
{
    if (e->failed) {
        return;
    }

    e->failed = 1;
    e->why = why;
    e->how = how;

    ngx_http_travel_events_post(e);
}
