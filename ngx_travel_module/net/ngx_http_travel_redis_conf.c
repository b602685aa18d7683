/* travel_redis ROLE ADDRESS [ADDRESS ...] [param=value ...] */

#include "ngx_http_travel_net.h"

#include <sys/un.h>


static ngx_int_t ngx_http_travel_redis_check_cluster(ngx_conf_t *cf,
    ngx_http_travel_redis_conf_t *rc, ngx_uint_t queue);
static ngx_int_t ngx_http_travel_redis_address(ngx_conf_t *cf,
    ngx_http_travel_redis_conf_t *rc, ngx_str_t *address);
static char *ngx_http_travel_redis_password_file(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *path, void *conf);


static const ngx_http_travel_param_t  ngx_http_travel_redis_params[] = {

    { "user", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_redis_conf_t, user),
      NULL, NULL, NULL, NULL, 0 },

    { "password", ngx_http_travel_param_text,
      offsetof(ngx_http_travel_redis_conf_t, password),
      NULL, NULL, NULL, NULL, 0 },

    { "password_file", ngx_http_travel_redis_password_file,
      offsetof(ngx_http_travel_redis_conf_t, password),
      NULL, NULL, NULL, NULL, 0 },

    { "timeout", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_redis_conf_t, timeout),
      "10ms", "60s", "1s", NULL, 0 },

    { "db", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_redis_conf_t, db),
      "0", "65535", "0", NULL, 0 },

    { "acks", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_redis_conf_t, acks),
      "0", "16", "0", "replicas", 0 },

    { "cluster", ngx_http_travel_param_flag,
      offsetof(ngx_http_travel_redis_conf_t, cluster),
      NULL, NULL, "off", NULL, 0 },

      ngx_http_travel_null_param
};


char *
ngx_http_travel_redis_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_http_travel_net_conf_t    *nmcf;
    ngx_http_travel_redis_conf_t  *rc;

    (void) cmd;

    nmcf = conf;
    value = cf->args->elts;
    rc = NULL;

    for (i = 0; i < NGX_HTTP_TRAVEL_REDIS_ROLES; i++) {
        if (value[1].len == nmcf->redis[i].name.len
            && ngx_strncmp(value[1].data, nmcf->redis[i].name.data,
                           value[1].len) == 0)
        {
            rc = &nmcf->redis[i];
        }
    }

    if (rc == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis\" role \"%V\" must be \"queue\" "
                           "or \"cache\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (rc->configured) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis %V\" is duplicate: one server per "
                           "role", &value[1]);
        return NGX_CONF_ERROR;
    }

    rc->configured = 1;

    if (ngx_array_init(&rc->servers, cf->pool, 4,
                       sizeof(ngx_http_travel_redis_server_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (i > 2 && ngx_strncmp(value[i].data, "unix:", 5) != 0
            && ngx_strlchr(value[i].data, value[i].data + value[i].len, '='))
        {
            break;
        }

        if (ngx_http_travel_redis_address(cf, rc, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_travel_params_whole(cf, ngx_http_travel_redis_params, i, rc)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (rc->acks && rc != &nmcf->redis[NGX_HTTP_TRAVEL_REDIS_QUEUE]) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis %V\" has acks=, which is for "
                           "\"queue\": what a cache holds may be lost",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_travel_redis_check_cluster(cf, rc,
            rc == &nmcf->redis[NGX_HTTP_TRAVEL_REDIS_QUEUE])
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (rc->user.len && rc->password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis %V\" has user= and needs password= "
                           "or password_file= too", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_travel_net_counters(cf, "redis", &rc->name, &rc->counters)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_redis_check_cluster(ngx_conf_t *cf,
    ngx_http_travel_redis_conf_t *rc, ngx_uint_t queue)
{
    ngx_uint_t                       i;
    ngx_http_travel_redis_server_t  *server;

    if (!rc->cluster) {
        return NGX_OK;
    }

    if (!queue) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis %V\" has cluster=on, which is for "
                           "\"queue\": keys of a cache are not kept together "
                           "by slot; give it one server", &rc->name);
        return NGX_ERROR;
    }

    if (rc->db) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis %V\" has cluster=on and db=%ui: "
                           "a cluster has database 0 only", &rc->name, rc->db);
        return NGX_ERROR;
    }

    server = rc->servers.elts;

    for (i = 0; i < rc->servers.nelts; i++) {
        if (server[i].path) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_redis %V\" has cluster=on and the "
                               "socket \"%s\": servers of a cluster are known "
                               "by HOST:PORT", &rc->name, server[i].path);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_redis_address(ngx_conf_t *cf,
    ngx_http_travel_redis_conf_t *rc, ngx_str_t *address)
{
    char                            **addrs;
    u_char                           *p, *last;
    ngx_str_t                         host;
    ngx_int_t                         port;
    ngx_uint_t                        i, n;
    ngx_http_travel_redis_server_t   *server;

    if (ngx_strncmp(address->data, "unix:", 5) == 0) {
        host.data = address->data + 5;
        host.len = address->len - 5;

        if (host.len != 0
            && ngx_conf_full_name(cf->cycle, &host, 0) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (host.len == 0
            || host.len >= sizeof(((struct sockaddr_un *) 0)->sun_path))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "socket path \"%V\" must have 1 to %uz bytes",
                               &host,
                               sizeof(((struct sockaddr_un *) 0)->sun_path)
                               - 1);
            return NGX_ERROR;
        }

        server = ngx_array_push(&rc->servers);
        if (server == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(server, sizeof(ngx_http_travel_redis_server_t));
        server->path = ngx_http_travel_net_cstr(cf->pool, &host);

        return server->path ? NGX_OK : NGX_ERROR;
    }

    /* the last colon: "[::1]:6379" has more */

    last = address->data + address->len;

    for (p = last - 1; p > address->data && *p != ':'; p--) { /* void */ }

    port = (p > address->data) ? ngx_atoi(p + 1, last - p - 1) : NGX_ERROR;

    if (port < 1 || port > 65535) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_redis\" address \"%V\" must be "
                           "unix:PATH or HOST:PORT", address);
        return NGX_ERROR;
    }

    host.data = address->data;
    host.len = p - address->data;

    if (ngx_http_travel_net_resolve(cf, &host, (in_port_t) port, &addrs, &n)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        server = ngx_array_push(&rc->servers);
        if (server == NULL) {
            return NGX_ERROR;
        }

        server->path = NULL;
        server->addr = addrs[i];
        server->port = (in_port_t) port;
    }

    return NGX_OK;
}


static char *
ngx_http_travel_redis_password_file(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *path, void *conf)
{
    ngx_http_travel_redis_conf_t  *rc = conf;

    (void) param;

    return ngx_http_travel_net_secret(cf, path, &rc->password) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}
