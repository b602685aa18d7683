/* travel_cache http: its parameters, zone, counters, and where it stands in a
 * request's way. */

#include "ngx_http_travel_kept.h"


#define NGX_HTTP_TRAVEL_KEPT_TIME_MAX   (30 * 24 * 3600)          /* s */
#define NGX_HTTP_TRAVEL_KEPT_HEURISTIC  (24 * 3600)
#define NGX_HTTP_TRAVEL_KEPT_WAIT       5000                      /* ms */
#define NGX_HTTP_TRAVEL_KEPT_WAIT_MAX   60000


static ngx_int_t ngx_http_travel_kept_parameter(ngx_conf_t *cf,
    ngx_http_travel_kept_conf_t *conf, ngx_str_t *value);
static ngx_int_t ngx_http_travel_kept_seconds(const ngx_str_t *value,
    uint32_t *ret_seconds);
static ngx_int_t ngx_http_travel_kept_value(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t **ret_value);
static ngx_int_t ngx_http_travel_kept_ignore(ngx_http_travel_kept_conf_t *conf,
    const ngx_str_t *value);
static ngx_int_t ngx_http_travel_kept_servers(ngx_conf_t *cf);


ngx_http_travel_kept_main_t  ngx_http_travel_kept;


char *
ngx_http_travel_kept_directive(ngx_conf_t *cf,
    ngx_http_travel_kept_conf_t **ret_conf)
{
    ngx_str_t                          *value;
    ngx_uint_t                          i;
    ngx_http_travel_kept_conf_t        *conf;
    ngx_http_travel_cache_main_conf_t  *cmcf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_kept_conf_t));
    if (conf == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->policy.heuristic_max = NGX_HTTP_TRAVEL_KEPT_HEURISTIC;
    conf->max_size = NGX_HTTP_TRAVEL_KEPT_SIZE_MAX;
    conf->wait = NGX_HTTP_TRAVEL_KEPT_WAIT;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_travel_kept_parameter(cf, conf, &value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"travel_cache http\" parameter \"%V\" must be "
                               "default=TIME, stale=TIME or heuristic=TIME (up "
                               "to 30d), wait=TIME (up to 60s), max_size=SIZE "
                               "(1k to 120k, with l2=on to 900k), "
                               "\"key=TEXT\", \"tags=TAG TAG\", shared, "
                               "private, l2=on|off, or ignore=request or "
                               "ignore=set-cookie", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (conf->max_size > NGX_HTTP_TRAVEL_KEPT_SIZE_MAX && !conf->l2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_cache http\" with max_size= over 120k "
                           "keeps such answers in Redis: add l2=on");
        return NGX_CONF_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_travel_cache_module);

    if (cmcf->http == NULL) {
        cmcf->http = ngx_pcalloc(cf->pool,
                                 sizeof(ngx_http_travel_kept_main_t));
        if (cmcf->http == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    cmcf->used = 1;
    *ret_conf = conf;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_kept_parameter(ngx_conf_t *cf,
    ngx_http_travel_kept_conf_t *conf, ngx_str_t *value)
{
    size_t      n;
    ssize_t     size;
    ngx_int_t   ms;
    ngx_str_t   s;
    ngx_uint_t  mode;
    u_char     *eq;

    if (ngx_strcmp(value->data, "shared") == 0
        || ngx_strcmp(value->data, "private") == 0)
    {
        mode = *value->data == 's' ? NGX_HTTP_TRAVEL_KEPT_SHARED
                                   : NGX_HTTP_TRAVEL_KEPT_PRIVATE;

        if (conf->mode != 0 && conf->mode != mode) {
            return NGX_ERROR;           /* one or the other */
        }

        conf->mode = mode;
        return NGX_OK;
    }

    eq = ngx_strlchr(value->data, value->data + value->len, '=');
    if (eq == NULL) {
        return NGX_ERROR;
    }

    n = eq - value->data;
    s.data = eq + 1;
    s.len = value->len - n - 1;

    if (n == 7 && ngx_strncmp(value->data, "default", 7) == 0) {
        return ngx_http_travel_kept_seconds(&s, &conf->policy.fallback);
    }

    if (n == 5 && ngx_strncmp(value->data, "stale", 5) == 0) {
        return ngx_http_travel_kept_seconds(&s, &conf->policy.stale);
    }

    if (n == 9 && ngx_strncmp(value->data, "heuristic", 9) == 0) {
        return ngx_http_travel_kept_seconds(&s, &conf->policy.heuristic_max);
    }

    if (n == 4 && ngx_strncmp(value->data, "wait", 4) == 0) {
        ms = ngx_parse_time(&s, 0);
        conf->wait = ms;
        return (ms >= 0 && ms <= NGX_HTTP_TRAVEL_KEPT_WAIT_MAX) ? NGX_OK
                                                               : NGX_ERROR;
    }

    if (n == 8 && ngx_strncmp(value->data, "max_size", 8) == 0) {
        size = ngx_parse_size(&s);
        conf->max_size = size;
        return (size >= 1024 && size <= NGX_HTTP_TRAVEL_KEPT_L2_MAX)
               ? NGX_OK : NGX_ERROR;
    }

    if (n == 2 && ngx_strncmp(value->data, "l2", 2) == 0) {
        conf->l2 = ngx_http_travel_name_is(&s, "on");
        return (conf->l2 || ngx_http_travel_name_is(&s, "off")) ? NGX_OK
                                                                : NGX_ERROR;
    }

    if (n == 3 && ngx_strncmp(value->data, "key", 3) == 0) {
        return s.len ? ngx_http_travel_kept_value(cf, &s, &conf->key)
                     : NGX_ERROR;
    }

    if (n == 4 && ngx_strncmp(value->data, "tags", 4) == 0) {
        return ngx_http_travel_kept_value(cf, &s, &conf->tags);
    }

    if (n == 6 && ngx_strncmp(value->data, "ignore", 6) == 0) {
        return ngx_http_travel_kept_ignore(conf, &s);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_travel_kept_seconds(const ngx_str_t *value, uint32_t *ret_seconds)
{
    ngx_str_t  s;
    ngx_int_t  seconds;

    s = *value;
    seconds = ngx_parse_time(&s, 1);

    if (seconds < 0 || seconds > NGX_HTTP_TRAVEL_KEPT_TIME_MAX) {
        return NGX_ERROR;
    }

    *ret_seconds = seconds;

    return NGX_OK;
}


static ngx_int_t
ngx_http_travel_kept_value(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t **ret_value)
{
    *ret_value = ngx_http_travel_expression(cf, value);

    return *ret_value ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_travel_kept_ignore(ngx_http_travel_kept_conf_t *conf,
    const ngx_str_t *value)
{
    if (ngx_http_travel_name_is(value, "request")) {
        conf->ignore |= NGX_HTTP_TRAVEL_KEPT_IGNORE_REQUEST;
        return NGX_OK;
    }

    if (ngx_http_travel_name_is(value, "set-cookie")) {
        conf->ignore |= NGX_HTTP_TRAVEL_KEPT_IGNORE_COOKIE;
        return NGX_OK;
    }

    return NGX_ERROR;
}


/* Nodes that share answers count their blocks alike. */
static ngx_int_t
ngx_http_travel_kept_servers(ngx_conf_t *cf)
{
    ngx_uint_t                      i;
    ngx_http_core_srv_conf_t      **cscfp;
    ngx_http_core_main_conf_t      *core;
    ngx_http_travel_kept_server_t  *server;

    core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    cscfp = core->servers.elts;

    for (i = 0; i < core->servers.nelts; i++) {
        server = cscfp[i]->ctx->srv_conf[
                                     ngx_http_travel_cache_module.ctx_index];

        server->number = i + 1;
        server->text.data = ngx_pnalloc(cf->pool, cscfp[i]->server_name.len
                                                  + 1 + NGX_INT_T_LEN);
        if (server->text.data == NULL) {
            return NGX_ERROR;
        }

        server->text.len = ngx_sprintf(server->text.data, "%V#%ui",
                                       &cscfp[i]->server_name, i + 1)
                           - server->text.data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_kept_init(ngx_conf_t *cf,
    ngx_http_travel_cache_main_conf_t *cmcf)
{
    size_t                        i;
    ngx_int_t                     index;
    ngx_http_travel_kept_main_t  *main;

    static const struct {
        const char  *name;
        const char  *help;
        size_t       offset;
    } counters[] = {

#define counter(label, field)                                                 \
        { "travel_http_cache_total{result=\"" label "\"}",                    \
          "Requests of upstream locations by what the cache did.",            \
          offsetof(ngx_http_travel_kept_main_t, field) }

        counter("hit", hit),
        counter("stale", stale),
        counter("miss", miss),
        counter("bypass", bypass),
        counter("revalidated", revalidated),
        counter("collapsed", collapsed),
        counter("stale_if_error", stood_in),

#undef counter

        { "travel_http_cache_fills_total{result=\"stored\"}",
          "Answers of upstreams by what became of them.",
          offsetof(ngx_http_travel_kept_main_t, stored) },
        { "travel_http_cache_fills_total{result=\"refused\"}",
          "Answers of upstreams by what became of them.",
          offsetof(ngx_http_travel_kept_main_t, refused) },
        { "travel_http_cache_invalidated_total",
          "URIs and groups that unsafe requests made invalid.",
          offsetof(ngx_http_travel_kept_main_t, dropped) }
    };

    main = cmcf->http;

    if (main == NULL) {
        return NGX_OK;
    }

    main->cache = cmcf->cache;
    main->marks = ngx_http_travel_zone(cf, "marks", 512 * 1024, 1, 1,
                                       ngx_http_travel_marks_init);
    if (main->marks == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        index = ngx_http_travel_counter_add(cf, counters[i].name,
                                            counters[i].help);
        if (index == NGX_ERROR) {
            return NGX_ERROR;
        }

        *(ngx_uint_t *) ((u_char *) main + counters[i].offset) = index;
    }

    if (ngx_http_travel_kept_servers(cf) != NGX_OK
        || ngx_http_travel_phase(cf, NGX_HTTP_PRECONTENT_PHASE,
                                 ngx_http_travel_kept_handler)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_travel_kept_filters();

    return NGX_OK;
}


void
ngx_http_travel_kept_use(ngx_http_travel_cache_main_conf_t *cmcf)
{
    if (cmcf->http != NULL) {
        ngx_http_travel_kept = *cmcf->http;
    }
}


void
ngx_http_travel_kept_purged(const ngx_http_travel_purge_t *purge)
{
    ngx_str_t  text;

    if (ngx_http_travel_kept.marks == NULL) {
        return;
    }

    if (purge->kind == NGX_HTTP_TRAVEL_PURGE_TAG) {
        ngx_http_travel_mark(purge->tag);

    } else if (purge->kind == NGX_HTTP_TRAVEL_PURGE_MARK && !purge->ours) {
        text.data = (u_char *) purge->what;
        text.len = purge->len;
        ngx_http_travel_mark(ngx_http_travel_mark_of(&text));
    }
}


ngx_uint_t
ngx_http_travel_kept_ours(const ngx_str_t *node)
{
    u_char  name[NGX_INT64_LEN];

    return node->len == ngx_http_travel_kept_l2_node(name)
           && ngx_memcmp(node->data, name, node->len) == 0;
}
