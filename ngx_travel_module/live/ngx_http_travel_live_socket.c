/*
 * A socket: what is left of a request that became a WebSocket.
 *
 * It takes its connection over in an event of its own, after the handler that
 * made it has returned: the request is ended there as nginx ends any other,
 * and the buffers of its header are freed.  From then on the connection's two
 * handlers and its read timer are ours.
 *
 * A socket ends in ngx_http_travel_socket_end() alone, called by these two
 * handlers when they are done, so nothing that they call needs to fear that
 * the socket goes away.  Whoever sends from elsewhere and fails leaves a mark
 * and posts the read handler.
 *
 * Closing: ours is sent, then theirs is awaited 'close' long (section 7.1.1:
 * the server closes TCP first).  After a breach of the protocol nothing they
 * say counts any more: we stop writing and read until they leave, so that
 * unread bytes do not take our close frame with them.
 */

#include "ngx_http_travel_live_socket.h"
#include "ngx_http_travel_live_batch.h"
#include "../../common/live_message.h"

#define NGX_HTTP_TRAVEL_SOCKET_READ    65536    /* bytes at once */
#define NGX_HTTP_TRAVEL_SOCKET_TURNS   16       /* reads before others turn */
#define NGX_HTTP_TRAVEL_SOCKET_SMALL   512      /* pieces that cost as much as
                                                   a message */
#define NGX_HTTP_TRAVEL_SOCKET_BURST   2000     /* ms of the rate, at once */
#define NGX_HTTP_TRAVEL_SOCKET_LINGER  1000     /* ms */


static void ngx_http_travel_socket_guest(ngx_http_travel_guest_t *guest,
    unsigned code, const char *reason, ngx_http_travel_live_counter_e how);
static void ngx_http_travel_socket_takeover(ngx_event_t *rev);
static void ngx_http_travel_socket_free_headers(ngx_connection_t *c,
    ngx_http_connection_t *hc);
static void ngx_http_travel_socket_read_handler(ngx_event_t *rev);
static void ngx_http_travel_socket_write_handler(ngx_event_t *wev);
static void ngx_http_travel_socket_dummy_handler(ngx_event_t *ev);
static void ngx_http_travel_socket_receive(ngx_http_travel_socket_t *s);
static void ngx_http_travel_socket_parse(ngx_http_travel_socket_t *s,
    u_char *p, u_char *last);
static void ngx_http_travel_socket_control(ngx_http_travel_socket_t *s,
    const travel_ws_event_t *ev);
static void ngx_http_travel_socket_piece(ngx_http_travel_socket_t *s,
    const travel_ws_event_t *ev);
static ngx_int_t ngx_http_travel_socket_keep(ngx_http_travel_socket_t *s,
    const travel_str_t *data);
static void ngx_http_travel_socket_whole(ngx_http_travel_socket_t *s,
    const travel_ws_event_t *ev, travel_str_t data);
static ngx_uint_t ngx_http_travel_socket_flood(ngx_http_travel_socket_t *s);
static void ngx_http_travel_socket_look(ngx_http_travel_socket_t *s);
static void ngx_http_travel_socket_next(ngx_http_travel_socket_t *s);
static void ngx_http_travel_socket_breach(ngx_http_travel_socket_t *s,
    unsigned code, const char *why);
static void ngx_http_travel_socket_end(ngx_http_travel_socket_t *s);


/* This worker's: sockets, the buffer that all are read into, the packer of
 * all, the one ping that all are sent. */
static ngx_queue_t              ngx_http_travel_sockets;
static u_char                  *ngx_http_travel_socket_buffer;
travel_ws_packer_t             *ngx_http_travel_socket_packer;
static ngx_http_travel_text_t  *ngx_http_travel_socket_ping;


/* --- birth --------------------------------------------------------------- */

void
ngx_http_travel_socket_start(ngx_uint_t batches)
{
    ngx_queue_init(&ngx_http_travel_sockets);
    ngx_http_travel_socket_out_start(batches);
}


static void
ngx_http_travel_socket_guest(ngx_http_travel_guest_t *guest, unsigned code,
    const char *reason, ngx_http_travel_live_counter_e how)
{
    ngx_http_travel_socket_leave(ngx_queue_data(guest,
                                                ngx_http_travel_socket_t,
                                                guest),
                                 code, reason, how);
}


void
ngx_http_travel_socket_stop(void)
{
    ngx_queue_t  *q;

    /* what did not end in time (worker_shutdown_timeout, or a quick stop) */
    while (ngx_http_travel_sockets.next != NULL
           && !ngx_queue_empty(&ngx_http_travel_sockets))
    {
        q = ngx_queue_head(&ngx_http_travel_sockets);
        ngx_http_travel_socket_end(ngx_queue_data(q, ngx_http_travel_socket_t,
                                                  queue));
    }

    travel_ws_packer_free(ngx_http_travel_socket_packer);
    ngx_http_travel_socket_packer = NULL;

    ngx_free(ngx_http_travel_socket_buffer);
    ngx_http_travel_socket_buffer = NULL;

    if (ngx_http_travel_socket_ping != NULL) {
        ngx_http_travel_text_release(ngx_http_travel_socket_ping);
        ngx_http_travel_socket_ping = NULL;
    }

    ngx_http_travel_batch_stop();
}


/* What sockets share is made with the first of them. */
static ngx_int_t
ngx_http_travel_socket_tools(void)
{
    if (ngx_http_travel_socket_buffer == NULL) {
        ngx_http_travel_socket_buffer = ngx_alloc(NGX_HTTP_TRAVEL_SOCKET_READ,
                                                  ngx_cycle->log);
    }

    if (ngx_http_travel_socket_packer == NULL) {
        ngx_http_travel_socket_packer = travel_ws_packer_create();
    }

    if (ngx_http_travel_socket_ping == NULL) {
        ngx_http_travel_socket_ping = ngx_http_travel_text_frame(
                                          TRAVEL_WS_PING, 0, "", 0);
    }

    return ngx_http_travel_socket_buffer != NULL
           && ngx_http_travel_socket_packer != NULL
           && ngx_http_travel_socket_ping != NULL ? NGX_OK : NGX_ERROR;
}


ngx_http_travel_socket_t *
ngx_http_travel_socket_create(ngx_http_request_t *r,
    const ngx_http_travel_live_loc_conf_t *conf,
    const travel_ws_deflate_t *deal)
{
    ngx_http_travel_socket_t  *s;

    if (ngx_http_travel_socket_tools() != NGX_OK) {
        return NULL;
    }

    s = ngx_memalign(NGX_HTTP_TRAVEL_LINE,
                     sizeof(ngx_http_travel_socket_t), r->connection->log);
    if (s == NULL) {
        return NULL;
    }

    ngx_memzero(s, sizeof(ngx_http_travel_socket_t));

    s->connection = r->connection;
    s->conf = conf;
    s->protocol = conf->protocol;
    s->deal = *deal;
    s->last = &s->unsent;
    s->how = NGX_HTTP_TRAVEL_LIVE_CLOSED;
    s->guest.leave = ngx_http_travel_socket_guest;

    travel_ws_reader_init(&s->reader, conf->max_message, deal->window != 0);

    return s;
}


void
ngx_http_travel_socket_adopt(ngx_http_request_t *r,
    ngx_http_travel_socket_t *s)
{
    ngx_connection_t  *c = r->connection;

    ngx_http_set_ctx(r, s, ngx_http_travel_live_module);

    /* the handler's end leaves the request to us */
    r->main->count++;
    r->read_event_handler = ngx_http_block_reading;

    c->read->handler = ngx_http_travel_socket_takeover;
    c->write->handler = ngx_http_travel_socket_dummy_handler;

    ngx_post_event(c->read, &ngx_posted_events);
}


static void
ngx_http_travel_socket_dummy_handler(ngx_event_t *ev)
{
    (void) ev;
}


static void
ngx_http_travel_socket_takeover(ngx_event_t *rev)
{
    size_t                     n;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_connection_t     *hc;
    ngx_http_travel_socket_t  *s;

    c = rev->data;
    r = c->data;
    hc = r->http_connection;
    s = ngx_http_get_module_ctx(r, ngx_http_travel_live_module);

    /* frames that came with the request */
    n = r->header_in->last - r->header_in->pos;

    if (n > NGX_HTTP_TRAVEL_SOCKET_READ) {
        n = NGX_HTTP_TRAVEL_SOCKET_READ;
        ngx_http_travel_socket_fail(s, "too much came with the request",
                                    NGX_HTTP_TRAVEL_LIVE_BROKEN);
    }

    ngx_memcpy(ngx_http_travel_socket_buffer, r->header_in->pos, n);

    ngx_http_free_request(r, 0);

    c->destroyed = 0;
    c->data = s;
    c->log->action = "serving a WebSocket";
    c->read->handler = ngx_http_travel_socket_read_handler;
    c->write->handler = ngx_http_travel_socket_write_handler;

    ngx_http_travel_socket_free_headers(c, hc);

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    (void) ngx_tcp_nodelay(c);

    ngx_queue_insert_tail(&ngx_http_travel_sockets, &s->queue);
    ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_OPENED);

    /* a shutdown asks idle connections to close, and we are always idle */
    c->idle = 1;

    if (ngx_exiting) {
        c->close = 1;
    }

    /* not all in the same moment, however fast they came */
    s->alive = ngx_current_msec + s->conf->heartbeat / 2
               + (ngx_msec_t) ngx_random() % (s->conf->heartbeat / 2 + 1);
    ngx_http_travel_socket_next(s);

    ngx_http_travel_guest_enter(&s->guest);

    if (n > 0 && !s->failed) {
        ngx_http_travel_socket_parse(s, ngx_http_travel_socket_buffer,
                                     ngx_http_travel_socket_buffer + n);
    }

    ngx_http_travel_socket_read_handler(c->read);
}


/* As nginx does for a connection that is kept alive. */
static void
ngx_http_travel_socket_free_headers(ngx_connection_t *c,
    ngx_http_connection_t *hc)
{
    ngx_chain_t  *cl;

    if (c->buffer != NULL && c->buffer->start != NULL
        && ngx_pfree(c->pool, c->buffer->start) == NGX_OK)
    {
        ngx_memzero(c->buffer, sizeof(ngx_buf_t));
    }

    for (cl = hc->free; cl; cl = cl->next) {
        (void) ngx_pfree(c->pool, cl->buf->start);
    }

    for (cl = hc->busy; cl; cl = cl->next) {
        (void) ngx_pfree(c->pool, cl->buf->start);
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;
}


/* --- events -------------------------------------------------------------- */

static void
ngx_http_travel_socket_read_handler(ngx_event_t *rev)
{
    ngx_connection_t          *c;
    ngx_http_travel_socket_t  *s;

    c = rev->data;
    s = c->data;

    if (c->error) {
        /* worker_shutdown_timeout */
        ngx_http_travel_socket_fail(s, "the nginx worker ends",
                                    NGX_HTTP_TRAVEL_LIVE_RELEASED);
    }

    rev->timedout = 0;

    if (!s->failed) {
        ngx_http_travel_socket_receive(s);
    }

    if (!s->failed && c->close && !s->closing) {

        ngx_http_travel_socket_leave(s, TRAVEL_WS_GOING_AWAY,
                                     "the server restarts",
                                     NGX_HTTP_TRAVEL_LIVE_RELEASED);
    }

    if (!s->failed
        && (ngx_msec_int_t) (s->beat - ngx_current_msec) <= 0)
    {
        ngx_http_travel_socket_look(s);
    }

    if (!s->failed && ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_travel_socket_fail(s, "events cannot be had",
                                    NGX_HTTP_TRAVEL_LIVE_LOST);
    }

    if (s->failed) {
        ngx_http_travel_socket_end(s);
        return;
    }

    ngx_add_timer(rev, s->beat - ngx_current_msec);
}


static void
ngx_http_travel_socket_write_handler(ngx_event_t *wev)
{
    ngx_connection_t          *c;
    ngx_http_travel_socket_t  *s;

    c = wev->data;
    s = c->data;

    ngx_http_travel_socket_flush(s);

    if (s->failed) {
        ngx_http_travel_socket_end(s);
    }
}


/* The time has come: to give up, or to see whether anybody is there. */
static void
ngx_http_travel_socket_look(ngx_http_travel_socket_t *s)
{
    if (s->closing) {
        ngx_http_travel_socket_fail(s, s->deaf ? s->why
                                               : "no close came in answer",
                                    s->how);
        return;
    }

    if (ngx_http_travel_guest_left(&s->guest) == 0) {
        ngx_http_travel_socket_leave(s, TRAVEL_LIVE_EXPIRED,
                                     "the token has expired",
                                     NGX_HTTP_TRAVEL_LIVE_EXPIRED_TOKEN);
        return;
    }

    /* it may have been the token that made us look */
    if ((ngx_msec_int_t) (s->alive - ngx_current_msec) > 0) {
        ngx_http_travel_socket_next(s);
        return;
    }

    s->alive = ngx_current_msec + s->conf->heartbeat;
    ngx_http_travel_socket_next(s);

    if (s->pinged && !s->heard) {
        ngx_http_travel_socket_fail(s, "the client shows no sign of life",
                                    NGX_HTTP_TRAVEL_LIVE_SILENT);
        return;
    }

    if (s->since && ngx_current_msec - s->since >= s->conf->heartbeat) {
        ngx_http_travel_socket_close(s, TRAVEL_WS_POLICY,
                                     "the message takes too long",
                                     NGX_HTTP_TRAVEL_LIVE_SILENT);
        return;
    }

    s->heard = 0;
    s->pinged = 1;
    ngx_http_travel_socket_send(s, ngx_http_travel_socket_ping);
}


/* When the next look is due: at a sign of life, or when the token ends. */
static void
ngx_http_travel_socket_next(ngx_http_travel_socket_t *s)
{
    ngx_msec_int_t  left;

    s->beat = s->alive;
    left = ngx_http_travel_guest_left(&s->guest);

    if (left >= 0
        && (ngx_msec_int_t) (ngx_current_msec + left - s->beat) < 0)
    {
        s->beat = ngx_current_msec + left + 1;
    }
}


void
ngx_http_travel_socket_renewed(ngx_http_travel_socket_t *s)
{
    if (!s->closing && !s->failed) {
        ngx_http_travel_socket_next(s);
        ngx_post_event(s->connection->read, &ngx_posted_events);
    }
}


/* --- in ------------------------------------------------------------------ */

static void
ngx_http_travel_socket_receive(ngx_http_travel_socket_t *s)
{
    ssize_t            n;
    ngx_uint_t         turns;
    ngx_connection_t  *c = s->connection;

    for (turns = 0; !s->failed; turns++) {

        if (turns == NGX_HTTP_TRAVEL_SOCKET_TURNS) {
            ngx_post_event(c->read, &ngx_posted_next_events);
            break;
        }

        n = c->recv(c, ngx_http_travel_socket_buffer,
                    NGX_HTTP_TRAVEL_SOCKET_READ);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_travel_socket_fail(s, s->why ? s->why
                                                  : "the client has left",
                                        s->closing
                                        ? s->how : NGX_HTTP_TRAVEL_LIVE_LOST);
            break;
        }

        s->heard = 1;

        if (!s->deaf) {
            ngx_http_travel_socket_parse(s, ngx_http_travel_socket_buffer,
                                         ngx_http_travel_socket_buffer + n);
        }
    }

    if (!travel_ws_reader_within(&s->reader)) {
        s->since = 0;

    } else if (s->since == 0) {
        s->since = ngx_current_msec ? ngx_current_msec : 1;
    }
}


static void
ngx_http_travel_socket_parse(ngx_http_travel_socket_t *s, u_char *p,
    u_char *last)
{
    travel_ws_event_t  ev;

    while (!s->failed && !s->deaf) {

        travel_ws_read(&s->reader, &p, last, &ev);

        if (ev.event == TRAVEL_WS_MORE) {
            return;
        }

        if (ev.event == TRAVEL_WS_BROKEN) {
            ngx_http_travel_socket_breach(s, ev.code, ev.why);
            return;
        }

        if ((ev.event == TRAVEL_WS_CONTROL || ev.last
             || ev.data.len < NGX_HTTP_TRAVEL_SOCKET_SMALL)
            && ngx_http_travel_socket_flood(s))
        {
            return;
        }

        if (ev.event == TRAVEL_WS_CONTROL) {
            ngx_http_travel_socket_control(s, &ev);

        } else if (!s->closing) {
            ngx_http_travel_socket_piece(s, &ev);
        }
    }
}


static ngx_uint_t
ngx_http_travel_socket_flood(ngx_http_travel_socket_t *s)
{
    if (s->conf->rate == 0 || s->closing) {
        return 0;
    }

    if ((ngx_msec_int_t) (s->paid - ngx_current_msec) < 0) {
        s->paid = ngx_current_msec;
    }

    s->paid += 1000 / s->conf->rate;

    if (s->paid - ngx_current_msec <= NGX_HTTP_TRAVEL_SOCKET_BURST) {
        return 0;
    }

    ngx_http_travel_socket_close(s, TRAVEL_WS_POLICY, "too many messages",
                                 NGX_HTTP_TRAVEL_LIVE_FLOOD);
    s->deaf = 1;

    return 1;
}


static void
ngx_http_travel_socket_control(ngx_http_travel_socket_t *s,
    const travel_ws_event_t *ev)
{
    size_t                   n;
    char                     payload[TRAVEL_WS_CONTROL_MAX];
    ngx_http_travel_text_t  *text;

    if (ev->opcode == TRAVEL_WS_PONG) {
        return;
    }

    if (ev->opcode == TRAVEL_WS_PING) {

        if (!s->closing) {
            text = ngx_http_travel_text_frame(TRAVEL_WS_PONG, 0, ev->data.data,
                                              ev->data.len);
            if (text != NULL) {
                ngx_http_travel_socket_send(s, text);
                ngx_http_travel_text_release(text);
            }
        }

        return;
    }

    s->closed = 1;
    s->deaf = 1;

    if (s->closing) {
        ngx_http_travel_socket_flush(s);
        return;
    }

    /* theirs is answered by the same code */
    s->closing = 1;
    s->why = "the client closed";
    s->beat = ngx_current_msec + s->conf->close;

    n = travel_ws_close(payload, ev->code, TRAVEL_STR(""));
    text = ngx_http_travel_text_frame(TRAVEL_WS_CLOSE, 0, payload, n);

    if (text == NULL) {
        ngx_http_travel_socket_fail(s, "no memory",
                                    NGX_HTTP_TRAVEL_LIVE_LOST);
        return;
    }

    ngx_http_travel_socket_queue(s, text);
    ngx_http_travel_text_release(text);
    ngx_http_travel_socket_flush(s);
}


static void
ngx_http_travel_socket_piece(ngx_http_travel_socket_t *s,
    const travel_ws_event_t *ev)
{
    if (ev->last && s->used == 0) {
        ngx_http_travel_socket_whole(s, ev, ev->data);
        return;
    }

    if (ngx_http_travel_socket_keep(s, &ev->data) != NGX_OK) {
        ngx_http_travel_socket_breach(s, TRAVEL_WS_INTERNAL, "no memory");
        return;
    }

    if (ev->last) {
        ngx_http_travel_socket_whole(s, ev, (travel_str_t) {
                                     (char *) s->message, s->used });
        ngx_free(s->message);
        s->message = NULL;
        s->used = 0;
        s->room = 0;
    }
}


/* A message grows as its bytes come, whatever length its frame announces. */
static ngx_int_t
ngx_http_travel_socket_keep(ngx_http_travel_socket_t *s,
    const travel_str_t *data)
{
    size_t   room;
    u_char  *p;

    if (data->len == 0) {
        return NGX_OK;
    }

    if (s->used + data->len > s->room) {
        room = ngx_max(s->used + data->len, 2 * s->room);

        p = ngx_alloc(room, s->connection->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (s->used > 0) {
            ngx_memcpy(p, s->message, s->used);
        }

        ngx_free(s->message);
        s->message = p;
        s->room = room;
    }

    ngx_memcpy(s->message + s->used, data->data, data->len);
    s->used += data->len;

    return NGX_OK;
}


static void
ngx_http_travel_socket_whole(ngx_http_travel_socket_t *s,
    const travel_ws_event_t *ev, travel_str_t data)
{
    int           rc;
    uint8_t       utf8[2] = { 0, 0 };
    ngx_str_t     message;

    if (ev->compressed) {
        rc = travel_ws_inflate(ngx_http_travel_socket_packer, data,
                               s->conf->max_message, &data);

        if (rc != TRAVEL_OK) {
            ngx_http_travel_socket_breach(s,
                rc == TRAVEL_REFUSED ? TRAVEL_WS_TOO_BIG
                : rc == TRAVEL_INVALID ? TRAVEL_WS_BAD_DATA
                : TRAVEL_WS_INTERNAL,
                rc == TRAVEL_REFUSED ? "the message is too long"
                : rc == TRAVEL_INVALID ? "the message cannot be inflated"
                : "no memory");
            return;
        }

        if (ev->opcode == TRAVEL_WS_TEXT
            && (!travel_ws_utf8(utf8, (const uint8_t *) data.data, data.len)
                || !travel_ws_utf8_whole(utf8)))
        {
            ngx_http_travel_socket_breach(s, TRAVEL_WS_BAD_DATA,
                                          "the text is not UTF-8");
            return;
        }
    }

    ngx_http_travel_live_count(NGX_HTTP_TRAVEL_LIVE_RECEIVED);

    message.data = (u_char *) data.data;
    message.len = data.len;

    s->protocol->message(s, ev->opcode == TRAVEL_WS_TEXT, &message);
}


/* --- the end ------------------------------------------------------------- */

void
ngx_http_travel_socket_close(ngx_http_travel_socket_t *s, unsigned code,
    const char *reason, ngx_http_travel_live_counter_e how)
{
    size_t                   n;
    char                     payload[TRAVEL_WS_CONTROL_MAX];
    ngx_http_travel_text_t  *text;

    if (s->closing || s->failed) {
        return;
    }

    s->closing = 1;
    s->why = reason;
    s->how = how;
    s->beat = ngx_current_msec + s->conf->close;

    n = travel_ws_close(payload, code, (travel_str_t) { reason,
                                                        ngx_strlen(reason) });
    text = ngx_http_travel_text_frame(TRAVEL_WS_CLOSE, 0, payload, n);

    if (text == NULL) {
        ngx_http_travel_socket_fail(s, "no memory", NGX_HTTP_TRAVEL_LIVE_LOST);
        return;
    }

    ngx_http_travel_socket_queue(s, text);
    ngx_http_travel_text_release(text);
    ngx_http_travel_socket_flush(s);

    /* whoever called: the timer is set where it always is */
    ngx_post_event(s->connection->read, &ngx_posted_events);
}


/* It is the server that leaves: with last words. */
void
ngx_http_travel_socket_leave(ngx_http_travel_socket_t *s, unsigned code,
    const char *reason, ngx_http_travel_live_counter_e how)
{
    if (s->protocol->farewell && !s->closing && !s->failed) {
        s->protocol->farewell(s, code);
    }

    ngx_http_travel_socket_close(s, code, reason, how);
}


/* They broke the rules: what else they say is not listened to. */
static void
ngx_http_travel_socket_breach(ngx_http_travel_socket_t *s, unsigned code,
    const char *why)
{
    if (s->closing) {
        ngx_http_travel_socket_fail(s, why, s->how);
        return;
    }

    s->deaf = 1;
    ngx_http_travel_socket_close(s, code, why, NGX_HTTP_TRAVEL_LIVE_BROKEN);
    s->beat = ngx_current_msec
              + ngx_min(s->conf->close, NGX_HTTP_TRAVEL_SOCKET_LINGER);
}


void
ngx_http_travel_socket_fail(ngx_http_travel_socket_t *s, const char *why,
    ngx_http_travel_live_counter_e how)
{
    if (s->failed) {
        return;
    }

    s->failed = 1;
    s->why = why;
    s->how = how;

    ngx_post_event(s->connection->read, &ngx_posted_events);
}


static void
ngx_http_travel_socket_end(ngx_http_travel_socket_t *s)
{
    ngx_connection_t  *c = s->connection;

    ngx_log_error(NGX_LOG_INFO, c->log, 0, "WebSocket ends: %s",
                  s->why ? s->why : "the nginx worker ends");

    ngx_http_travel_live_count(s->how);

    if (s->protocol->gone) {
        s->protocol->gone(s);
    }

    ngx_http_travel_socket_forget(s);
    ngx_queue_remove(&s->queue);

    ngx_http_travel_guest_gone(&s->guest);
    ngx_free(s->message);
    ngx_free(s);

    c->write->eof = 0;
    ngx_http_close_connection(c);
}
