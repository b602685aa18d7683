/*
 * Requests of this nginx worker to itself.
 *
 * An inner request has two owners: our end of the pair of sockets, until the
 * answer is complete or nobody wants it any more, and the server's end, whose
 * pool has a cleanup.  It is freed with the last; what looks like a listening
 * socket to the server's end is in it.
 */

#include "ngx_http_travel_inner.h"

#include <sys/un.h>

#define NGX_HTTP_TRAVEL_INNER_POOL  256
#define NGX_HTTP_TRAVEL_INNER_READ  4096


struct ngx_http_travel_inner_s {
    ngx_listening_t            listening;      /* first: found by it */
    ngx_uint_t                 refs;
    ngx_connection_t          *client;         /* our end; NULL: closed */
    ngx_http_travel_inner_pt   handler;
    void                      *data;
    ngx_str_t                  request;
    size_t                     sent;
    u_char                    *in;
    size_t                     used;
    size_t                     room;
    ngx_uint_t                 kind;
    void                      *left;
    void                     (*drop)(void *what);
    unsigned                   safe:1;
};


static ngx_int_t ngx_http_travel_inner_pair(ngx_http_travel_inner_t *inner,
    const ngx_http_travel_peer_t *peer);
static ngx_int_t ngx_http_travel_inner_client(ngx_http_travel_inner_t *inner,
    ngx_socket_t s);
static ngx_int_t ngx_http_travel_inner_server(ngx_http_travel_inner_t *inner,
    const ngx_http_travel_peer_t *peer, ngx_socket_t s);
static void ngx_http_travel_inner_gone(void *data);
static void ngx_http_travel_inner_release(ngx_http_travel_inner_t *inner);
static void ngx_http_travel_inner_write(ngx_event_t *wev);
static void ngx_http_travel_inner_read(ngx_event_t *rev);
static ngx_int_t ngx_http_travel_inner_grow(ngx_http_travel_inner_t *inner);
static void ngx_http_travel_inner_close(ngx_http_travel_inner_t *inner);
static void ngx_http_travel_inner_answered(ngx_http_travel_inner_t *inner,
    ngx_uint_t whole);


static ngx_str_t  ngx_http_travel_inner_name = ngx_string("a socket's client");


/* The server block answers as the only one of an address without TLS. */
void
ngx_http_travel_door(ngx_conf_t *cf, ngx_http_travel_door_t *door)
{
    door->sockaddr.sun_family = AF_UNIX;
    door->addr.conf.default_server = ngx_http_conf_get_module_srv_conf(cf,
                                         ngx_http_core_module);
    door->port.addrs = &door->addr;
    door->port.naddrs = 1;
    door->name = ngx_http_travel_inner_name;
}


void
ngx_http_travel_peer(ngx_http_request_t *r, ngx_http_travel_peer_t *peer)
{
    ngx_connection_t  *c = r->connection;

    peer->socklen = ngx_min(c->socklen, (socklen_t) sizeof(ngx_sockaddr_t));
    ngx_memcpy(&peer->sockaddr, c->sockaddr, peer->socklen);

    peer->len = ngx_min(c->addr_text.len, sizeof(peer->text));
    ngx_memcpy(peer->text, c->addr_text.data, peer->len);
}


ngx_http_travel_inner_t *
ngx_http_travel_inner(ngx_http_travel_door_t *door,
    const ngx_http_travel_peer_t *peer, ngx_str_t *request,
    ngx_msec_t timeout, ngx_http_travel_inner_pt handler, void *data)
{
    ngx_listening_t           *ls;
    ngx_http_core_srv_conf_t  *cscf;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_travel_inner_t   *inner;

    inner = ngx_calloc(sizeof(ngx_http_travel_inner_t), ngx_cycle->log);

    if (inner == NULL) {
        ngx_free(request->data);
        return NULL;
    }

    cscf = door->addr.conf.default_server;
    clcf = cscf->ctx->loc_conf[ngx_http_core_module.ctx_index];

    ls = &inner->listening;
    ls->fd = (ngx_socket_t) -1;
    ls->type = SOCK_STREAM;
    ls->sockaddr = (struct sockaddr *) &door->sockaddr;
    ls->socklen = sizeof(door->sockaddr.sun_family);
    ls->addr_text = door->name;
    ls->handler = ngx_http_init_connection;
    ls->servers = &door->port;
    ls->pool_size = cscf->connection_pool_size;
    ls->logp = clcf->error_log;
    ls->log = *clcf->error_log;

    inner->refs = 1;
    inner->request = *request;
    inner->handler = handler;
    inner->data = data;

    if (ngx_http_travel_inner_pair(inner, peer) != NGX_OK) {
        ngx_http_travel_inner_close(inner);
        ngx_http_travel_inner_release(inner);
        return NULL;
    }

    ngx_add_timer(inner->client->read, timeout);
    ngx_post_event(inner->client->write, &ngx_posted_events);

    return inner;
}


static ngx_int_t
ngx_http_travel_inner_pair(ngx_http_travel_inner_t *inner,
    const ngx_http_travel_peer_t *peer)
{
    ngx_socket_t  s[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) == -1) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_socket_errno,
                      "socketpair() for an inner request failed");
        return NGX_ERROR;
    }

    if (ngx_nonblocking(s[0]) == -1 || ngx_nonblocking(s[1]) == -1
        || ngx_http_travel_inner_client(inner, s[0]) != NGX_OK)
    {
        ngx_close_socket(s[0]);
        ngx_close_socket(s[1]);
        return NGX_ERROR;
    }

    if (ngx_http_travel_inner_server(inner, peer, s[1]) != NGX_OK) {
        ngx_close_socket(s[1]);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Our end.  The socket is still the caller's when this fails. */
static ngx_int_t
ngx_http_travel_inner_client(ngx_http_travel_inner_t *inner, ngx_socket_t s)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(s, ngx_cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->pool = ngx_create_pool(NGX_HTTP_TRAVEL_INNER_POOL, ngx_cycle->log);

    c->data = inner;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_travel_inner_read;
    c->write->handler = ngx_http_travel_inner_write;
    c->write->ready = 1;

    if (c->pool == NULL || ngx_handle_read_event(c->read, 0) != NGX_OK) {
        if (c->pool != NULL) {
            ngx_destroy_pool(c->pool);
        }

        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        return NGX_ERROR;
    }

    inner->client = c;
    return NGX_OK;
}


/* The server's end, as nginx makes of what it accepts.  From here on it is a
 * connection like others: nginx closes it. */
static ngx_int_t
ngx_http_travel_inner_server(ngx_http_travel_inner_t *inner,
    const ngx_http_travel_peer_t *peer, ngx_socket_t s)
{
    ngx_log_t           *log;
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;

    c = ngx_get_connection(s, ngx_cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->type = SOCK_STREAM;
    c->pool = ngx_create_pool(inner->listening.pool_size, ngx_cycle->log);
    log = c->pool ? ngx_palloc(c->pool, sizeof(ngx_log_t)) : NULL;
    c->sockaddr = c->pool ? ngx_palloc(c->pool, peer->socklen) : NULL;
    c->addr_text.data = c->pool ? ngx_pnalloc(c->pool, peer->len + 1) : NULL;
    cln = c->pool ? ngx_pool_cleanup_add(c->pool, 0) : NULL;

    if (log == NULL || c->sockaddr == NULL || c->addr_text.data == NULL
        || cln == NULL)
    {
        if (c->pool != NULL) {
            ngx_destroy_pool(c->pool);
        }

        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        return NGX_ERROR;
    }

    cln->handler = ngx_http_travel_inner_gone;
    cln->data = inner;
    inner->refs++;

    *log = inner->listening.log;

    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;

    c->log = log;
    c->pool->log = log;
    c->read->log = log;
    c->write->log = log;
    c->write->ready = 1;

    c->listening = &inner->listening;
    ngx_memcpy(c->sockaddr, &peer->sockaddr, peer->socklen);
    c->socklen = peer->socklen;
    c->local_sockaddr = inner->listening.sockaddr;
    c->local_socklen = inner->listening.socklen;
    ngx_memcpy(c->addr_text.data, peer->text, peer->len);
    c->addr_text.len = peer->len;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_accepted, 1);
    (void) ngx_atomic_fetch_add(ngx_stat_handled, 1);
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    inner->listening.handler(c);

    return NGX_OK;
}


static void
ngx_http_travel_inner_gone(void *data)
{
    ngx_http_travel_inner_release(data);
}


static void
ngx_http_travel_inner_release(ngx_http_travel_inner_t *inner)
{
    if (--inner->refs > 0) {
        return;
    }

    if (inner->left != NULL) {
        inner->drop(inner->left);
    }

    ngx_free(inner->request.data);
    ngx_free(inner->in);
    ngx_free(inner);
}


/* --- our end ------------------------------------------------------------- */

static void
ngx_http_travel_inner_write(ngx_event_t *wev)
{
    ssize_t                   n;
    ngx_connection_t         *c = wev->data;
    ngx_http_travel_inner_t  *inner = c->data;

    while (inner->sent < inner->request.len) {

        n = c->send(c, inner->request.data + inner->sent,
                    inner->request.len - inner->sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_travel_inner_answered(inner, 0);
            return;
        }

        inner->sent += n;
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_http_travel_inner_answered(inner, 0);
    }
}


static void
ngx_http_travel_inner_read(ngx_event_t *rev)
{
    ssize_t                   n;
    ngx_connection_t         *c = rev->data;
    ngx_http_travel_inner_t  *inner = c->data;

    if (rev->timedout) {
        ngx_http_travel_inner_answered(inner, 0);
        return;
    }

    for ( ;; ) {
        if (ngx_http_travel_inner_grow(inner) != NGX_OK) {
            ngx_http_travel_inner_answered(inner, 0);
            return;
        }

        n = c->recv(c, inner->in + inner->used, inner->room - inner->used);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_travel_inner_answered(inner, n == 0);
            return;
        }

        inner->used += n;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_travel_inner_answered(inner, 0);
    }
}


/* There is room for more, up to the longest answer. */
static ngx_int_t
ngx_http_travel_inner_grow(ngx_http_travel_inner_t *inner)
{
    size_t   room;
    u_char  *p;

    if (inner->used < inner->room) {
        return NGX_OK;
    }

    if (inner->room == NGX_HTTP_TRAVEL_INNER_MAX) {
        return NGX_ERROR;
    }

    room = ngx_max(2 * inner->room, NGX_HTTP_TRAVEL_INNER_READ);

    p = ngx_alloc(room, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (inner->used > 0) {
        ngx_memcpy(p, inner->in, inner->used);
    }

    ngx_free(inner->in);
    inner->in = p;
    inner->room = room;

    return NGX_OK;
}


static void
ngx_http_travel_inner_close(ngx_http_travel_inner_t *inner)
{
    ngx_pool_t  *pool;

    if (inner->client == NULL) {
        return;
    }

    pool = inner->client->pool;
    ngx_close_connection(inner->client);
    ngx_destroy_pool(pool);

    inner->client = NULL;
}


/* 'whole': the answer came to its end. */
static void
ngx_http_travel_inner_answered(ngx_http_travel_inner_t *inner,
    ngx_uint_t whole)
{
    u_char      *p;
    ngx_int_t    status;
    ngx_str_t    body;

    ngx_http_travel_inner_close(inner);

    status = 0;
    ngx_str_set(&body, "");
    p = whole && inner->used > 12
        ? ngx_strlcasestrn(inner->in, inner->in + inner->used,
                           (u_char *) "\r\n\r\n", 4 - 1)
        : NULL;

    if (p != NULL) {
        status = ngx_atoi(inner->in + sizeof("HTTP/1.1 ") - 1, 3);
        body.data = p + 4;
        body.len = inner->in + inner->used - body.data;
    }

    inner->handler(inner->data, inner, status > 0 ? status : 0, &body);
    ngx_http_travel_inner_release(inner);
}


void
ngx_http_travel_inner_cancel(ngx_http_travel_inner_t *inner)
{
    ngx_http_travel_inner_close(inner);
    ngx_http_travel_inner_release(inner);
}


void
ngx_http_travel_inner_counted(ngx_http_travel_inner_t *inner)
{
    inner->listening.addr_text = ngx_http_travel_own;
}


void
ngx_http_travel_inner_safe(ngx_http_travel_inner_t *inner)
{
    inner->safe = 1;
}


ngx_uint_t
ngx_http_travel_inner_is_safe(const ngx_http_travel_inner_t *inner)
{
    return inner->safe;
}


/* --- what is left for who asked ------------------------------------------ */

ngx_http_travel_inner_t *
ngx_http_travel_inner_of(ngx_http_request_t *r)
{
    ngx_http_travel_inner_t  *inner;

    if (r->connection->listening->addr_text.data
        != ngx_http_travel_inner_name.data)
    {
        return NULL;
    }

    inner = (ngx_http_travel_inner_t *) r->connection->listening;

    return inner->client != NULL ? inner : NULL;
}


ngx_int_t
ngx_http_travel_inner_leave(ngx_http_travel_inner_t *inner, ngx_uint_t kind,
    void *what, void (*drop)(void *what))
{
    if (inner->left != NULL) {
        return NGX_DECLINED;
    }

    inner->kind = kind;
    inner->left = what;
    inner->drop = drop;

    return NGX_OK;
}


void *
ngx_http_travel_inner_take(ngx_http_travel_inner_t *inner, ngx_uint_t kind)
{
    void  *what;

    if (inner->left == NULL || inner->kind != kind) {
        return NULL;
    }

    what = inner->left;
    inner->left = NULL;

    return what;
}
