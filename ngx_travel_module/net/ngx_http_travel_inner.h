/*
 * Requests that this nginx worker makes to its own server block, on behalf of
 * somebody: an operation of a socket is a request like any other, and passes
 * authentication, limits, cache and log as one.
 *
 * It goes through a pair of sockets.  The server's end looks as if the somebody
 * had connected himself: his address is the connection's.
 */

#ifndef NGX_HTTP_TRAVEL_INNER_H
#define NGX_HTTP_TRAVEL_INNER_H

#include "../core/ngx_http_travel.h"

#define NGX_HTTP_TRAVEL_INNER_MAX  (4 * 1024 * 1024)      /* of an answer */

/* What stands for a listening socket; of a location's configuration. */
typedef struct {
    ngx_http_port_t            port;
    ngx_http_in_addr_t         addr;
    struct sockaddr_un         sockaddr;
    ngx_str_t                  name;           /* of who comes by it; one of
                                                  its own: see inner_of */
} ngx_http_travel_door_t;

/* In whose name. */
typedef struct {
    ngx_sockaddr_t             sockaddr;
    socklen_t                  socklen;
    u_char                     text[NGX_SOCKADDR_STRLEN];
    size_t                     len;
} ngx_http_travel_peer_t;

typedef struct ngx_http_travel_inner_s  ngx_http_travel_inner_t;

/* The answer, or status 0: there was none.  'body' lives during the call; the
 * request is over. */
typedef void (*ngx_http_travel_inner_pt)(void *data,
    ngx_http_travel_inner_t *inner, ngx_uint_t status, ngx_str_t *body);

/* From a directive. */
void ngx_http_travel_door(ngx_conf_t *cf, ngx_http_travel_door_t *door);
/* Of the client of r, as it is seen now. */
void ngx_http_travel_peer(ngx_http_request_t *r, ngx_http_travel_peer_t *peer);

/*
 * 'request' is the whole of it, as HTTP/1.0, so that the answer is not in
 * chunks and ends with the connection; it is freed (ngx_free) in any case.
 * NULL: nothing was asked, and the handler will not be called.  It never is
 * from within.
 */
ngx_http_travel_inner_t *ngx_http_travel_inner(ngx_http_travel_door_t *door,
    const ngx_http_travel_peer_t *peer, ngx_str_t *request,
    ngx_msec_t timeout, ngx_http_travel_inner_pt handler, void *data);
/* The handler will not be called; the request ends as one whose client left. */
void ngx_http_travel_inner_cancel(ngx_http_travel_inner_t *inner);

/* It is on behalf of a GET: nothing may be changed by it, whatever its own
 * method. */
void ngx_http_travel_inner_safe(ngx_http_travel_inner_t *inner);
ngx_uint_t ngx_http_travel_inner_is_safe(
    const ngx_http_travel_inner_t *inner);

/* It is a part of a request that limits have counted, and not counted again;
 * right after it was made. */
void ngx_http_travel_inner_counted(ngx_http_travel_inner_t *inner);

/* The inner request that r is; NULL: none, it has been cancelled, or its door
 * has a name of its own: it is like any other then. */
ngx_http_travel_inner_t *ngx_http_travel_inner_of(ngx_http_request_t *r);

/*
 * Within the process there is more to say than an answer can: what a room that
 * serves the request leaves for who asked.  'drop' frees it if it is not
 * taken; NGX_DECLINED: something was left already.
 */
ngx_int_t ngx_http_travel_inner_leave(ngx_http_travel_inner_t *inner,
    ngx_uint_t kind, void *what, void (*drop)(void *what));
/* What was left, if it is of that kind; it is the caller's. */
void *ngx_http_travel_inner_take(ngx_http_travel_inner_t *inner,
    ngx_uint_t kind);

enum {
    NGX_HTTP_TRAVEL_INNER_NOTHING,
    NGX_HTTP_TRAVEL_INNER_SUBSCRIPTION,     /* graphql's, for live */
    NGX_HTTP_TRAVEL_INNER_QUERY,            /* a @live query's, the same */
    NGX_HTTP_TRAVEL_INNER_CALLER            /* live's own */
};

#endif
