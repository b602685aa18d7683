/* The request context: made once per client request, found again always. */

#include "ngx_http_travel.h"
#include "../../common/hash.h"


#define NGX_HTTP_TRAVEL_REQUEST_ID_MAX  128


static ngx_http_travel_ctx_t *ngx_http_travel_find_ctx(ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_request_id(ngx_http_request_t *r,
    ngx_str_t *id);
static ngx_uint_t ngx_http_travel_request_id_sane(const ngx_str_t *id);
static void ngx_http_travel_ctx_cleanup(void *data);


/* Found again after a redirect, or new. */
ngx_http_travel_ctx_t *
ngx_http_travel_make_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_travel_ctx_t  *ctx;

    r = r->main;

    ctx = ngx_http_travel_find_ctx(r);
    if (ctx != NULL) {
        ngx_http_set_ctx(r, ctx, ngx_http_travel_module);
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_travel_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_travel_ctx_t));

    if (ngx_http_travel_request_id(r, &ctx->request_id) != NGX_OK) {
        return NULL;
    }

    ctx->magic = NGX_HTTP_TRAVEL_CTX_MAGIC;
    ctx->error = TRAVEL_E_NONE;
    cln->handler = ngx_http_travel_ctx_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_travel_module);

    return ctx;
}


/*
 * An internal redirect, a named location and error_page zero r->ctx; the
 * record in the pool's cleanup list stays.
 */
static ngx_http_travel_ctx_t *
ngx_http_travel_find_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    if (!r->internal && !r->filter_finalize && !r->error_page) {
        return NULL;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_travel_ctx_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


/* The client's id when it is short and printable, else 128 bits of our own. */
static ngx_int_t
ngx_http_travel_request_id(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_str_t                    *theirs;
    uint64_t                      word[2];

    static ngx_uint_t             seeded;
    static ngx_pid_t              seeded_by;
    static uint64_t               counter;
    static travel_siphash_key_t   key[2];

    theirs = ngx_http_travel_header_in(r, "x-request-id",
                                       sizeof("x-request-id") - 1);

    if (theirs != NULL && ngx_http_travel_request_id_sane(theirs)) {
        *id = *theirs;
        return NGX_OK;
    }

    if (!seeded || seeded_by != ngx_pid) {
        /* a fork inherits the seed: every worker draws its own */
        if (travel_random(key, sizeof(key)) != TRAVEL_OK) {
            return NGX_ERROR;
        }

        seeded = 1;
        seeded_by = ngx_pid;
    }

    counter++;
    word[0] = travel_siphash(&key[0], &counter, sizeof(counter));
    word[1] = travel_siphash(&key[1], &counter, sizeof(counter));

    id->len = 2 * sizeof(word);
    id->data = ngx_pnalloc(r->pool, id->len);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    travel_hex_encode((char *) id->data, (uint8_t *) word, sizeof(word));

    return NGX_OK;
}


static ngx_uint_t
ngx_http_travel_request_id_sane(const ngx_str_t *id)
{
    u_char      c;
    ngx_uint_t  i;

    if (id->len == 0 || id->len > NGX_HTTP_TRAVEL_REQUEST_ID_MAX) {
        return 0;
    }

    for (i = 0; i < id->len; i++) {
        c = id->data[i];

        if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
              || c == '-' || c == '_' || c == '.' || c == ':'))
        {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_travel_ctx_cleanup(void *data)
{
    ngx_http_travel_ctx_t  *ctx = data;

    /* nothing to free: the record itself is how the context is found again */
    ctx->magic = 0;
}
