/*
 * Spans on their way to the collector: OTLP/HTTP, protobuf, off the request
 * path.
 *
 * Everything here is per process and touched by its one thread.  Spans that
 * ended are encoded into 'filling'.  When a batch is due and no batch is on
 * its way, 'filling' and 'sending' change places and 'sending' goes out over
 * one keepalive connection.  Both are bounded: full means drop and count.
 *
 *   IDLE        nothing on its way; the flush timer looks every interval
 *   CONNECTING  ┐
 *   SENDING     ├ the connection's one timer bounds the three together
 *   READING     ┘
 *   WAITING     the collector failed; 'sending' is kept, the timer retries
 *
 * ngx_http_travel_export_drop() is the one place that gives up a connection.
 * No timer here keeps a worker that is to go; what is left is sent when it
 * exits, see ngx_http_travel_export_stop().
 */

#include "ngx_http_travel_observe_room.h"
#include "../../common/backoff.h"

#include <poll.h>


#define NGX_HTTP_TRAVEL_SPAN_ROOM     1024      /* bytes a span takes, about */
#define NGX_HTTP_TRAVEL_HEAD_ROOM     1024
#define NGX_HTTP_TRAVEL_ANSWER_ROOM   4096
#define NGX_HTTP_TRAVEL_RETRIES       5
#define NGX_HTTP_TRAVEL_RETRY_BASE    500
#define NGX_HTTP_TRAVEL_RETRY_CAP     30000
#define NGX_HTTP_TRAVEL_RETRY_AFTER   60000
#define NGX_HTTP_TRAVEL_LAST_FLUSH    1000      /* ms, at exit, for all */


typedef enum {
    NGX_HTTP_TRAVEL_EXPORT_IDLE,
    NGX_HTTP_TRAVEL_EXPORT_CONNECTING,
    NGX_HTTP_TRAVEL_EXPORT_SENDING,
    NGX_HTTP_TRAVEL_EXPORT_READING,
    NGX_HTTP_TRAVEL_EXPORT_WAITING
} ngx_http_travel_export_state_e;


typedef struct {
    u_char                          *data;
    size_t                           len;
    ngx_uint_t                       spans;
} ngx_http_travel_batch_t;


typedef struct {
    ngx_http_travel_observe_main_conf_t  *conf;
    ngx_http_travel_export_state_e        state;

    ngx_http_travel_batch_t          filling;
    ngx_http_travel_batch_t          sending;
    size_t                           room;       /* bytes of each */

    ngx_event_t                      timer;      /* flush, or retry */
    ngx_connection_t                 dummy;      /* for the timer's log */
    ngx_peer_connection_t            peer;
    ngx_pool_t                      *pool;
    ngx_log_t                       *log;

    u_char                           head[NGX_HTTP_TRAVEL_HEAD_ROOM];
    size_t                           head_len;
    size_t                           sent;       /* of head and body together */
    u_char                           answer[NGX_HTTP_TRAVEL_ANSWER_ROOM];
    size_t                           answer_len;
    ngx_uint_t                       attempts;
    time_t                           logged;     /* full: once a second */
    ngx_uint_t                       reused;     /* it served before */
} ngx_http_travel_export_t;


static void ngx_http_travel_export_due(ngx_event_t *ev);
static void ngx_http_travel_export_begin(ngx_http_travel_export_t *x);
static void ngx_http_travel_export_connect(ngx_http_travel_export_t *x);
static void ngx_http_travel_export_write(ngx_event_t *wev);
static void ngx_http_travel_export_send(ngx_http_travel_export_t *x);
static void ngx_http_travel_export_read(ngx_event_t *rev);
static void ngx_http_travel_export_parked(ngx_http_travel_export_t *x);
static ngx_int_t ngx_http_travel_export_answer(ngx_http_travel_export_t *x,
    ngx_uint_t closed);
static void ngx_http_travel_export_judge(ngx_http_travel_export_t *x,
    ngx_uint_t status, ngx_uint_t reusable);
static void ngx_http_travel_export_retry(ngx_http_travel_export_t *x,
    const char *why, ngx_msec_t floor);
static void ngx_http_travel_export_done(ngx_http_travel_export_t *x,
    ngx_uint_t counter);
static void ngx_http_travel_export_drop(ngx_http_travel_export_t *x,
    const char *why);
static size_t ngx_http_travel_export_head(ngx_http_travel_export_t *x,
    u_char *dst, size_t room);
static ngx_uint_t ngx_http_travel_export_body(u_char *head, u_char *body,
    u_char *last, ngx_uint_t *ret_framed);
static ngx_uint_t ngx_http_travel_export_last(ngx_http_travel_export_t *x,
    uint64_t deadline);
static ngx_uint_t ngx_http_travel_export_last_io(ngx_fd_t fd, u_char *p,
    size_t len, uint64_t deadline);
static ngx_uint_t ngx_http_travel_export_last_wait(ngx_fd_t fd, int events,
    uint64_t deadline);
static ngx_uint_t ngx_http_travel_export_last_answer(ngx_fd_t fd,
    uint64_t deadline);


static ngx_http_travel_export_t  *ngx_http_travel_exporter;


ngx_int_t
ngx_http_travel_export_start(ngx_cycle_t *cycle,
    ngx_http_travel_observe_main_conf_t *omcf)
{
    ngx_http_travel_export_t  *x;

    x = ngx_pcalloc(cycle->pool, sizeof(ngx_http_travel_export_t));
    if (x == NULL) {
        return NGX_ERROR;
    }

    x->conf = omcf;
    x->log = cycle->log;
    x->pool = cycle->pool;
    x->room = omcf->queue * NGX_HTTP_TRAVEL_SPAN_ROOM / 2;

    x->filling.data = ngx_palloc(cycle->pool, x->room);
    x->sending.data = ngx_palloc(cycle->pool, x->room);
    if (x->filling.data == NULL || x->sending.data == NULL) {
        return NGX_ERROR;
    }

    x->dummy.fd = (ngx_socket_t) -1;
    x->dummy.data = x;
    x->timer.data = &x->dummy;
    x->timer.handler = ngx_http_travel_export_due;
    x->timer.log = cycle->log;
    x->timer.cancelable = 1;

    ngx_add_timer(&x->timer, omcf->interval);

    ngx_http_travel_exporter = x;

    return NGX_OK;
}


void
ngx_http_travel_export_span(const travel_span_t *span)
{
    size_t                     n;
    ngx_http_travel_export_t  *x;

    x = ngx_http_travel_exporter;
    if (x == NULL) {
        return;
    }

    n = travel_otlp_span(x->filling.data + x->filling.len,
                         x->room - x->filling.len, span);

    if (n == 0 || x->filling.spans == x->conf->queue) {
        ngx_http_travel_count(x->conf->dropped, 1);

        if (x->logged != ngx_time()) {
            x->logged = ngx_time();
            ngx_log_error(NGX_LOG_NOTICE, x->log, 0,
                          "travel_otlp: the queue of %ui spans is full, spans "
                          "are dropped", x->conf->queue);
        }

        return;
    }

    x->filling.len += n;
    x->filling.spans++;

    if (x->filling.spans >= x->conf->batch
        && x->state == NGX_HTTP_TRAVEL_EXPORT_IDLE
        && !x->timer.posted)
    {
        ngx_post_event(&x->timer, &ngx_posted_events);
    }
}


/* The flush timer, a batch that is full, or a retry that is due. */
static void
ngx_http_travel_export_due(ngx_event_t *ev)
{
    ngx_connection_t          *dummy;
    ngx_http_travel_export_t  *x;

    dummy = ev->data;
    x = dummy->data;

    switch (x->state) {

    case NGX_HTTP_TRAVEL_EXPORT_IDLE:
        if (x->filling.spans > 0) {
            x->attempts = 0;
            ngx_http_travel_export_begin(x);
        }
        break;

    case NGX_HTTP_TRAVEL_EXPORT_WAITING:
        ngx_http_travel_export_connect(x);
        break;

    default:
        break;               /* on its way: the connection's timer rules */
    }

    if (!ev->timer_set && !ngx_terminate) {
        ngx_add_timer(ev, x->conf->interval);
    }
}


static void
ngx_http_travel_export_begin(ngx_http_travel_export_t *x)
{
    ngx_http_travel_batch_t  empty;

    empty = x->sending;
    x->sending = x->filling;
    x->filling = empty;
    x->filling.len = 0;
    x->filling.spans = 0;

    ngx_http_travel_export_connect(x);
}


static void
ngx_http_travel_export_connect(ngx_http_travel_export_t *x)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    x->head_len = ngx_http_travel_export_head(x, x->head, sizeof(x->head));
    x->sent = 0;
    x->answer_len = 0;

    if (x->head_len == 0) {
        ngx_http_travel_export_done(x, x->conf->failed);
        return;
    }

    if (x->peer.connection != NULL) {
        c = x->peer.connection;
        c->idle = 0;
        x->reused = 1;
        ngx_add_timer(c->write, x->conf->timeout);
        ngx_http_travel_export_send(x);
        return;
    }

    ngx_memzero(&x->peer, sizeof(ngx_peer_connection_t));

    x->reused = 0;
    x->peer.sockaddr = x->conf->url.addrs[0].sockaddr;
    x->peer.socklen = x->conf->url.addrs[0].socklen;
    x->peer.name = &x->conf->url.addrs[0].name;
    x->peer.get = ngx_event_get_peer;
    x->peer.log = x->log;
    x->peer.log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(&x->peer);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        x->peer.connection = NULL;
        ngx_http_travel_export_retry(x, "cannot connect", 0);
        return;
    }

    c = x->peer.connection;
    c->data = x;
    c->log = x->log;
    c->read->log = x->log;
    c->write->log = x->log;
    c->read->handler = ngx_http_travel_export_read;
    c->write->handler = ngx_http_travel_export_write;
    c->write->cancelable = 1;

    ngx_add_timer(c->write, x->conf->timeout);

    if (rc == NGX_AGAIN) {
        x->state = NGX_HTTP_TRAVEL_EXPORT_CONNECTING;
        return;
    }

    ngx_http_travel_export_send(x);
}


static void
ngx_http_travel_export_write(ngx_event_t *wev)
{
    ngx_connection_t          *c;
    ngx_http_travel_export_t  *x;

    c = wev->data;
    x = c->data;

    if (wev->timedout) {
        ngx_http_travel_export_retry(x, "timed out", 0);
        return;
    }

    switch (x->state) {

    case NGX_HTTP_TRAVEL_EXPORT_CONNECTING:
    case NGX_HTTP_TRAVEL_EXPORT_SENDING:
        ngx_http_travel_export_send(x);
        return;

    default:
        (void) ngx_handle_write_event(wev, 0);
    }
}


static void
ngx_http_travel_export_send(ngx_http_travel_export_t *x)
{
    u_char            *p;
    size_t             left;
    ssize_t            n;
    ngx_connection_t  *c;

    c = x->peer.connection;
    x->state = NGX_HTTP_TRAVEL_EXPORT_SENDING;

    while (x->sent < x->head_len + x->sending.len) {

        if (x->sent < x->head_len) {
            p = x->head + x->sent;
            left = x->head_len - x->sent;

        } else {
            p = x->sending.data + (x->sent - x->head_len);
            left = x->sending.len - (x->sent - x->head_len);
        }

        n = c->send(c, p, left);

        if (n == NGX_ERROR) {
            ngx_http_travel_export_retry(x, "cannot send", 0);
            return;
        }

        if (n == NGX_AGAIN) {
            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                ngx_http_travel_export_retry(x, "cannot wait to send", 0);
            }
            return;
        }

        x->sent += n;
    }

    x->state = NGX_HTTP_TRAVEL_EXPORT_READING;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_http_travel_export_retry(x, "cannot wait for the answer", 0);
        return;
    }

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static void
ngx_http_travel_export_read(ngx_event_t *rev)
{
    size_t                     left;
    ssize_t                    n;
    ngx_connection_t          *c;
    ngx_http_travel_export_t  *x;

    c = rev->data;
    x = c->data;

    if (x->state != NGX_HTTP_TRAVEL_EXPORT_READING) {
        ngx_http_travel_export_parked(x);
        return;
    }

    for ( ;; ) {
        left = sizeof(x->answer) - x->answer_len;

        if (left == 0) {
            /* the answer's head is in; its body is nobody's interest */
            (void) ngx_http_travel_export_answer(x, 1);
            return;
        }

        n = c->recv(c, x->answer + x->answer_len, left);

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_http_travel_export_retry(x, "cannot wait for the answer",
                                             0);
            }
            return;
        }

        if (n == NGX_ERROR || n == 0) {
            (void) ngx_http_travel_export_answer(x, 1);
            return;
        }

        x->answer_len += n;

        if (ngx_http_travel_export_answer(x, 0) != NGX_AGAIN) {
            return;
        }
    }
}


/* Something happened to the connection while nothing was on its way. */
static void
ngx_http_travel_export_parked(ngx_http_travel_export_t *x)
{
    u_char             byte;
    ssize_t            n;
    ngx_connection_t  *c;

    c = x->peer.connection;

    if (x->state == NGX_HTTP_TRAVEL_EXPORT_CONNECTING
        || x->state == NGX_HTTP_TRAVEL_EXPORT_SENDING)
    {
        return;                        /* the write side will find out */
    }

    n = c->close ? 0 : recv(c->fd, (char *) &byte, 1, MSG_PEEK);

    if (n == -1 && ngx_socket_errno == NGX_EAGAIN) {
        c->read->ready = 0;

        if (ngx_handle_read_event(c->read, 0) == NGX_OK) {
            return;
        }
    }

    ngx_http_travel_export_drop(x, NULL);
}


/* NGX_AGAIN: not complete yet; NGX_DONE: judged. */
static ngx_int_t
ngx_http_travel_export_answer(ngx_http_travel_export_t *x, ngx_uint_t closed)
{
    u_char      *body, *last;
    ngx_int_t    status;
    ngx_uint_t   framed;

    last = x->answer + x->answer_len;
    body = ngx_strlcasestrn(x->answer, last, (u_char *) "\r\n\r\n", 4 - 1);

    if (body == NULL) {
        if (!closed) {
            return NGX_AGAIN;
        }

        if (x->reused && x->answer_len == 0) {
            /* closed under our hands between two batches: not its fault */
            ngx_http_travel_export_drop(x, NULL);
            ngx_http_travel_export_connect(x);
            return NGX_DONE;
        }

        ngx_http_travel_export_retry(x, "closed the connection", 0);
        return NGX_DONE;
    }

    body += 4;
    status = (x->answer_len > 12) ? ngx_atoi(x->answer + 9, 3) : NGX_ERROR;

    if (status == NGX_ERROR) {
        ngx_http_travel_export_retry(x, "does not speak HTTP", 0);
        return NGX_DONE;
    }

    if (!ngx_http_travel_export_body(x->answer, body, last, &framed)
        && !closed)
    {
        return NGX_AGAIN;
    }

    ngx_http_travel_export_judge(x, status, framed && !closed);
    return NGX_DONE;
}


/* Whether the answer's body is complete; 'framed' says that the connection can
 * be used again after it.  A body that only the end of the connection ends is
 * of no interest. */
static ngx_uint_t
ngx_http_travel_export_body(u_char *head, u_char *body, u_char *last,
    ngx_uint_t *ret_framed)
{
    u_char     *p;
    ngx_int_t   length;

    static u_char  name[] = "\r\ncontent-length:";
    static u_char  coding[] = "\r\ntransfer-encoding: chunked\r\n";

    *ret_framed = 1;

    p = ngx_strlcasestrn(head, body, name, sizeof(name) - 2);

    if (p != NULL) {
        p += sizeof(name) - 1;

        while (*p == ' ') {
            p++;
        }

        length = ngx_atoi(p, strspn((char *) p, "0123456789"));

        if (length != NGX_ERROR) {
            *ret_framed = (last - body <= length);
            return last - body >= length;
        }

    } else if (ngx_strlcasestrn(head, body, coding, sizeof(coding) - 2)) {

        /* without trailers, which nobody sends here */
        return last - body >= 5
               && ngx_memcmp(last - 5, "0\r\n\r\n", 5) == 0;
    }

    *ret_framed = 0;

    return 1;
}


/* OTLP/HTTP: 429, 502, 503 and 504 are repeated, nothing else is. */
static void
ngx_http_travel_export_judge(ngx_http_travel_export_t *x, ngx_uint_t status,
    ngx_uint_t reusable)
{
    u_char      *p;
    ngx_int_t    after;

    static u_char  name[] = "retry-after:";

    if (status == 429 || status == 502 || status == 503 || status == 504) {
        after = 0;
        p = ngx_strlcasestrn(x->answer, x->answer + x->answer_len, name,
                             sizeof(name) - 2);

        if (p != NULL) {
            p += sizeof(name) - 1;

            while (*p == ' ') {
                p++;
            }

            after = ngx_atoi(p, strspn((char *) p, "0123456789"));
            after = (after > 0) ? after * 1000 : 0;
        }

        ngx_http_travel_export_retry(x, "is overloaded",
                             ngx_min(after, NGX_HTTP_TRAVEL_RETRY_AFTER));
        return;
    }

    if (!reusable) {
        ngx_http_travel_export_drop(x, NULL);
    }

    if (status / 100 != 2) {
        ngx_log_error(NGX_LOG_WARN, x->log, 0,
                      "travel_otlp: the collector refused %ui spans with "
                      "status %ui", x->sending.spans, status);
        ngx_http_travel_export_done(x, x->conf->failed);
        return;
    }

    ngx_http_travel_export_done(x, x->conf->exported);
}


static void
ngx_http_travel_export_retry(ngx_http_travel_export_t *x, const char *why,
    ngx_msec_t floor)
{
    ngx_msec_t  delay;

    ngx_http_travel_export_drop(x, why);

    if (++x->attempts > NGX_HTTP_TRAVEL_RETRIES) {
        ngx_log_error(NGX_LOG_WARN, x->log, 0,
                      "travel_otlp: the collector %V %s, %ui spans are given "
                      "up", &x->conf->host, why, x->sending.spans);
        ngx_http_travel_export_done(x, x->conf->failed);
        return;
    }

    delay = travel_backoff_ms(x->attempts - 1, NGX_HTTP_TRAVEL_RETRY_BASE,
                              NGX_HTTP_TRAVEL_RETRY_CAP, floor,
                              (uint32_t) ngx_random() << 1);

    x->state = NGX_HTTP_TRAVEL_EXPORT_WAITING;

    if (x->timer.timer_set) {
        ngx_del_timer(&x->timer);
    }

    ngx_add_timer(&x->timer, delay + 1);
}


static void
ngx_http_travel_export_done(ngx_http_travel_export_t *x, ngx_uint_t counter)
{
    ngx_connection_t  *c;

    ngx_http_travel_count(counter, x->sending.spans);

    x->sending.len = 0;
    x->sending.spans = 0;
    x->state = NGX_HTTP_TRAVEL_EXPORT_IDLE;

    c = x->peer.connection;

    if (c != NULL) {
        if (c->write->timer_set) {
            ngx_del_timer(c->write);
        }

        /* parked: a shutdown may close it at any time */
        c->idle = 1;
    }

    if (ngx_exiting) {
        ngx_http_travel_export_drop(x, NULL);
    }
}


static void
ngx_http_travel_export_drop(ngx_http_travel_export_t *x, const char *why)
{
    if (why != NULL) {
        ngx_log_error(NGX_LOG_INFO, x->log, 0,
                      "travel_otlp: the collector %V %s", &x->conf->host, why);
    }

    if (x->peer.connection != NULL) {
        ngx_close_connection(x->peer.connection);
        x->peer.connection = NULL;
    }
}


/* Request head and the batch's own head; the spans follow. */
static size_t
ngx_http_travel_export_head(ngx_http_travel_export_t *x, u_char *dst,
    size_t room)
{
    u_char         *p, *last;
    size_t          n;
    uint8_t         batch[256];
    travel_attr_t   resource[2];

    resource[0].name = TRAVEL_STR("service.name");
    resource[0].type = TRAVEL_ATTR_STRING;
    resource[0].v.s = ngx_http_travel_view(&x->conf->service);

    resource[1].name = TRAVEL_STR("process.pid");
    resource[1].type = TRAVEL_ATTR_INT;
    resource[1].v.i = ngx_pid;

    n = travel_otlp_batch_head(batch, sizeof(batch), resource, 2,
                               x->sending.len);
    if (n == 0) {
        return 0;
    }

    last = dst + room;
    p = ngx_slprintf(dst, last,
                     "POST %V HTTP/1.1\r\nHost: %V:%d\r\n"
                     "User-Agent: ngx_travel\r\n"
                     "Content-Type: application/x-protobuf\r\n"
                     "Content-Length: %uz\r\n\r\n",
                     &x->conf->path, &x->conf->host, (int) x->conf->url.port,
                     n + x->sending.len);

    if ((size_t) (last - p) < n) {
        return 0;
    }

    return ngx_cpymem(p, batch, n) - dst;
}


/*
 * The worker goes: what is queued is sent in plain waiting code, for a second
 * at most, so that the last requests of a reload are not lost to sight.  A
 * batch whose answer is still to come is not sent again: that would double it.
 */
void
ngx_http_travel_export_stop(ngx_cycle_t *cycle)
{
    ngx_uint_t                 ok;
    uint64_t                   deadline;     /* ns */
    ngx_http_travel_export_t  *x;

    x = ngx_http_travel_exporter;
    if (x == NULL) {
        return;
    }

    ngx_http_travel_exporter = NULL;

    deadline = ngx_http_travel_observe_now()
               + NGX_HTTP_TRAVEL_LAST_FLUSH * 1000000LL;
    ok = 1;

    if (x->sending.spans > 0) {
        ok = (x->state == NGX_HTTP_TRAVEL_EXPORT_READING)
             ? ngx_http_travel_export_last_answer(x->peer.connection->fd,
                                                  deadline)
             : ngx_http_travel_export_last(x, deadline);

        ngx_http_travel_count(ok ? x->conf->exported : x->conf->failed,
                              x->sending.spans);
    }

    ngx_http_travel_export_drop(x, NULL);

    x->sending = x->filling;

    if (x->sending.spans > 0) {
        ok = ok && ngx_http_travel_export_last(x, deadline);

        ngx_http_travel_count(ok ? x->conf->exported : x->conf->failed,
                              x->sending.spans);
    }
}


static ngx_uint_t
ngx_http_travel_export_last(ngx_http_travel_export_t *x, uint64_t deadline)
{
    ngx_fd_t     fd;
    ngx_uint_t   ok;

    x->head_len = ngx_http_travel_export_head(x, x->head, sizeof(x->head));
    if (x->head_len == 0) {
        return 0;
    }

    fd = ngx_socket(x->conf->url.addrs[0].sockaddr->sa_family, SOCK_STREAM, 0);
    if (fd == (ngx_socket_t) -1) {
        return 0;
    }

    ok = ngx_nonblocking(fd) != -1
         && (connect(fd, x->conf->url.addrs[0].sockaddr,
                     x->conf->url.addrs[0].socklen) == 0
             || ngx_socket_errno == NGX_EINPROGRESS)
         && ngx_http_travel_export_last_io(fd, x->head, x->head_len, deadline)
         && ngx_http_travel_export_last_io(fd, x->sending.data,
                                           x->sending.len, deadline)
         && ngx_http_travel_export_last_answer(fd, deadline);

    ngx_close_socket(fd);

    return ok;
}


static ngx_uint_t
ngx_http_travel_export_last_io(ngx_fd_t fd, u_char *p, size_t len,
    uint64_t deadline)
{
    ssize_t  n;

    while (len > 0) {
        if (!ngx_http_travel_export_last_wait(fd, POLLOUT, deadline)) {
            return 0;
        }

        n = send(fd, p, len, MSG_NOSIGNAL);

        if (n > 0) {
            p += n;
            len -= n;

        } else if (ngx_socket_errno != NGX_EAGAIN
                   && ngx_socket_errno != NGX_EINTR)
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_travel_export_last_answer(ngx_fd_t fd, uint64_t deadline)
{
    u_char  head[256];

    return ngx_http_travel_export_last_wait(fd, POLLIN, deadline)
           && recv(fd, head, sizeof(head), 0) > 12
           && head[9] == '2';
}


static ngx_uint_t
ngx_http_travel_export_last_wait(ngx_fd_t fd, int events, uint64_t deadline)
{
    int             n;
    uint64_t        now;
    struct pollfd   pfd;

    pfd.fd = fd;
    pfd.events = events;

    do {
        now = ngx_http_travel_observe_now();
        n = (now < deadline) ? poll(&pfd, 1, (deadline - now) / 1000000) : 0;

    } while (n == -1 && ngx_errno == NGX_EINTR);

    return n == 1;
}
