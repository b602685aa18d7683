/*
 * Why an answer is what it is, told on the answer itself to those who may know:
 *
 *     travel_explain PERMISSION | off;
 *
 * Server-Timing (W3C) for the browser's own tools, and Travel-Explain, a
 * dictionary of RFC 9651: route, cache, server with its lag, the limit that
 * refused, job, error.  Others see neither: it names what is inside.
 */

#include "ngx_http_travel_observe_room.h"
#include "../auth/ngx_http_travel_auth.h"
#include "../query/ngx_http_travel_query.h"


#define NGX_HTTP_TRAVEL_EXPLAIN_MAX     1024
#define NGX_HTTP_TRAVEL_EXPLAIN_TEXT    128      /* of one value */
#define NGX_HTTP_TRAVEL_EXPLAIN_STATES  64


typedef struct {
    ngx_str_t    permission;     /* data NULL: not set; empty: off */
} ngx_http_travel_explain_loc_conf_t;


static ngx_int_t ngx_http_travel_explain_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_explain_timing(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx);
static ngx_int_t ngx_http_travel_explain_facts(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx);
static u_char *ngx_http_travel_explain_item(u_char *p, u_char *last,
    const char *name, const u_char *data, size_t len);
static u_char *ngx_http_travel_explain_server(u_char *p, u_char *last,
    const ngx_str_t *name);
static uint64_t ngx_http_travel_explain_total(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx);
static void *ngx_http_travel_explain_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_travel_explain_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_travel_explain_postconfiguration(ngx_conf_t *cf);
static char *ngx_http_travel_explain(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

extern ngx_module_t  ngx_http_travel_explain_module;


static ngx_http_output_header_filter_pt  ngx_http_travel_explain_next;


static ngx_command_t  ngx_http_travel_explain_commands[] = {

    { ngx_string("travel_explain"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_travel_explain,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_travel_explain_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_travel_explain_postconfiguration, /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_travel_explain_create_loc_conf, /* create location config */
    ngx_http_travel_explain_merge_loc_conf /* merge location configuration */
};


ngx_module_t  ngx_http_travel_explain_module = {
    NGX_MODULE_V1,
    &ngx_http_travel_explain_module_ctx,   /* module context */
    ngx_http_travel_explain_commands,      /* module directives */
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


/* --- configuration ------------------------------------------------------- */

static void *
ngx_http_travel_explain_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_travel_explain_loc_conf_t));
}


static char *
ngx_http_travel_explain_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_travel_explain_loc_conf_t  *prev = parent;
    ngx_http_travel_explain_loc_conf_t  *conf = child;

    ngx_conf_merge_str_value(conf->permission, prev->permission, "");

    return NGX_CONF_OK;
}


static char *
ngx_http_travel_explain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_travel_explain_loc_conf_t  *elcf = conf;

    size_t      i;
    ngx_str_t  *value;

    if (elcf->permission.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        ngx_str_set(&elcf->permission, "");
        return NGX_CONF_OK;
    }

    for (i = 0; i < value[1].len; i++) {
        if (value[1].data[i] == ':' && i > 0 && i + 1 < value[1].len) {
            elcf->permission = value[1];
            return NGX_CONF_OK;
        }
    }

    return "takes a permission like debug:read, which callers must have to be "
           "told, or off";
}


static ngx_int_t
ngx_http_travel_explain_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_travel_explain_next = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_travel_explain_filter;

    return NGX_OK;
}


/* --- the answer goes ----------------------------------------------------- */

static ngx_int_t
ngx_http_travel_explain_filter(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t               *ctx;
    ngx_http_travel_explain_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_travel_explain_module);

    if (elcf->permission.len == 0 || r != r->main
        || !ngx_http_travel_permitted(r, &elcf->permission))
    {
        return ngx_http_travel_explain_next(r);
    }

    ctx = ngx_http_travel_get_ctx(r);

    if (ctx == NULL
        || ngx_http_travel_explain_timing(r, ctx) != NGX_OK
        || ngx_http_travel_explain_facts(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_travel_explain_next(r);
}


/* So far, in microseconds; to the millisecond where nobody took the time. */

static uint64_t
ngx_http_travel_explain_total(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx)
{
    uint64_t         now;
    ngx_time_t      *tp;
    ngx_msec_int_t   ms;

    if (ctx->start_ns != 0) {
        now = ngx_http_travel_observe_now();
        return now > ctx->start_ns ? (now - ctx->start_ns) / 1000 : 0;
    }

    tp = ngx_timeofday();
    ms = (ngx_msec_int_t) ((tp->sec - r->start_sec) * 1000
                           + ((ngx_msec_int_t) tp->msec
                              - (ngx_msec_int_t) r->start_msec));

    return ms > 0 ? (uint64_t) ms * 1000 : 0;
}


static ngx_int_t
ngx_http_travel_explain_timing(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx)
{
    u_char                     *p, *last;
    uint64_t                    us;
    ngx_str_t                   value;
    ngx_http_upstream_state_t  *state;

    p = ngx_pnalloc(r->pool, NGX_HTTP_TRAVEL_EXPLAIN_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    last = p + NGX_HTTP_TRAVEL_EXPLAIN_MAX;
    us = ngx_http_travel_explain_total(r, ctx);

    p = ngx_slprintf(p, last, "total;dur=%uL.%03uL", us / 1000, us % 1000);

    if (ctx->dependency_us != 0) {
        p = ngx_slprintf(p, last, ", store;dur=%ui.%03ui",
                         (ngx_uint_t) ctx->dependency_us / 1000,
                         (ngx_uint_t) ctx->dependency_us % 1000);
    }

    if (ctx->wait != 0) {
        p = ngx_slprintf(p, last, ", wait;dur=%M", ctx->wait);
    }

    if (r->upstream_states != NULL && r->upstream_states->nelts != 0) {
        state = r->upstream_states->elts;
        state += r->upstream_states->nelts - 1;

        if (state->header_time != (ngx_msec_t) -1) {
            p = ngx_slprintf(p, last, ", upstream;dur=%M",
                             state->header_time);
        }
    }

    value.len = p - value.data;

    return ngx_http_travel_add_header(r, "Server-Timing", &value);
}


/* 'name="text"' of what a string of RFC 9651 can hold; nothing for none. */

static u_char *
ngx_http_travel_explain_item(u_char *p, u_char *last, const char *name,
    const u_char *data, size_t len)
{
    size_t  i;

    if (len == 0 || last - p < (ssize_t) (2 * NGX_HTTP_TRAVEL_EXPLAIN_TEXT)) {
        return p;
    }

    p = ngx_slprintf(p, last, "%s=\"", name);

    for (i = 0; i < ngx_min(len, NGX_HTTP_TRAVEL_EXPLAIN_TEXT - 32); i++) {
        if (data[i] >= ' ' && data[i] <= '~' && data[i] != '"'
            && data[i] != '\\')
        {
            *p++ = data[i];
        }
    }

    *p++ = '"';

    return p;
}


static u_char *
ngx_http_travel_explain_server(u_char *p, u_char *last, const ngx_str_t *name)
{
    ngx_uint_t                      i, n;
    ngx_http_travel_route_state_t   states[NGX_HTTP_TRAVEL_EXPLAIN_STATES];

    n = ngx_http_travel_route_states(states, NGX_HTTP_TRAVEL_EXPLAIN_STATES);

    for (i = 0; i < n; i++) {
        if (states[i].name.len != name->len
            || ngx_memcmp(states[i].name.data, name->data, name->len) != 0)
        {
            continue;
        }

        return ngx_slprintf(p, last, ";lag=%M;load=%ui;share=%ui%s",
                            states[i].lag, states[i].in_flight,
                            states[i].share,
                            states[i].primary ? ";primary" : "");
    }

    return p;
}


static ngx_int_t
ngx_http_travel_explain_facts(ngx_http_request_t *r,
    ngx_http_travel_ctx_t *ctx)
{
    u_char       *p, *q, *last;
    ngx_str_t     value;
    const char   *text;
    ngx_uint_t    i;

    struct {
        const char  *name;
        ngx_str_t    value;
    } facts[] = {
        { "route", ctx->route },
        { "cache", ngx_null_string },
        { "server", ctx->server },
        { "limited", ngx_null_string },
        { "job", ctx->job },
        { "error", ngx_null_string }
    };

    text = ctx->cache_status;
    facts[1].value.data = (u_char *) text;
    facts[1].value.len = text != NULL ? ngx_strlen(text) : 0;

    text = ctx->limited;
    facts[3].value.data = (u_char *) text;
    facts[3].value.len = text != NULL ? ngx_strlen(text) : 0;

    text = ctx->error != TRAVEL_E_NONE ? travel_error_code(ctx->error) : NULL;
    facts[5].value.data = (u_char *) text;
    facts[5].value.len = text != NULL ? ngx_strlen(text) : 0;

    p = ngx_pnalloc(r->pool, NGX_HTTP_TRAVEL_EXPLAIN_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    last = p + NGX_HTTP_TRAVEL_EXPLAIN_MAX;

    for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {

        q = p;

        if (p != value.data) {
            p = ngx_cpymem(p, ", ", 2);
        }

        value.len = p - q;
        q = ngx_http_travel_explain_item(p, last, facts[i].name,
                                         facts[i].value.data,
                                         facts[i].value.len);
        if (q == p) {
            p -= value.len;
            continue;
        }

        p = (i == 2) ? ngx_http_travel_explain_server(q, last, &ctx->server)
                     : q;
    }

    value.len = p - value.data;

    return value.len == 0 ? NGX_OK
                          : ngx_http_travel_add_header(r, "Travel-Explain",
                                                       &value);
}
