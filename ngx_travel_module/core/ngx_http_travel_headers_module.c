/*
 * The module of travel_cors, travel_security_headers and travel_request_id,
 * and the header filter that applies them to every answer, nginx's own errors
 * included; Proxy-Status (RFC 9209) on errors that we made in an upstream's
 * place.
 */

#include "ngx_http_travel_headers.h"


static ngx_int_t ngx_http_travel_headers_rewrite(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_headers_filter(ngx_http_request_t *r);
static void ngx_http_travel_headers_drop_id(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_headers_proxy_status(ngx_http_request_t *r);
static const char *ngx_http_travel_headers_proxy_error(ngx_http_request_t *r,
    const ngx_http_upstream_state_t *state);
static void *ngx_http_travel_headers_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_headers_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_travel_headers_postconfiguration(ngx_conf_t *cf);


static ngx_http_output_header_filter_pt  ngx_http_travel_headers_next;


static ngx_command_t  ngx_http_travel_headers_commands[] = {

    { ngx_string("travel_cors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_cors_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_security_headers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_travel_security_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("travel_request_id"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_travel_headers_loc_conf_t, request_id),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_travel_headers_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_travel_headers_postconfiguration, /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_headers_create_loc_conf, /* create location config */
    ngx_http_travel_headers_merge_loc_conf /* merge location configuration */
};


ngx_module_t  ngx_http_travel_headers_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_headers_module_ctx,   /* module context */
    ngx_http_travel_headers_commands,      /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_travel_headers_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_travel_headers_loc_conf_t  *hlcf;

    hlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_headers_loc_conf_t));
    if (hlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     hlcf->cors = NULL;
     *     hlcf->security = NULL;
     */

    hlcf->request_id = NGX_CONF_UNSET;

    return hlcf;
}


static char *
ngx_http_travel_headers_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_travel_headers_loc_conf_t  *prev = parent;
    ngx_http_travel_headers_loc_conf_t  *conf = child;

    if (!conf->cors_set) {
        conf->cors = prev->cors;
        conf->cors_set = prev->cors_set;
    }

    if (!conf->security_set) {
        conf->security = prev->security;
        conf->security_set = prev->security_set;
    }

    ngx_conf_merge_value(conf->request_id, prev->request_id, 1);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_travel_headers_postconfiguration(ngx_conf_t *cf)
{
    return ngx_http_travel_phase(cf, NGX_HTTP_REWRITE_PHASE,
                                 ngx_http_travel_headers_rewrite);
}


void
ngx_http_travel_headers_install(void)
{
    ngx_http_travel_headers_next = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_travel_headers_filter;
}


ngx_uint_t
ngx_http_travel_headers_behind(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t  *ctx;

    if (r->upstream != NULL) {
        return 1;
    }

    ctx = ngx_http_travel_get_ctx(r);

    return ctx != NULL && ctx->cache_status != NULL;
}


/* --- the location is known ----------------------------------------------- */

static ngx_int_t
ngx_http_travel_headers_rewrite(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t               *ctx;
    ngx_http_travel_headers_loc_conf_t  *hlcf;

    hlcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_headers_module);

    if (r != r->main || r->internal
        || (hlcf->cors == NULL && hlcf->security == NULL))
    {
        return NGX_DECLINED;
    }

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->headers = hlcf;

    return hlcf->cors != NULL ? ngx_http_travel_cors_preflight(r, hlcf->cors)
                              : NGX_DECLINED;
}


/* --- the answer goes ----------------------------------------------------- */

static ngx_int_t
ngx_http_travel_headers_filter(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t                     *ctx;
    const ngx_http_travel_headers_loc_conf_t  *hlcf;

    if (r != r->main) {
        return ngx_http_travel_headers_next(r);
    }

    hlcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_headers_module);

    if (hlcf->request_id || r->internal || r->error_page) {

        ctx = ngx_http_travel_get_ctx(r);
        if (ctx == NULL) {
            return NGX_ERROR;
        }

        if (ctx->headers != NULL) {
            hlcf = ctx->headers;
        }

        if (hlcf->request_id && ngx_http_travel_headers_behind(r)) {
            ngx_http_travel_headers_drop_id(r);
        }

        if (hlcf->request_id
            && ngx_http_travel_add_header(r, "X-Request-Id", &ctx->request_id)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if ((hlcf->cors != NULL
         && ngx_http_travel_cors_headers(r, hlcf->cors) != NGX_OK)
        || (hlcf->security != NULL
            && ngx_http_travel_security_add(r, hlcf->security) != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (r->upstream_states != NULL
        && r->headers_out.status >= NGX_HTTP_INTERNAL_SERVER_ERROR
        && ngx_http_travel_headers_proxy_status(r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_headers_next(r);
}


/* An application's own id, perhaps one that was cached with another caller's
 * answer: the client is told the one that the log has. */

static void
ngx_http_travel_headers_drop_id(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("x-request-id");

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == name.len
                && ngx_strncasecmp(h[i].key.data, name.data, name.len) == 0)
            {
                h[i].hash = 0;
            }
        }
    }
}


/* --- RFC 9209 ------------------------------------------------------------ */

/* Only for what the upstream did not say itself: then its head never came. */

static ngx_int_t
ngx_http_travel_headers_proxy_status(ngx_http_request_t *r)
{
    u_char                     *p;
    ngx_str_t                   value;
    const char                 *error;
    ngx_http_upstream_state_t  *state;

    if (r->upstream_states->nelts == 0) {
        return NGX_OK;
    }

    state = r->upstream_states->elts;
    state += r->upstream_states->nelts - 1;

    if (state->header_time != (ngx_msec_t) -1) {
        return NGX_OK;
    }

    error = ngx_http_travel_headers_proxy_error(r, state);

    p = ngx_pnalloc(r->pool, sizeof("ngx_travel; error=") + ngx_strlen(error));
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "ngx_travel; error=%s", error) - p;

    return ngx_http_travel_add_header(r, "Proxy-Status", &value);
}


/* The types of section 2.3 that nginx's record of the try can tell apart. */

static const char *
ngx_http_travel_headers_proxy_error(ngx_http_request_t *r,
    const ngx_http_upstream_state_t *state)
{
    if (r->headers_out.status == NGX_HTTP_GATEWAY_TIME_OUT) {
        return state->connect_time == (ngx_msec_t) -1
               ? "connection_timeout" : "http_response_timeout";
    }

    /* nobody was chosen, as all are down: the try has the group's own name */

    if (state->peer == NULL
        || (r->upstream != NULL && r->upstream->upstream != NULL
            && state->peer == &r->upstream->upstream->host))
    {
        return "destination_unavailable";
    }

    if (state->connect_time == (ngx_msec_t) -1) {
        return "connection_refused";
    }

    return state->bytes_received > 0 ? "http_protocol_error"
                                     : "connection_terminated";
}
