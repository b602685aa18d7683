/*
 * A document from another server.
 *
 * Each request has a pool of its own and one connection; nobody but the event
 * loop of this process touches it.
 *
 *   RESOLVING    only with a resolver
 *   CONNECTING   the next address is tried when one fails
 *   SHAKING      TLS
 *   SENDING
 *   READING
 *   ENDED        the connection is closed, the handler is about to be called
 *
 * http_end() is the one place that leaves the others for ENDED; the handler is
 * called from the timer's event, which is posted there, and everything is
 * freed after it.  The timer bounds all of it together and is cancelable: a
 * worker that is to go does not wait for a document.
 */

#include "ngx_http_travel_http.h"


#define NGX_HTTP_TRAVEL_HTTP_REDIRECTS  3
#define NGX_HTTP_TRAVEL_HTTP_CHUNKED    4096    /* room for a body's framing */

typedef enum {
    NGX_HTTP_TRAVEL_HTTP_RESOLVING,
    NGX_HTTP_TRAVEL_HTTP_CONNECTING,
    NGX_HTTP_TRAVEL_HTTP_SHAKING,
    NGX_HTTP_TRAVEL_HTTP_SENDING,
    NGX_HTTP_TRAVEL_HTTP_READING,
    NGX_HTTP_TRAVEL_HTTP_ENDED
} ngx_http_travel_http_state_e;

struct ngx_http_travel_http_s {
    const ngx_http_travel_http_place_t  *place;
    ngx_http_travel_http_state_e         state;
    ngx_http_travel_http_pt              handler;
    void                                *data;
    ngx_pool_t                          *pool;
    ngx_log_t                           *log;

    ngx_event_t                          timer;
    ngx_connection_t                     dummy;     /* for the timer's log */

    ngx_resolver_ctx_t                  *resolving;
    ngx_addr_t                          *addrs;
    ngx_uint_t                           naddrs;
    ngx_uint_t                           at;        /* the address in use */
    ngx_peer_connection_t                peer;

    ngx_str_t                            uri;
    ngx_str_t                            headers;
    ngx_uint_t                           redirects;

    ngx_str_t                            request;
    size_t                               sent;
    u_char                              *buf;
    size_t                               room;
    size_t                               len;

    const char                          *why;       /* ENDED: NULL is good */
    travel_http_answer_t                 answer;
};


static ngx_int_t ngx_http_travel_http_names(ngx_conf_t *cf,
    ngx_http_travel_http_place_t *place, const ngx_url_t *u);
static void ngx_http_travel_http_due(ngx_event_t *ev);
static void ngx_http_travel_http_free(ngx_http_travel_http_t *http);
static void ngx_http_travel_http_close(ngx_http_travel_http_t *http);
static void ngx_http_travel_http_end(ngx_http_travel_http_t *http,
    const char *why);
static void ngx_http_travel_http_resolve(ngx_http_travel_http_t *http);
static void ngx_http_travel_http_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_http_travel_http_connect(ngx_http_travel_http_t *http);
static void ngx_http_travel_http_failed(ngx_http_travel_http_t *http,
    const char *why);
static void ngx_http_travel_http_write(ngx_event_t *wev);
static void ngx_http_travel_http_connected(ngx_http_travel_http_t *http);
static ngx_int_t ngx_http_travel_http_request(ngx_http_travel_http_t *http);
static void ngx_http_travel_http_send(ngx_http_travel_http_t *http);
static void ngx_http_travel_http_read(ngx_event_t *rev);
static ngx_int_t ngx_http_travel_http_judge(ngx_http_travel_http_t *http,
    ngx_uint_t closed);
static ngx_int_t ngx_http_travel_http_redirect(ngx_http_travel_http_t *http,
    travel_str_t location);

#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_travel_http_tls(ngx_conf_t *cf,
    ngx_http_travel_http_place_t *place, const char *what);
static void ngx_http_travel_http_shake(ngx_http_travel_http_t *http);
static void ngx_http_travel_http_shaken(ngx_connection_t *c);
#endif


/* --- configuration ------------------------------------------------------- */

char *
ngx_http_travel_http_url(ngx_conf_t *cf, ngx_http_travel_http_place_t *place,
    const ngx_str_t *url)
{
    size_t      scheme;
    ngx_url_t   u;
    ngx_uint_t  i;

    ngx_memzero(&u, sizeof(ngx_url_t));

    if (ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0) {
        scheme = 7;

    } else if (ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0) {
        scheme = 8;
        place->tls = 1;

    } else {
        return "must begin with http:// or https://";
    }

    for (i = scheme; i < url->len; i++) {
        if (url->data[i] <= ' ' || url->data[i] >= 0x7f
            || url->data[i] == '#' || url->data[i] == '@')
        {
            return "must have no space, no fragment and no user name";
        }
    }

    place->url = *url;

    u.url.data = url->data + scheme;
    u.url.len = url->len - scheme;
    u.default_port = place->tls ? 443 : 80;
    u.uri_part = 1;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.host.len == 0
        || u.family == AF_UNIX)
    {
        return "is no URL of a host";
    }

    place->port = u.port;

    return (ngx_http_travel_http_names(cf, place, &u) == NGX_OK)
           ? NGX_CONF_OK : "finds no memory";
}


/* The URL's parts as they are sent and compared. */
static ngx_int_t
ngx_http_travel_http_names(ngx_conf_t *cf, ngx_http_travel_http_place_t *place,
    const ngx_url_t *u)
{
    u_char     *p;
    ngx_str_t   host;

    host = u->host;

    if (host.len > 2 && host.data[0] == '[') {
        host.data++;
        host.len -= 2;
    }

    place->host.data = ngx_pnalloc(cf->pool, host.len + 1);
    place->origin.data = ngx_pnalloc(cf->pool, sizeof("https://[]:65535")
                                               + host.len);
    place->uri.data = ngx_pnalloc(cf->pool, u->uri.len + 2);

    if (place->host.data == NULL || place->origin.data == NULL
        || place->uri.data == NULL)
    {
        return NGX_ERROR;
    }

    ngx_strlow(place->host.data, host.data, host.len);
    place->host.data[host.len] = '\0';
    place->host.len = host.len;

    p = ngx_sprintf(place->origin.data, "%s://", place->tls ? "https" : "http");
    place->authority.data = p;

    p = ngx_sprintf(p, ngx_strchr(place->host.data, ':') ? "[%V]" : "%V",
                    &place->host);

    if (place->port != (place->tls ? 443 : 80)) {
        p = ngx_sprintf(p, ":%d", (int) place->port);
    }

    place->authority.len = p - place->authority.data;
    place->origin.len = p - place->origin.data;

    p = place->uri.data;

    if (u->uri.len == 0 || u->uri.data[0] != '/') {
        *p++ = '/';
    }

    p = ngx_cpymem(p, u->uri.data, u->uri.len);
    place->uri.len = p - place->uri.data;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_http_init(ngx_conf_t *cf, ngx_http_travel_http_place_t *place,
    const char *what)
{
    ngx_url_t                  u;
    ngx_http_core_loc_conf_t  *clcf;

    if (place->tls) {
#if (NGX_HTTP_SSL)
        if (ngx_http_travel_http_tls(cf, place, what) != NGX_OK) {
            return NGX_ERROR;
        }
#else
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" url \"%V\" needs an nginx that is built with "
                      "SSL", what, &place->url);
        return NGX_ERROR;
#endif
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = place->authority;
    u.default_port = place->port;

    if (ngx_inet_addr(place->host.data, place->host.len) == INADDR_NONE
        && ngx_strchr(place->host.data, ':') == NULL
        && clcf->resolver != NULL && clcf->resolver->connections.nelts != 0)
    {
        place->resolver = clcf->resolver;
        /* nobody merges what stands in http{} itself */
        place->resolver_timeout = place->timeout;

        if (clcf->resolver_timeout != NGX_CONF_UNSET_MSEC) {
            place->resolver_timeout = clcf->resolver_timeout;
        }

        return NGX_OK;
    }

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" url \"%V\": %s: write an address, or set "
                      "\"resolver\" in http{}, which is asked each time", what,
                      &place->url, u.err ? u.err : "no address");
        return NGX_ERROR;
    }

    place->addrs = u.addrs;
    place->naddrs = u.naddrs;

    return NGX_OK;
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_travel_http_tls(ngx_conf_t *cf, ngx_http_travel_http_place_t *place,
    const char *what)
{
    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (ssl == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;
    place->ssl = ssl;

    if (place->ca.len != 0) {
        return ngx_ssl_trusted_certificate(cf, ssl, &place->ca, 9);
    }

    if (SSL_CTX_set_default_verify_paths(ssl->ctx) != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\": the system's certificates cannot be used: name "
                      "a file with ca=", what);
        return NGX_ERROR;
    }

    return NGX_OK;
}

#endif


/* --- its life ------------------------------------------------------------ */

ngx_http_travel_http_t *
ngx_http_travel_http_get(const ngx_http_travel_http_place_t *place,
    const ngx_str_t *headers, ngx_http_travel_http_pt handler, void *data,
    ngx_log_t *log)
{
    ngx_pool_t              *pool;
    ngx_http_travel_http_t  *http;

    pool = ngx_create_pool(4096, log);
    if (pool == NULL) {
        return NULL;
    }

    http = ngx_pcalloc(pool, sizeof(ngx_http_travel_http_t));
    if (http == NULL) {
        goto failed;
    }

    http->place = place;
    http->pool = pool;
    http->log = log;
    http->handler = handler;
    http->data = data;
    http->uri = place->uri;

    http->room = TRAVEL_HTTP_HEAD_MAX + place->max
                 + NGX_HTTP_TRAVEL_HTTP_CHUNKED;
    http->buf = ngx_palloc(pool, http->room);
    http->headers.data = ngx_pstrdup(pool, (ngx_str_t *) headers);
    http->headers.len = headers->len;

    if (http->buf == NULL || http->headers.data == NULL) {
        goto failed;
    }

    http->dummy.fd = (ngx_socket_t) -1;
    http->dummy.data = http;
    http->timer.data = &http->dummy;
    http->timer.handler = ngx_http_travel_http_due;
    http->timer.log = log;
    http->timer.cancelable = 1;

    ngx_add_timer(&http->timer, place->timeout);

    if (place->resolver != NULL) {
        ngx_http_travel_http_resolve(http);

    } else {
        http->addrs = place->addrs;
        http->naddrs = place->naddrs;
        ngx_http_travel_http_connect(http);
    }

    return http;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


void
ngx_http_travel_http_cancel(ngx_http_travel_http_t *http)
{
    ngx_http_travel_http_free(http);
}


/* The end, or the time is over. */
static void
ngx_http_travel_http_due(ngx_event_t *ev)
{
    ngx_connection_t        *dummy;
    ngx_http_travel_http_t  *http;

    static const char  *late[] = {
        "its name was not resolved in time",
        "it did not accept a connection in time",
        "TLS was not agreed on in time",
        "it did not read the request in time",
        "it did not answer in time"
    };

    dummy = ev->data;
    http = dummy->data;

    if (http->state != NGX_HTTP_TRAVEL_HTTP_ENDED) {
        http->why = late[http->state];
        ngx_http_travel_http_close(http);
    }

    http->handler(http->data, http->why, http->why ? NULL : &http->answer);

    ngx_http_travel_http_free(http);
}


static void
ngx_http_travel_http_free(ngx_http_travel_http_t *http)
{
    ngx_http_travel_http_close(http);

    if (http->timer.timer_set) {
        ngx_del_timer(&http->timer);
    }

    if (http->timer.posted) {
        ngx_delete_posted_event(&http->timer);
    }

    ngx_destroy_pool(http->pool);
}


static void
ngx_http_travel_http_close(ngx_http_travel_http_t *http)
{
    ngx_connection_t  *c;

    if (http->resolving != NULL) {
        ngx_resolve_name_done(http->resolving);
        http->resolving = NULL;
    }

    c = http->peer.connection;

    if (c == NULL) {
        return;
    }

#if (NGX_HTTP_SSL)
    if (c->ssl != NULL) {
        c->ssl->no_wait_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }
#endif

    ngx_close_connection(c);
    http->peer.connection = NULL;
}


static void
ngx_http_travel_http_end(ngx_http_travel_http_t *http, const char *why)
{
    ngx_http_travel_http_close(http);

    http->state = NGX_HTTP_TRAVEL_HTTP_ENDED;
    http->why = why;

    if (http->timer.timer_set) {
        ngx_del_timer(&http->timer);
    }

    ngx_post_event(&http->timer, &ngx_posted_events);
}


/* --- the way there ------------------------------------------------------- */

static void
ngx_http_travel_http_resolve(ngx_http_travel_http_t *http)
{
    ngx_resolver_ctx_t  *ctx;

    http->state = NGX_HTTP_TRAVEL_HTTP_RESOLVING;

    ctx = ngx_resolve_start(http->place->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        ngx_http_travel_http_end(http, "its name cannot be resolved");
        return;
    }

    ctx->name = http->place->host;
    ctx->handler = ngx_http_travel_http_resolved;
    ctx->data = http;
    ctx->timeout = http->place->resolver_timeout;
    ctx->cancelable = 1;

    http->resolving = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        /* nginx has freed it */
        http->resolving = NULL;
        ngx_http_travel_http_end(http, "its name cannot be resolved");
    }
}


static void
ngx_http_travel_http_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t               i;
    struct sockaddr         *sockaddr;
    ngx_http_travel_http_t  *http;

    http = ctx->data;

    if (ctx->state != NGX_OK || ctx->naddrs == 0) {
        ngx_log_error(NGX_LOG_ERR, http->log, 0,
                      "travel: \"%V\" could not be resolved (%i: %s)",
                      &ctx->name, ctx->state,
                      ngx_resolver_strerror(ctx->state));
        ngx_http_travel_http_end(http, "its name was not found");
        return;
    }

    http->addrs = ngx_pcalloc(http->pool, ctx->naddrs * sizeof(ngx_addr_t));
    if (http->addrs == NULL) {
        ngx_http_travel_http_end(http, "there is no memory");
        return;
    }

    for (i = 0; i < ctx->naddrs; i++) {
        sockaddr = ngx_palloc(http->pool, ctx->addrs[i].socklen);
        if (sockaddr == NULL) {
            ngx_http_travel_http_end(http, "there is no memory");
            return;
        }

        ngx_memcpy(sockaddr, ctx->addrs[i].sockaddr, ctx->addrs[i].socklen);
        ngx_inet_set_port(sockaddr, http->place->port);

        http->addrs[i].sockaddr = sockaddr;
        http->addrs[i].socklen = ctx->addrs[i].socklen;
        http->addrs[i].name = http->place->authority;
    }

    http->naddrs = ctx->naddrs;

    ngx_resolve_name_done(ctx);
    http->resolving = NULL;

    ngx_http_travel_http_connect(http);
}


static void
ngx_http_travel_http_connect(ngx_http_travel_http_t *http)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    http->state = NGX_HTTP_TRAVEL_HTTP_CONNECTING;
    http->sent = 0;
    http->len = 0;

    ngx_memzero(&http->peer, sizeof(ngx_peer_connection_t));

    http->peer.sockaddr = http->addrs[http->at].sockaddr;
    http->peer.socklen = http->addrs[http->at].socklen;
    http->peer.name = &http->addrs[http->at].name;
    http->peer.get = ngx_event_get_peer;
    http->peer.log = http->log;
    http->peer.log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(&http->peer);

    if (rc != NGX_OK && rc != NGX_AGAIN) {

        /* nginx has closed what there was, unless it had no connection */
        if (rc == NGX_ERROR && http->peer.connection != NULL) {
            ngx_close_connection(http->peer.connection);
        }

        http->peer.connection = NULL;
        ngx_http_travel_http_failed(http, "it cannot be connected to");
        return;
    }

    c = http->peer.connection;
    c->data = http;
    c->pool = http->pool;
    c->log = http->log;
    c->log_error = NGX_ERROR_INFO;
    c->read->log = http->log;
    c->write->log = http->log;
    c->read->handler = ngx_http_travel_http_read;
    c->write->handler = ngx_http_travel_http_write;

    if (rc == NGX_OK) {
        ngx_http_travel_http_connected(http);
    }
}


/* Before anything was sent another address may do better. */
static void
ngx_http_travel_http_failed(ngx_http_travel_http_t *http, const char *why)
{
    ngx_http_travel_http_close(http);

    if (++http->at < http->naddrs) {
        ngx_http_travel_http_connect(http);
        return;
    }

    ngx_http_travel_http_end(http, why);
}


static void
ngx_http_travel_http_write(ngx_event_t *wev)
{
    int                      err;
    socklen_t                len;
    ngx_connection_t        *c;
    ngx_http_travel_http_t  *http;

    c = wev->data;
    http = c->data;

    switch (http->state) {

    case NGX_HTTP_TRAVEL_HTTP_CONNECTING:
        err = 0;
        len = sizeof(int);

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1
            || err)
        {
            ngx_http_travel_http_failed(http, "it refuses the connection");
            return;
        }

        ngx_http_travel_http_connected(http);
        return;

    case NGX_HTTP_TRAVEL_HTTP_SENDING:
        ngx_http_travel_http_send(http);
        return;

    default:
        (void) ngx_handle_write_event(wev, 0);
    }
}


static void
ngx_http_travel_http_connected(ngx_http_travel_http_t *http)
{
#if (NGX_HTTP_SSL)
    if (http->place->ssl != NULL) {
        ngx_http_travel_http_shake(http);
        return;
    }
#endif

    ngx_http_travel_http_send(http);
}


#if (NGX_HTTP_SSL)

static void
ngx_http_travel_http_shake(ngx_http_travel_http_t *http)
{
    SSL                *ssl;
    u_char              address[16];
    ngx_uint_t          numeric;
    ngx_connection_t   *c;
    X509_VERIFY_PARAM  *param;

    c = http->peer.connection;
    http->state = NGX_HTTP_TRAVEL_HTTP_SHAKING;

    if (ngx_ssl_create_connection(http->place->ssl, c,
                                  NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        ngx_http_travel_http_end(http, "TLS could not be started");
        return;
    }

    ssl = c->ssl->connection;
    param = SSL_get0_param(ssl);

    numeric = inet_pton(AF_INET, (char *) http->place->host.data, address) == 1
              || inet_pton(AF_INET6, (char *) http->place->host.data, address)
                 == 1;

    X509_VERIFY_PARAM_set_hostflags(param,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);

    if ((numeric
         ? X509_VERIFY_PARAM_set1_ip_asc(param,
                                         (char *) http->place->host.data)
         : X509_VERIFY_PARAM_set1_host(param, (char *) http->place->host.data,
                                       http->place->host.len))
        != 1
        || (!numeric
            && SSL_set_tlsext_host_name(ssl, (char *) http->place->host.data)
               != 1))
    {
        ngx_ssl_error(NGX_LOG_ERR, http->log, 0, "travel: no name for TLS");
        ngx_http_travel_http_end(http, "TLS could not be started");
        return;
    }

    if (ngx_ssl_handshake(c) == NGX_AGAIN) {
        c->ssl->handler = ngx_http_travel_http_shaken;
        return;
    }

    ngx_http_travel_http_shaken(c);
}


/* The verdict on the chain and the name is asked here and not in the midst of
 * the handshake, so that it can be told in a sentence. */
static void
ngx_http_travel_http_shaken(ngx_connection_t *c)
{
    long                     rc;
    X509                    *cert;
    ngx_http_travel_http_t  *http;

    http = c->data;

    if (!c->ssl->handshaked) {
        ngx_http_travel_http_end(http, "it does not agree on TLS");
        return;
    }

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_log_error(NGX_LOG_ERR, http->log, 0,
                      "travel: the certificate of \"%V\" is not accepted: "
                      "(%l:%s)", &http->place->url, rc,
                      X509_verify_cert_error_string(rc));
        ngx_http_travel_http_end(http, "its certificate is not accepted");
        return;
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        ngx_http_travel_http_end(http, "it has no certificate");
        return;
    }

    X509_free(cert);

    c->read->handler = ngx_http_travel_http_read;
    c->write->handler = ngx_http_travel_http_write;

    ngx_http_travel_http_send(http);
}

#endif


/* --- the request and its answer ------------------------------------------ */

static ngx_int_t
ngx_http_travel_http_request(ngx_http_travel_http_t *http)
{
    u_char  *p;
    size_t   len;

    static const char  rest[] =
        "User-Agent: ngx_travel" CRLF
        "Accept-Encoding: identity" CRLF
        "Connection: close" CRLF;

    len = sizeof("GET  HTTP/1.1" CRLF "Host: " CRLF) + sizeof(rest)
          + http->uri.len + http->place->authority.len + http->headers.len
          + sizeof(CRLF);

    p = ngx_pnalloc(http->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    http->request.data = p;
    http->request.len = ngx_sprintf(p, "GET %V HTTP/1.1" CRLF "Host: %V" CRLF
                                    "%s%V" CRLF, &http->uri,
                                    &http->place->authority, rest,
                                    &http->headers)
                        - p;

    return NGX_OK;
}


static void
ngx_http_travel_http_send(ngx_http_travel_http_t *http)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = http->peer.connection;

    if (http->state != NGX_HTTP_TRAVEL_HTTP_SENDING) {
        http->state = NGX_HTTP_TRAVEL_HTTP_SENDING;

        if (ngx_http_travel_http_request(http) != NGX_OK) {
            ngx_http_travel_http_end(http, "there is no memory");
            return;
        }
    }

    while (http->sent < http->request.len) {
        n = c->send(c, http->request.data + http->sent,
                    http->request.len - http->sent);

        if (n == NGX_ERROR) {
            ngx_http_travel_http_end(http, "it does not take the request");
            return;
        }

        if (n == NGX_AGAIN) {
            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                ngx_http_travel_http_end(http, "it cannot be waited for");
            }

            return;
        }

        http->sent += n;
    }

    http->state = NGX_HTTP_TRAVEL_HTTP_READING;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_http_travel_http_end(http, "it cannot be waited for");
        return;
    }

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static void
ngx_http_travel_http_read(ngx_event_t *rev)
{
    ssize_t                  n;
    ngx_connection_t        *c;
    ngx_http_travel_http_t  *http;

    c = rev->data;
    http = c->data;

    if (http->state != NGX_HTTP_TRAVEL_HTTP_READING) {
        return;                        /* the write side will find out */
    }

    for ( ;; ) {
        n = c->recv(c, http->buf + http->len, http->room - http->len);

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_http_travel_http_end(http, "it cannot be waited for");
            }

            return;
        }

        if (n == NGX_ERROR) {
            ngx_http_travel_http_end(http, "it broke the connection");
            return;
        }

        http->len += n;

        if (ngx_http_travel_http_judge(http, n == 0) != NGX_AGAIN) {
            return;
        }
    }
}


/* NGX_AGAIN: there is more to come; NGX_DONE: http is ended, or on its way
 * elsewhere. */
static ngx_int_t
ngx_http_travel_http_judge(ngx_http_travel_http_t *http, ngx_uint_t closed)
{
    int          rc;
    const char  *why;

    rc = travel_http_answer(&http->answer, (char *) http->buf, http->len,
                            closed, &why);

    if (rc == TRAVEL_UNKNOWN && http->len == http->room) {
        rc = TRAVEL_INVALID;
        why = "its answer is too large";
    }

    if (rc == TRAVEL_UNKNOWN) {
        return NGX_AGAIN;
    }

    if (rc == TRAVEL_OK && http->answer.body.len > http->place->max) {
        rc = TRAVEL_INVALID;
        why = "its answer is too large";
    }

    if (rc != TRAVEL_OK) {
        ngx_http_travel_http_end(http, why);
        return NGX_DONE;
    }

    switch (http->answer.status) {

    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        if (ngx_http_travel_http_redirect(http, http->answer.location)
            == NGX_OK)
        {
            return NGX_DONE;
        }

        ngx_http_travel_http_end(http, "it redirects to where we do not go");
        return NGX_DONE;

    default:
        ngx_http_travel_http_end(http, NULL);
        return NGX_DONE;
    }
}


/* To the same server only: "/path", or a URL of the same origin. */
static ngx_int_t
ngx_http_travel_http_redirect(ngx_http_travel_http_t *http,
    travel_str_t location)
{
    size_t            i;
    const ngx_str_t  *origin;

    origin = &http->place->origin;

    if (location.len > origin->len
        && ngx_strncasecmp((u_char *) location.data, origin->data, origin->len)
           == 0)
    {
        location.data += origin->len;
        location.len -= origin->len;
    }

    if (++http->redirects > NGX_HTTP_TRAVEL_HTTP_REDIRECTS
        || location.len == 0 || location.data[0] != '/'
        || (location.len > 1 && location.data[1] == '/'))
    {
        return NGX_ERROR;
    }

    for (i = 0; i < location.len; i++) {
        if (location.data[i] <= ' ' || location.data[i] == '#'
            || (u_char) location.data[i] >= 0x7f)
        {
            return NGX_ERROR;
        }
    }

    http->uri.data = ngx_pnalloc(http->pool, location.len);
    if (http->uri.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(http->uri.data, location.data, location.len);
    http->uri.len = location.len;

    ngx_http_travel_http_close(http);
    http->at = 0;
    ngx_http_travel_http_connect(http);

    return NGX_OK;
}
