/* travel_cache http: its parameters, zone, counters, and where it stands in a
 * request's way. */

#include "ngx_http_travel_kept.h"


static char *ngx_http_travel_kept_ignore(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf);
static ngx_int_t ngx_http_travel_kept_servers(ngx_conf_t *cf);


static const ngx_http_travel_param_t  ngx_http_travel_cache_http_params[] = {

    { "default", ngx_http_travel_param_sec32,
      offsetof(ngx_http_travel_kept_conf_t, policy.fallback),
      "0", "30d", NULL, NULL, 0 },

    { "stale", ngx_http_travel_param_sec32,
      offsetof(ngx_http_travel_kept_conf_t, policy.stale),
      "0", "30d", NULL, NULL, 0 },

    { "heuristic", ngx_http_travel_param_sec32,
      offsetof(ngx_http_travel_kept_conf_t, policy.heuristic_max),
      "0", "30d", "1d", NULL, 0 },

    { "max_size", ngx_http_travel_param_size,
      offsetof(ngx_http_travel_kept_conf_t, max_size),
      "1k", "4m", "1m", NULL, 0 },

    { "wait", ngx_http_travel_param_msec,
      offsetof(ngx_http_travel_kept_conf_t, wait),
      "0", "60s", "5s", NULL, 0 },

    { "key", ngx_http_travel_param_expression,
      offsetof(ngx_http_travel_kept_conf_t, key),
      NULL, NULL, NULL, NULL, 0 },

    { "tags", ngx_http_travel_param_expression,
      offsetof(ngx_http_travel_kept_conf_t, tags),
      NULL, NULL, NULL, NULL, 0 },

    { "shared", ngx_http_travel_param_alone,
      offsetof(ngx_http_travel_kept_conf_t, shared),
      NULL, NULL, NULL, NULL, 0 },

    { "private", ngx_http_travel_param_alone,
      offsetof(ngx_http_travel_kept_conf_t, private),
      NULL, NULL, NULL, NULL, 0 },

    { "ignore", ngx_http_travel_kept_ignore,
      offsetof(ngx_http_travel_kept_conf_t, ignore),
      NULL, NULL, NULL, NULL, 1 },

    { "l2", ngx_http_travel_param_flag,
      offsetof(ngx_http_travel_kept_conf_t, l2),
      NULL, NULL, "off", NULL, 0 },

      ngx_http_travel_null_param
};


ngx_http_travel_kept_main_t  ngx_http_travel_kept;


char *
ngx_http_travel_kept_directive(ngx_conf_t *cf,
    ngx_http_travel_kept_conf_t **ret_conf)
{
    ngx_http_travel_kept_conf_t        *conf;
    ngx_http_travel_cache_main_conf_t  *cmcf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_kept_conf_t));
    if (conf == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_travel_params_whole(cf, ngx_http_travel_cache_http_params, 2,
                                     conf)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->shared && conf->private) {
        return "says \"shared\" and \"private\": leave one of them";
    }

    conf->mode = conf->shared ? NGX_HTTP_TRAVEL_KEPT_SHARED
               : conf->private ? NGX_HTTP_TRAVEL_KEPT_PRIVATE
               : NGX_HTTP_TRAVEL_KEPT_AUTO;

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


static char *
ngx_http_travel_kept_ignore(ngx_conf_t *cf,
    const ngx_http_travel_param_t *param, ngx_str_t *value, void *conf)
{
    ngx_uint_t  *ignore;

    (void) cf;

    ignore = (ngx_uint_t *) ((char *) conf + param->offset);

    if (ngx_http_travel_name_is(value, "request")) {
        *ignore |= NGX_HTTP_TRAVEL_KEPT_IGNORE_REQUEST;
        return NGX_CONF_OK;
    }

    if (ngx_http_travel_name_is(value, "set-cookie")) {
        *ignore |= NGX_HTTP_TRAVEL_KEPT_IGNORE_COOKIE;
        return NGX_CONF_OK;
    }

    return "must be ignore=request or ignore=set-cookie";
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
