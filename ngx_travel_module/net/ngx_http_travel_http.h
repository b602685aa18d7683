/*
 * One small document from another server: GET over HTTP/1.1 or HTTPS, without
 * blocking, whole or not at all.
 *
 * A connection serves one answer.  No cookies are kept or sent, and a redirect
 * is followed only to the server that was asked.  Over TLS (1.2 or 1.3) the
 * certificate must be good for the host of the URL.
 */

#ifndef NGX_HTTP_TRAVEL_HTTP_H
#define NGX_HTTP_TRAVEL_HTTP_H

#include "../core/ngx_http_travel.h"
#include "../../common/http_answer.h"


/* Where a document is.  Written at configuration time only. */
typedef struct {
    ngx_str_t           url;           /* as written */
    ngx_str_t           host;          /* no brackets, NUL-terminated */
    ngx_str_t           authority;     /* what Host says */
    ngx_str_t           origin;        /* "https://authority" */
    ngx_str_t           uri;           /* path and query, "/" at least */
    in_port_t           port;
    ngx_str_t           ca;            /* file of certificates; empty: the
                                          system's */
    ngx_msec_t          timeout;       /* of all of it together */
    size_t              max;           /* bytes of the body */
    ngx_resolver_t     *resolver;      /* NULL: the addresses below */
    ngx_msec_t          resolver_timeout;
    ngx_addr_t         *addrs;
    ngx_uint_t          naddrs;
    void               *ssl;           /* ngx_ssl_t; NULL: plain */
    unsigned            tls:1;
} ngx_http_travel_http_place_t;

typedef struct ngx_http_travel_http_s  ngx_http_travel_http_t;

/*
 * What became of it: 'why' NULL and the answer, whatever its status, whose
 * texts live until the handler returns; or a sentence, and no answer.  It is
 * always called from the event loop, never from within get() or cancel().
 */
typedef void (*ngx_http_travel_http_pt)(void *data, const char *why,
    const travel_http_answer_t *answer);


/* Reads a URL into 'place'; NGX_CONF_OK, or a text for an error message. */
char *ngx_http_travel_http_url(ngx_conf_t *cf,
    ngx_http_travel_http_place_t *place, const ngx_str_t *url);

/*
 * When the configuration has been read: makes the TLS context, and finds out
 * how the name is resolved: by the "resolver" of http{} at each request, else
 * once, now.  NGX_OK, or NGX_ERROR after logging; 'what' names the directive.
 */
ngx_int_t ngx_http_travel_http_init(ngx_conf_t *cf,
    ngx_http_travel_http_place_t *place, const char *what);

/* Asks.  'headers' are complete lines, to be sent besides (Accept, conditions);
 * NULL when there is no memory. */
ngx_http_travel_http_t *ngx_http_travel_http_get(
    const ngx_http_travel_http_place_t *place, const ngx_str_t *headers,
    ngx_http_travel_http_pt handler, void *data, ngx_log_t *log);

/* Gives up; the handler is not called. */
void ngx_http_travel_http_cancel(ngx_http_travel_http_t *http);

#endif
