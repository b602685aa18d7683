/*
 * The gzip coding of kept answers: made once, as an answer goes into the store,
 * and kept beside the plain one.
 *
 *     travel_cache_gzip off | on [level=N] [min=SIZE];
 *     travel_cache_gzip_types TYPE ...;
 *
 * Which of the two a client gets is nginx's own judgement of its
 * Accept-Encoding (gzip_http_version, gzip_proxied and gzip_disable count).
 * The coded answer has a weak ETag: the two are one answer, not the same bytes
 * (RFC 9110 section 8.8.1), and a condition that names either is met by both.
 *
 * The compressors, one for each level in use, belong to the nginx worker and
 * are made when first needed.
 */

#include "ngx_http_travel_cache_room.h"
#include "../../common/gzip.h"


static travel_gzip_t  *ngx_http_travel_packers[TRAVEL_GZIP_LEVELS + 1];


/* It takes 15 ms or so to compress so much, in which an nginx worker does
 * nothing else. */
#define NGX_HTTP_TRAVEL_PACKED_MAX  (1024 * 1024)


static const ngx_http_travel_param_t  ngx_http_travel_cache_gzip_params[] = {

    { "level", ngx_http_travel_param_number,
      offsetof(ngx_http_travel_packed_conf_t, level),
      "1", "9", "4", NULL, 0 },

    { "min", ngx_http_travel_param_size,
      offsetof(ngx_http_travel_packed_conf_t, min),
      "64", "128k", "512", NULL, 0 },

      ngx_http_travel_null_param
};


ngx_str_t  ngx_http_travel_packed_types[] = {
    ngx_string("application/json"),
    ngx_string("application/problem+json"),
    ngx_string("application/ld+json"),
    ngx_string("application/geo+json"),
    ngx_string("application/javascript"),
    ngx_string("application/xml"),
    ngx_string("image/svg+xml"),
    ngx_string("text/css"),
    ngx_string("text/csv"),
    ngx_string("text/html"),
    ngx_string("text/javascript"),
    ngx_string("text/plain"),
    ngx_string("text/xml"),
    ngx_null_string
};


/* --- asked for, and made ------------------------------------------------- */

ngx_uint_t
ngx_http_travel_packed_wanted(ngx_http_request_t *r,
    const ngx_http_travel_packed_conf_t *conf)
{
    ngx_uint_t  vary;

    if (conf->level == 0 || r != r->main) {
        return 0;
    }

    /* nginx's judgement asks for a Vary of its own, by gzip_vary: ours is said
     * in any case */

    vary = r->gzip_vary;

    (void) ngx_http_gzip_ok(r);
    r->gzip_vary = vary;

    return r->gzip_ok;
}


void
ngx_http_travel_packed_make(ngx_http_request_t *r,
    const ngx_http_travel_packed_conf_t *conf,
    ngx_http_travel_content_t *content)
{
    int             rc;
    char           *p;
    size_t          len, cap;
    travel_str_t    plain;
    travel_gzip_t **packer;

    plain.data = (char *) content->body.data + content->head;
    plain.len = content->body.len - content->head;

    if (conf->level == 0 || content->packed.len != 0
        || plain.len < conf->min || plain.len > NGX_HTTP_TRAVEL_PACKED_MAX)
    {
        return;
    }

    packer = &ngx_http_travel_packers[conf->level];

    if (*packer == NULL) {
        *packer = travel_gzip_new(conf->level);
    }

    /* what saves less than an eighth is not worth its place */

    cap = plain.len - plain.len / 8;
    p = ngx_pnalloc(r->pool, cap);

    if (*packer == NULL || p == NULL) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "travel_cache_gzip: no memory, the answer is kept plain");
        return;
    }

    rc = travel_gzip_pack(*packer, plain, p, cap, &len);

    if (rc == TRAVEL_OK) {
        content->packed.data = (u_char *) p;
        content->packed.len = len;
    }
}


/* --- said ---------------------------------------------------------------- */

ngx_int_t
ngx_http_travel_packed_vary(ngx_http_request_t *r)
{
    static ngx_str_t  coding = ngx_string("Accept-Encoding");

    r->gzip_vary = 0;

    return ngx_http_travel_add_header(r, "Vary", &coding);
}


ngx_int_t
ngx_http_travel_packed_said(ngx_http_request_t *r)
{
    static const ngx_str_t  name = ngx_string("Content-Encoding");
    static const ngx_str_t  gzip = ngx_string("gzip");

    r->headers_out.content_encoding = ngx_http_travel_push_field(r, &name,
                                                                 &gzip);
    if (r->headers_out.content_encoding == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_travel_packed_weaken(r);
}


ngx_int_t
ngx_http_travel_packed_weaken(ngx_http_request_t *r)
{
    u_char     *p;
    ngx_str_t  *etag;

    if (r->headers_out.etag == NULL) {
        return NGX_OK;
    }

    etag = &r->headers_out.etag->value;

    if (etag->len >= 2 && etag->data[0] == 'W' && etag->data[1] == '/') {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, etag->len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p[0] = 'W';
    p[1] = '/';
    ngx_memcpy(p + 2, etag->data, etag->len);

    etag->data = p;
    etag->len += 2;

    return NGX_OK;
}


/* --- configuration ------------------------------------------------------- */

char *
ngx_http_travel_packed_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_travel_packed_conf_t  *pcf;

    ngx_str_t  *value;

    pcf = (ngx_http_travel_packed_conf_t *) ((char *) conf + cmd->offset);

    if (pcf->level != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        pcf->level = 0;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "on") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_cache_gzip\" must be \"off\", or \"on\" "
                           "with level=N and min=SIZE behind it, as in "
                           "\"travel_cache_gzip on level=4 min=512\"");
        return NGX_CONF_ERROR;
    }

    return ngx_http_travel_params_whole(cf, ngx_http_travel_cache_gzip_params,
                                        2, pcf);
}


void
ngx_http_travel_packed_init(ngx_http_travel_packed_conf_t *conf)
{
    conf->level = NGX_CONF_UNSET;
}


char *
ngx_http_travel_packed_merge(ngx_conf_t *cf,
    ngx_http_travel_packed_conf_t *prev, ngx_http_travel_packed_conf_t *conf)
{
    if (conf->level == NGX_CONF_UNSET) {
        conf->level = (prev->level == NGX_CONF_UNSET) ? 0 : prev->level;
        conf->min = prev->min;
    }

    return ngx_http_merge_types(cf, &conf->type_keys, &conf->types,
                                &prev->type_keys, &prev->types,
                                ngx_http_travel_packed_types);
}
