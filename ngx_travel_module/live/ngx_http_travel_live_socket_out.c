/*
 * What a socket sends: texts that wait for the end of the loop's turn, and then
 * go by one write, which many sockets may share (live_batch.c).
 *
 * Nothing here frees a socket, nor does it call whoever sends: a write that
 * fails leaves a mark, and the socket ends in its own handler.
 *
 * A message for a crowd is a walk over memory that is in no cache, some hundred
 * nanoseconds for each line of it: so it is fetched for many at once.
 */

#include "ngx_http_travel_live_socket.h"
#include "ngx_http_travel_live_batch.h"

#define NGX_HTTP_TRAVEL_SOCKET_PACK    256      /* bytes worth packing */
#define NGX_HTTP_TRAVEL_SOCKET_IOVS    16       /* texts in one write */
#define NGX_HTTP_TRAVEL_SOCKET_CROWD   1024     /* writes before others turn */
#define NGX_HTTP_TRAVEL_SOCKET_FEW     32       /* that are worth a batch */
#define NGX_HTTP_TRAVEL_SOCKET_COST    64       /* of a text that waits: memory
                                                   beside its bytes */


static void ngx_http_travel_socket_flush_all(ngx_event_t *ev);
static ngx_uint_t ngx_http_travel_socket_gather(
    ngx_http_travel_socket_t **crowd, ngx_uint_t max);
static void ngx_http_travel_socket_batch(ngx_http_travel_socket_t **crowd,
    ngx_uint_t n);
static void ngx_http_travel_socket_went(ngx_http_travel_socket_t *s, size_t n);
static ssize_t ngx_http_travel_socket_write(ngx_http_travel_socket_t *s);
static void ngx_http_travel_socket_pop(ngx_http_travel_socket_t *s);
static void ngx_http_travel_socket_drop(ngx_http_travel_socket_t *s,
    ngx_http_travel_unsent_t *u);
static void ngx_http_travel_socket_slow(ngx_http_travel_socket_t *s);


/* This worker's sockets that have something to send, how many texts they were
 * given in this turn, whether many may be written at once. */
static ngx_queue_t  ngx_http_travel_socket_dirty;
static ngx_event_t  ngx_http_travel_socket_flusher;
static ngx_uint_t   ngx_http_travel_socket_given;
static ngx_uint_t   ngx_http_travel_socket_batches;


void
ngx_http_travel_socket_out_start(ngx_uint_t batches)
{
    ngx_http_travel_socket_batches = batches;

    ngx_queue_init(&ngx_http_travel_socket_dirty);

    ngx_http_travel_socket_flusher.handler = ngx_http_travel_socket_flush_all;
    ngx_http_travel_socket_flusher.log = ngx_cycle->log;
}


/* In place of 'text' what it is when packed, if that is less. */
static ngx_uint_t
ngx_http_travel_socket_pack(const ngx_http_travel_socket_t *s,
    travel_str_t *text)
{
    travel_str_t  out;

    if (travel_ws_deflate(ngx_http_travel_socket_packer, &s->deal, *text, &out)
        != TRAVEL_OK || out.len >= text->len)
    {
        return 0;
    }

    *text = out;

    return 1;
}


void
ngx_http_travel_socket_message(ngx_http_travel_socket_t *s,
    travel_ws_opcode_e opcode, const void *data, size_t len)
{
    ngx_uint_t               packed;
    travel_str_t             out;
    ngx_http_travel_text_t  *plain, *text;

    out = (travel_str_t) { data, len };
    plain = NULL;
    packed = 0;

    if (s->deal.window != 0 && len >= NGX_HTTP_TRAVEL_SOCKET_PACK) {

        /* what came inflated lies in the packer */
        plain = ngx_http_travel_text_copy(data, len);
        if (plain == NULL) {
            ngx_http_travel_socket_fail(s, "no memory",
                                        NGX_HTTP_TRAVEL_LIVE_LOST);
            return;
        }

        out.data = (char *) plain->data;
        packed = ngx_http_travel_socket_pack(s, &out);
    }

    text = ngx_http_travel_text_frame(opcode, packed, out.data, out.len);

    if (plain != NULL) {
        ngx_http_travel_text_release(plain);
    }

    if (text == NULL) {
        ngx_http_travel_socket_fail(s, "no memory", NGX_HTTP_TRAVEL_LIVE_LOST);
        return;
    }

    ngx_http_travel_socket_send(s, text);
    ngx_http_travel_text_release(text);
}


void
ngx_http_travel_socket_send(ngx_http_travel_socket_t *s,
    ngx_http_travel_text_t *text)
{
    if (s->failed || s->closing) {
        return;
    }

    /* one message may be larger than the bound, if nothing else waits; what
     * only waits for the end of this turn can go now */
    if (s->queued > 0 && s->queued + text->len > s->conf->queue) {
        ngx_http_travel_socket_flush(s);

        if (s->queued > 0 && s->queued + text->len > s->conf->queue) {
            ngx_http_travel_socket_slow(s);
            return;
        }
    }

    ngx_http_travel_socket_queue(s, text);
    ngx_http_travel_socket_given++;

    if (!s->flushes) {
        s->flushes = 1;
        ngx_queue_insert_tail(&ngx_http_travel_socket_dirty, &s->dirty);
        ngx_post_event(&ngx_http_travel_socket_flusher, &ngx_posted_events);
    }
}


/* A write for each socket, a count for all.  Those of a large crowd have their
 * turn between other events. */
static void
ngx_http_travel_socket_flush_all(ngx_event_t *ev)
{
    ngx_uint_t                 i, n, total;
    ngx_http_travel_socket_t  *crowd[NGX_HTTP_TRAVEL_BATCH_MAX];

    ngx_http_travel_live_counts(NGX_HTTP_TRAVEL_LIVE_SENT,
                                ngx_http_travel_socket_given);
    ngx_http_travel_socket_given = 0;

    for (total = 0; total < NGX_HTTP_TRAVEL_SOCKET_CROWD; total += n) {
        n = ngx_http_travel_socket_gather(crowd, NGX_HTTP_TRAVEL_BATCH_MAX);

        if (n == 0) {
            return;
        }

        if (n >= NGX_HTTP_TRAVEL_SOCKET_FEW && ngx_http_travel_socket_batches
            && ngx_http_travel_batch_possible())
        {
            ngx_http_travel_socket_batch(crowd, n);
        }

        for (i = 0; i < n; i++) {
            ngx_http_travel_socket_flush(crowd[i]);
        }
    }

    ngx_post_event(ev, &ngx_posted_next_events);
}


/*
 * The next sockets, as many as there are.  What their writes will touch is
 * fetched for all of them at once: the connection, which the socket points at,
 * and then its event.
 */
static ngx_uint_t
ngx_http_travel_socket_gather(ngx_http_travel_socket_t **crowd, ngx_uint_t max)
{
    ngx_uint_t                 i, n;
    ngx_queue_t               *q;
    ngx_http_travel_socket_t  *s;

    for (n = 0; n < max && !ngx_queue_empty(&ngx_http_travel_socket_dirty);
         n++)
    {
        q = ngx_queue_head(&ngx_http_travel_socket_dirty);
        s = ngx_queue_data(q, ngx_http_travel_socket_t, dirty);

        ngx_queue_remove(q);
        s->flushes = 0;

        ngx_http_travel_fetch(s->connection, 2);
        crowd[n] = s;
    }

    for (i = 0; i < n; i++) {
        ngx_http_travel_fetch(crowd[i]->connection->write, 1);
    }

    return n;
}


/* By one call those who have one text to send, and nothing in the way; what is
 * left of it, and others, are flushed after it. */
static void
ngx_http_travel_socket_batch(ngx_http_travel_socket_t **crowd, ngx_uint_t n)
{
    ngx_uint_t                 i, k;
    ngx_connection_t          *c;
    ngx_http_travel_write_t   *w;
    ngx_http_travel_socket_t  *s;

    static ngx_uint_t               whose[NGX_HTTP_TRAVEL_BATCH_MAX];
    static ngx_http_travel_write_t  writes[NGX_HTTP_TRAVEL_BATCH_MAX];

    for (i = 0, k = 0; i < n; i++) {
        s = crowd[i];
        c = s->connection;

        if (s->failed || s->unsent == NULL || s->unsent->next != NULL
            || !c->write->ready || c->ssl != NULL)
        {
            continue;
        }

        writes[k].fd = c->fd;
        writes[k].data = s->unsent->text->data + s->sent;
        writes[k].len = s->unsent->text->len - s->sent;
        whose[k++] = i;
    }

    ngx_http_travel_batch_send(writes, k);
    ngx_http_travel_live_counts(NGX_HTTP_TRAVEL_LIVE_BATCHED, k);

    for (i = 0; i < k; i++) {
        w = &writes[i];
        s = crowd[whose[i]];

        if (w->sent == NGX_ERROR) {
            ngx_http_travel_socket_fail(s, "nobody knows what was sent",
                                        NGX_HTTP_TRAVEL_LIVE_LOST);

        } else if (w->sent > 0) {
            s->connection->sent += w->sent;
            s->connection->write->ready = w->sent == (ssize_t) w->len;
            ngx_http_travel_socket_went(s, w->sent);
        }
    }
}


void
ngx_http_travel_socket_queue(ngx_http_travel_socket_t *s,
    ngx_http_travel_text_t *text)
{
    ngx_http_travel_unsent_t  *u;

    u = s->one.text == NULL ? &s->one
        : ngx_alloc(sizeof(ngx_http_travel_unsent_t), s->connection->log);

    if (u == NULL) {
        ngx_http_travel_socket_fail(s, "no memory", NGX_HTTP_TRAVEL_LIVE_LOST);
        return;
    }

    u->text = text;
    u->next = NULL;
    text->refs++;

    *s->last = u;
    s->last = &u->next;
    s->queued += text->len + NGX_HTTP_TRAVEL_SOCKET_COST;
}


void
ngx_http_travel_socket_flush(ngx_http_travel_socket_t *s)
{
    ssize_t            n;
    ngx_connection_t  *c = s->connection;

    while (s->unsent != NULL && !s->failed) {

        n = c->write->ready ? ngx_http_travel_socket_write(s) : NGX_AGAIN;

        if (n == NGX_AGAIN) {
            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                ngx_http_travel_socket_fail(s, "events cannot be had",
                                            NGX_HTTP_TRAVEL_LIVE_LOST);
            }

            return;
        }

        if (n <= 0) {
            ngx_http_travel_socket_fail(s, "the connection broke",
                                        NGX_HTTP_TRAVEL_LIVE_LOST);
            return;
        }

        ngx_http_travel_socket_went(s, n);
    }

    if (s->failed || !s->closing) {
        return;
    }

    if (s->closed) {
        ngx_http_travel_socket_fail(s, s->why, s->how);

    } else if (s->deaf && !c->write->eof && c->ssl == NULL) {
        c->write->eof = 1;
        (void) ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN);
    }
}


static void
ngx_http_travel_socket_went(ngx_http_travel_socket_t *s, size_t n)
{
    s->sent += n;
    s->queued -= n;

    while (s->unsent != NULL && s->sent >= s->unsent->text->len) {
        ngx_http_travel_socket_pop(s);
    }
}


/* What waits, by one system call; TLS makes records of its own. */
static ssize_t
ngx_http_travel_socket_write(ngx_http_travel_socket_t *s)
{
    ssize_t                    n;
    ngx_iovec_t                vec;
    struct iovec               iov[NGX_HTTP_TRAVEL_SOCKET_IOVS];
    ngx_connection_t          *c = s->connection;
    ngx_http_travel_unsent_t  *u = s->unsent;

    if (u->next == NULL || c->ssl != NULL) {
        return c->send(c, u->text->data + s->sent, u->text->len - s->sent);
    }

    vec.iovs = iov;
    vec.nalloc = NGX_HTTP_TRAVEL_SOCKET_IOVS;
    vec.size = 0;

    for (vec.count = 0;
         u != NULL && vec.count < NGX_HTTP_TRAVEL_SOCKET_IOVS;
         vec.count++, u = u->next)
    {
        iov[vec.count].iov_base = u->text->data;
        iov[vec.count].iov_len = u->text->len;
        vec.size += u->text->len;
    }

    iov[0].iov_base = (u_char *) iov[0].iov_base + s->sent;
    iov[0].iov_len -= s->sent;
    vec.size -= s->sent;

    n = ngx_writev(c, &vec);

    if (n < (ssize_t) vec.size) {
        c->write->ready = 0;
    }

    return n;
}


void
ngx_http_travel_socket_forget(ngx_http_travel_socket_t *s)
{
    while (s->unsent != NULL) {
        ngx_http_travel_socket_pop(s);
    }

    if (s->flushes) {
        ngx_queue_remove(&s->dirty);
        s->flushes = 0;
    }
}


static void
ngx_http_travel_socket_pop(ngx_http_travel_socket_t *s)
{
    ngx_http_travel_unsent_t  *u;

    u = s->unsent;
    s->unsent = u->next;
    s->sent -= ngx_min(s->sent, u->text->len);
    s->queued -= NGX_HTTP_TRAVEL_SOCKET_COST;

    if (s->unsent == NULL) {
        s->last = &s->unsent;
    }

    ngx_http_travel_socket_drop(s, u);
}


static void
ngx_http_travel_socket_drop(ngx_http_travel_socket_t *s,
    ngx_http_travel_unsent_t *u)
{
    ngx_http_travel_text_release(u->text);

    if (u == &s->one) {
        u->text = NULL;
    } else {
        ngx_free(u);
    }
}


/* Who does not read is not sent the rest: only what has begun, and why. */
static void
ngx_http_travel_socket_slow(ngx_http_travel_socket_t *s)
{
    ngx_http_travel_unsent_t  *u, *next;

    if (s->unsent != NULL) {
        next = s->unsent->next;

        if (s->sent == 0) {
            next = s->unsent;
            s->unsent = NULL;
            s->last = &s->unsent;
            s->queued = 0;

        } else {
            s->unsent->next = NULL;
            s->last = &s->unsent->next;
            s->queued = s->unsent->text->len - s->sent
                        + NGX_HTTP_TRAVEL_SOCKET_COST;
        }

        for (u = next; u != NULL; u = next) {
            next = u->next;
            ngx_http_travel_socket_drop(s, u);
        }
    }

    ngx_http_travel_socket_close(s, TRAVEL_WS_TRY_LATER,
                                 "too slow: messages were lost",
                                 NGX_HTTP_TRAVEL_LIVE_SLOW);
}
