/* The cache room's calls in a build without it (TRAVEL_ROOMS): weak, so that
 * the room itself, where it is built, takes their place. */

#include "ngx_http_travel_query_room.h"

#define NGX_HTTP_TRAVEL_ALONE  __attribute__((weak))


NGX_HTTP_TRAVEL_ALONE ngx_int_t
ngx_http_travel_cache_lookup(ngx_http_request_t *r, const ngx_str_t *identity,
    const ngx_str_t *tags, travel_stream_id_t floor_inval,
    ngx_http_travel_fill_t *ret_fill, ngx_http_travel_hit_t *ret_hit)
{
    ngx_memzero(ret_fill, sizeof(ngx_http_travel_fill_t));

    return NGX_ABORT;
}


NGX_HTTP_TRAVEL_ALONE ngx_int_t
ngx_http_travel_cache_wait(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill, ngx_msec_t timeout,
    void (*woken)(ngx_http_request_t *r))
{
    return NGX_ERROR;
}


NGX_HTTP_TRAVEL_ALONE ngx_int_t
ngx_http_travel_cache_begin(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill)
{
    return NGX_DECLINED;
}


NGX_HTTP_TRAVEL_ALONE void
ngx_http_travel_cache_store(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill, const ngx_str_t *body,
    travel_lsn_t replay, ngx_str_t *ret_etag)
{
    ngx_str_null(ret_etag);
}


NGX_HTTP_TRAVEL_ALONE void
ngx_http_travel_cache_abandon(ngx_http_request_t *r,
    const ngx_http_travel_fill_t *fill)
{
    /* nothing was begun */
}


NGX_HTTP_TRAVEL_ALONE void
ngx_http_travel_node(ngx_http_travel_node_t *ret_node)
{
    ngx_memzero(ret_node, sizeof(ngx_http_travel_node_t));
}


NGX_HTTP_TRAVEL_ALONE ngx_int_t
ngx_http_travel_node_wait(ngx_http_request_t *r, travel_stream_id_t id,
    ngx_msec_t timeout, void (*woken)(ngx_http_request_t *r))
{
    return NGX_ERROR;
}


NGX_HTTP_TRAVEL_ALONE void
ngx_http_travel_writer_last(const ngx_str_t *user,
    travel_consistency_t *ret_write)
{
    ngx_memzero(ret_write, sizeof(travel_consistency_t));
}
