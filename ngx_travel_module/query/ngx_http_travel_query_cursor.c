/*
 * Cursors of lists, read from a request and put into an answer.
 *
 * What is signed is where a page ended: the keys of its last item, for this
 * query and, where the query asks for the caller, for this caller.  The key is
 * travel_consistency_key's, the same on every node; without one, a key of this
 * start, which a reload forgets.
 */

#include "ngx_http_travel_query_room.h"

#define NGX_HTTP_TRAVEL_CURSOR_SECRET  32
#define NGX_HTTP_TRAVEL_CURSOR_SCOPE   128      /* name (60), NUL, caller */


static travel_str_t ngx_http_travel_cursor_scope(ngx_http_request_t *r,
    const ngx_http_travel_query_loc_conf_t *qlcf,
    u_char buf[NGX_HTTP_TRAVEL_CURSOR_SCOPE]);
static ngx_int_t ngx_http_travel_cursor_next(ngx_http_request_t *r,
    const ngx_http_travel_query_loc_conf_t *qlcf,
    ngx_http_travel_pg_result_t *result, char *dst, size_t *ret_len);


ngx_int_t
ngx_http_travel_cursor_secret(ngx_conf_t *cf,
    ngx_http_travel_query_main_conf_t *qmcf)
{
    ngx_uint_t                       i;
    ngx_http_travel_main_conf_t     *tmcf;
    ngx_http_travel_query_entry_t  **entries;

    tmcf = ngx_http_travel_main_conf(cf);
    entries = qmcf->entries.elts;

    for (i = 0; i < qmcf->entries.nelts; i++) {
        if (entries[i]->query->nkeys != 0) {
            break;
        }
    }

    if (i == qmcf->entries.nelts && !qmcf->reads) {
        return NGX_OK;
    }

    qmcf->cursor_secret = tmcf->consistency_secret;

    if (qmcf->cursor_secret.len != 0) {
        return NGX_OK;
    }

    if (i < qmcf->entries.nelts) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "query \"%V\" has a @cursor, and there is no "
                      "\"travel_consistency_key\": cursors end with the next "
                      "reload, and other nodes do not know them",
                      &entries[i]->statement.name);
    }

    qmcf->cursor_secret.len = NGX_HTTP_TRAVEL_CURSOR_SECRET;
    qmcf->cursor_secret.data = ngx_pnalloc(cf->pool,
                                           NGX_HTTP_TRAVEL_CURSOR_SECRET);

    if (qmcf->cursor_secret.data == NULL
        || travel_random(qmcf->cursor_secret.data,
                         NGX_HTTP_TRAVEL_CURSOR_SECRET) != TRAVEL_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


travel_str_t
ngx_http_travel_query_cursor_secret(ngx_http_request_t *r)
{
    return ngx_http_travel_view(&ngx_http_travel_query_main(r)->cursor_secret);
}


static travel_str_t
ngx_http_travel_cursor_scope(ngx_http_request_t *r,
    const ngx_http_travel_query_loc_conf_t *qlcf,
    u_char buf[NGX_HTTP_TRAVEL_CURSOR_SCOPE])
{
    u_char                 *p;
    travel_str_t            scope;
    ngx_http_travel_ctx_t  *ctx;

    p = ngx_cpymem(buf, qlcf->name.data, ngx_min(qlcf->name.len, 60));
    *p++ = '\0';

    if (qlcf->query->viewer != 0) {
        ctx = ngx_http_travel_get_ctx(r);
        p = ngx_cpymem(p, ctx->user.data, ngx_min(ctx->user.len, 36));
    }

    scope.data = (char *) buf;
    scope.len = p - buf;

    return scope;
}


ngx_int_t
ngx_http_travel_cursor_read(ngx_http_request_t *r,
    const ngx_http_travel_query_loc_conf_t *qlcf, ngx_str_t *text,
    const char **keys)
{
    int                                 rc;
    char                               *buf;
    u_char                              scope[NGX_HTTP_TRAVEL_CURSOR_SCOPE];
    ngx_http_travel_query_main_conf_t  *qmcf;

    if (text->len == 0) {
        ngx_memzero(keys, qlcf->query->nkeys * sizeof(char *));
        return NGX_OK;
    }

    qmcf = ngx_http_travel_query_main(r);

    buf = ngx_pnalloc(r->pool, TRAVEL_CURSOR_RAW_MAX);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    rc = travel_cursor_verify(buf, keys, qlcf->query->nkeys,
                              ngx_http_travel_view(text),
                              ngx_http_travel_cursor_scope(r, qlcf, scope),
                              ngx_http_travel_view(&qmcf->cursor_secret));

    switch (rc) {

    case TRAVEL_OK:
        return NGX_OK;

    case TRAVEL_ERROR:
        return NGX_ERROR;

    default:
        return NGX_DECLINED;
    }
}


/* The next page's cursor; *ret_len 0: there is none. */

static ngx_int_t
ngx_http_travel_cursor_next(ngx_http_request_t *r,
    const ngx_http_travel_query_loc_conf_t *qlcf,
    ngx_http_travel_pg_result_t *result, char *dst, size_t *ret_len)
{
    int                                 rc;
    u_char                              scope[NGX_HTTP_TRAVEL_CURSOR_SCOPE];
    ngx_str_t                           value;
    ngx_uint_t                          i;
    travel_str_t                        keys[TRAVEL_QUERY_KEYS_MAX];
    ngx_http_travel_query_main_conf_t  *qmcf;

    *ret_len = 0;
    qmcf = ngx_http_travel_query_main(r);

    for (i = 0; i < qlcf->query->nkeys; i++) {
        value = ngx_http_travel_pg_value(result, 0, 1 + i);

        if (value.data == NULL) {
            return NGX_OK;
        }

        keys[i] = ngx_http_travel_view(&value);
    }

    rc = travel_cursor_sign(dst, ret_len, keys, qlcf->query->nkeys,
                            ngx_http_travel_cursor_scope(r, qlcf, scope),
                            ngx_http_travel_view(&qmcf->cursor_secret));

    if (rc != TRAVEL_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "query \"%V\": its @cursor columns are too long to be "
                      "put into a cursor", &qlcf->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_travel_cursor_body(ngx_http_request_t *r,
    const ngx_http_travel_query_loc_conf_t *qlcf,
    ngx_http_travel_pg_result_t *result, ngx_str_t *ret_body)
{
    char        text[TRAVEL_CURSOR_MAX];
    u_char     *p;
    size_t      n;
    ngx_str_t   items;

    if (ngx_http_travel_pg_columns(result) != 1 + qlcf->query->nkeys
        || ngx_http_travel_cursor_next(r, qlcf, result, text, &n) != NGX_OK)
    {
        return NGX_ERROR;
    }

    items = ngx_http_travel_pg_value(result, 0, 0);

    p = ngx_pnalloc(r->pool, items.len + n
                             + sizeof("{\"items\":,\"next_cursor\":null\"\"}"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    ret_body->data = p;
    p = ngx_cpymem(p, "{\"items\":", sizeof("{\"items\":") - 1);
    p = ngx_cpymem(p, items.data, items.len);

    if (n != 0) {
        p = ngx_cpymem(p, ",\"next_cursor\":\"",
                       sizeof(",\"next_cursor\":\"") - 1);
        p = ngx_cpymem(p, text, n);
        *p++ = '"';

    } else {
        p = ngx_cpymem(p, ",\"next_cursor\":null",
                       sizeof(",\"next_cursor\":null") - 1);
    }

    *p++ = '}';
    ret_body->len = p - ret_body->data;

    return NGX_OK;
}
