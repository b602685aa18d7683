/* What net's directives have in common: secrets, names of hosts, counters. */

#include "ngx_http_travel_net.h"

#define NGX_HTTP_TRAVEL_SECRET_MAX  4096


static ngx_int_t ngx_http_travel_net_counter(ngx_conf_t *cf, const char *kind,
    const char *what, ngx_str_t *name, const char *help);


ngx_int_t
ngx_http_travel_net_secret(ngx_conf_t *cf, ngx_str_t *file,
    ngx_str_t *ret_secret)
{
    u_char     *p, *last;
    ssize_t     n;
    ngx_fd_t    fd;
    ngx_str_t   name;

    name = *file;

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(cf->pool, NGX_HTTP_TRAVEL_SECRET_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot open password file \"%V\"", &name);
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, p, NGX_HTTP_TRAVEL_SECRET_MAX);

    (void) ngx_close_file(fd);

    if (n <= 0 || n == NGX_HTTP_TRAVEL_SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "password file \"%V\" must hold one line", &name);
        return NGX_ERROR;
    }

    last = ngx_strlchr(p, p + n, LF);
    ret_secret->data = p;
    ret_secret->len = (last ? last : p + n) - p;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_net_resolve(ngx_conf_t *cf, ngx_str_t *host, in_port_t port,
    char ***ret_addrs, ngx_uint_t *ret_n)
{
    char        **addrs;
    u_char       *p;
    size_t        n;
    ngx_url_t     u;
    ngx_uint_t    i;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = *host;
    u.default_port = port;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"%V\": use an address, or a name that "
                           "resolves while nginx starts",
                           u.err ? u.err : "no address", host);
        return NGX_ERROR;
    }

    addrs = ngx_pcalloc(cf->pool, u.naddrs * sizeof(char *));
    if (addrs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < u.naddrs; i++) {
        p = ngx_pnalloc(cf->pool, NGX_SOCKADDR_STRLEN + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        n = ngx_sock_ntop(u.addrs[i].sockaddr, u.addrs[i].socklen, p,
                          NGX_SOCKADDR_STRLEN, 0);
        p[n] = '\0';

        /* IPv6 comes in brackets; both libraries want none */

        if (p[0] == '[' && n > 2) {
            p[n - 1] = '\0';
            p++;
        }

        addrs[i] = (char *) p;
    }

    *ret_addrs = addrs;
    *ret_n = u.naddrs;

    return NGX_OK;
}


char *
ngx_http_travel_net_cstr(ngx_pool_t *pool, const ngx_str_t *s)
{
    u_char  *p;

    p = ngx_pnalloc(pool, s->len + 1);
    if (p == NULL) {
        return NULL;
    }

    ngx_memcpy(p, s->data, s->len);
    p[s->len] = '\0';

    return (char *) p;
}


static ngx_int_t
ngx_http_travel_net_counter(ngx_conf_t *cf, const char *kind, const char *what,
    ngx_str_t *name, const char *help)
{
    u_char  *p;
    size_t   size;

    size = sizeof("travel___total{server=\"\"}") + ngx_strlen(kind)
           + ngx_strlen(what) + name->len;

    p = ngx_pnalloc(cf->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(p, "travel_%s_%s_total{server=\"%V\"}%Z", kind, what, name);

    return ngx_http_travel_counter_add(cf, (char *) p, help);
}


ngx_int_t
ngx_http_travel_net_counters(ngx_conf_t *cf, const char *kind,
    ngx_str_t *name, ngx_http_travel_net_counters_t *ret_counters)
{
    ngx_uint_t                       i;
    ngx_http_travel_net_counters_t  *n;

    n = ret_counters;

    struct {
        ngx_int_t   *index;
        const char  *what;
        const char  *help;
    } rows[] = {
        { &n->connects, "connects", "Connections made" },
        { &n->drops,    "drops",    "Connections dropped" },
        { &n->commands, "commands", "Commands or queries sent" },
        { &n->timeouts, "timeouts", "Commands or queries past deadline" },
        { &n->busy,     "busy",     "Commands or queries refused" },
        { &n->resent,   "resent",   "Commands or queries sent again" },
        { &n->cancels,  "cancels",  "Queries cancelled" },
        { &n->shed,     "shed",     "Queries that gave way to urgent ones" },
        { &n->moved,    "moved",    "Commands sent again: MOVED" },
        { &n->asked,    "asked",    "Commands sent again: ASK" }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        *rows[i].index = ngx_http_travel_net_counter(cf, kind, rows[i].what,
                                                     name, rows[i].help);
        if (*rows[i].index == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
