/*
 * Nobody reads before their own write: what a request must not read older than
 * (contracts section 4).
 */

#include "ngx_http_travel_query_room.h"


static ngx_http_travel_token_resolver_pt  ngx_http_travel_resolver;


void
ngx_http_travel_query_set_token_resolver(
    ngx_http_travel_token_resolver_pt resolver)
{
    ngx_http_travel_resolver = resolver;
}


ngx_http_travel_token_resolver_pt
ngx_http_travel_query_resolver(void)
{
    return ngx_http_travel_resolver;
}


ngx_int_t
ngx_http_travel_query_need(ngx_http_request_t *r,
    travel_consistency_t *ret_need)
{
    ngx_str_t                    *text;
    travel_consistency_t          last, token;
    ngx_http_travel_ctx_t        *ctx;
    ngx_http_travel_main_conf_t  *tmcf;

    static const ngx_str_t  unverified = ngx_string("unverified");

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&last, sizeof(travel_consistency_t));

    if (ctx->user.len != 0) {
        ngx_http_travel_writer_last(&ctx->user, &last);
    }

    *ret_need = last;

    text = ngx_http_travel_header_in(r, "travel-consistency",
                                     sizeof("travel-consistency") - 1);

    if (text == NULL
        || (text->len == unverified.len
            && ngx_memcmp(text->data, unverified.data, text->len) == 0))
    {
        return NGX_OK;
    }

    if (text->len > 4 && ngx_memcmp(text->data, "job:", 4) == 0) {
        return NGX_AGAIN;
    }

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_travel_module);

    switch (travel_consistency_verify(&token, ngx_http_travel_view(text),
                   ngx_http_travel_view(&tmcf->consistency_secret)))
    {
    case TRAVEL_OK:
        break;

    case TRAVEL_INVALID:
        return NGX_DECLINED;

    case TRAVEL_REFUSED:
        return NGX_ABORT;

    default:
        return NGX_ERROR;
    }

    if (travel_lsn_cmp(token.commit, ret_need->commit) > 0) {
        ret_need->commit = token.commit;
    }

    if (travel_stream_id_cmp(token.inval, ret_need->inval) > 0) {
        ret_need->inval = token.inval;
    }

    return NGX_OK;
}
