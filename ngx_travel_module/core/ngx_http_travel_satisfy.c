/*
 * "satisfy any": nginx ends the access phase with the first handler that
 * admits, and with one that refuses it goes on to the next.
 *
 * So what admits of ours does not say so at once, for limits and breakers are
 * asked in the same phase: it notes that it admits, and the last handler of
 * ours, which is here, tells nginx.  The note is of one location: a redirect
 * leads to others, which ask for themselves.  And what refuses must not answer
 * yet: nginx does, when nobody has admitted, by error_page where there is one.
 */

#include "ngx_http_travel_core.h"


static ngx_int_t ngx_http_travel_satisfied(ngx_http_request_t *r);


ngx_int_t
ngx_http_travel_admit(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->admitted = r->loc_conf;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_travel_leave(ngx_http_request_t *r, travel_error_e code)
{
    ngx_http_travel_ctx_t     *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->satisfy != NGX_HTTP_SATISFY_ANY) {
        return NGX_OK;
    }

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->admitted = NULL;
    ctx->error = code;

    return travel_error_status(code);
}


/* Once said it counts no more: what comes next may be an error's page. */
static ngx_int_t
ngx_http_travel_satisfied(ngx_http_request_t *r)
{
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_travel_module);

    if (ctx == NULL || ctx->admitted != r->loc_conf) {
        return NGX_DECLINED;
    }

    ctx->admitted = NULL;

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_satisfy_init(ngx_conf_t *cf)
{
    return ngx_http_travel_phase(cf, NGX_HTTP_ACCESS_PHASE,
                                 ngx_http_travel_satisfied);
}
