/*
 * travel_claim_header: claims as headers of the request to an upstream.
 *
 * An application behind us believes these headers, so a client must not be
 * able to write them: its copies are taken away wherever the directive
 * applies, whoever asks and whatever the token says.  That happens first in the
 * precontent phase, which no "satisfy any" leaves out and which is before
 * whatever hands the headers on, or asks them what a kept answer varies by.
 *
 * Headers are not removed from nginx's list but copied into a new one without
 * them: what points into the old one stays valid.
 */

#include "ngx_http_travel_bearer.h"


typedef struct {
    ngx_str_t         name;
    u_char           *lower;
    ngx_uint_t        hash;
    ngx_str_t         path;
} ngx_http_travel_claim_header_t;


static ngx_uint_t ngx_http_travel_claim_header_ours(const ngx_array_t *headers,
    const ngx_table_elt_t *h);
static ngx_uint_t ngx_http_travel_claim_header_named(
    const ngx_array_t *headers, ngx_http_request_t *r);
static ngx_int_t ngx_http_travel_claim_header_strip(ngx_http_request_t *r,
    const ngx_array_t *headers);
static ngx_int_t ngx_http_travel_claim_header_told(ngx_http_request_t *r,
    const ngx_table_elt_t *h);


/* Names that nginx or the protocol gives a meaning. */
static const char  *ngx_http_travel_claim_header_taken[] = {
    "host", "connection", "content-length", "transfer-encoding", "te",
    "trailer", "upgrade", "expect", "keep-alive", "authorization", "cookie",
    "content-type", "if-match", "if-none-match", "if-modified-since",
    "if-unmodified-since", "if-range", "range", "x-api-key", NULL
};


char *
ngx_http_travel_claim_header_directive(ngx_conf_t *cf, ngx_array_t **headers,
    ngx_uint_t *alone)
{
    size_t                           i;
    ngx_str_t                       *value;
    const char                     **taken;
    ngx_http_travel_claim_header_t  *h;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "off") != 0) {
            return "needs the name of a header and a claim, as in "
                   "\"travel_claim_header X-User-Tier tier\", or \"off\"";
        }

        *alone = 1;
        return NGX_CONF_OK;
    }

    if (*headers == NULL) {
        *headers = ngx_array_create(cf->pool, 2,
                                    sizeof(ngx_http_travel_claim_header_t));
        if (*headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    h = ngx_array_push(*headers);
    if (h == NULL) {
        return NGX_CONF_ERROR;
    }

    h->name = value[1];
    h->path = value[2];
    h->lower = ngx_pnalloc(cf->pool, h->name.len + 1);
    if (h->lower == NULL) {
        return NGX_CONF_ERROR;
    }

    h->hash = ngx_hash_strlow(h->lower, h->name.data, h->name.len);

    for (i = 0; i < h->name.len; i++) {
        if (!((h->lower[i] >= 'a' && h->lower[i] <= 'z')
              || (h->lower[i] >= '0' && h->lower[i] <= '9')
              || h->lower[i] == '-'))
        {
            break;
        }
    }

    for (taken = ngx_http_travel_claim_header_taken; *taken; taken++) {
        if (ngx_strlen(*taken) == h->name.len
            && ngx_strncmp(*taken, h->lower, h->name.len) == 0)
        {
            break;
        }
    }

    if (i != h->name.len || i == 0 || *taken != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"travel_claim_header\" name \"%V\" must be "
                           "letters, digits and dashes, and no header of "
                           "HTTP's own, as in X-User-Tier", &h->name);
        return NGX_CONF_ERROR;
    }

    return h->path.len ? NGX_CONF_OK : "names no claim";
}


/* What is set above is set here, too: what is not stripped is believed. */
char *
ngx_http_travel_claim_header_merge(ngx_conf_t *cf, ngx_array_t **headers,
    ngx_array_t *above, ngx_uint_t alone)
{
    void  *own;

    if (alone || above == NULL) {
        return NGX_CONF_OK;
    }

    if (*headers == NULL) {
        *headers = above;
        return NGX_CONF_OK;
    }

    own = ngx_array_push_n(*headers, above->nelts);
    if (own == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(own, above->elts,
               above->nelts * sizeof(ngx_http_travel_claim_header_t));

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_travel_claim_header_apply(ngx_http_request_t *r,
    const ngx_array_t *headers)
{
    ngx_int_t                        rc;
    ngx_str_t                        text;
    ngx_uint_t                       i, j;
    ngx_table_elt_t                 *new;
    ngx_http_travel_claim_header_t  *h;

    /* the list of a subrequest may end in its parent's: what is put there is
     * seen by the other one */

    if ((r != r->main || ngx_http_travel_claim_header_named(headers, r))
        && ngx_http_travel_claim_header_strip(r, headers) != NGX_OK)
    {
        return NGX_ERROR;
    }

    h = headers->elts;

    for (i = 0; i < headers->nelts; i++) {

        /* the innermost line for a name counts; it stands first */
        for (j = 0; j < i; j++) {
            if (h[j].hash == h[i].hash && h[j].name.len == h[i].name.len
                && ngx_memcmp(h[j].lower, h[i].lower, h[i].name.len) == 0)
            {
                break;
            }
        }

        if (j != i) {
            continue;
        }

        rc = ngx_http_travel_claim_text(r, &h[i].path, &text);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc != NGX_OK) {
            continue;
        }

        new = ngx_list_push(&r->headers_in.headers);
        if (new == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(new, sizeof(ngx_table_elt_t));
        new->hash = h[i].hash;
        new->key = h[i].name;
        new->lowcase_key = h[i].lower;
        new->value = text;

        if (r == r->main
            && ngx_http_travel_claim_header_told(r, new) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* For who keeps answers: they are of a caller of whom this was said. */
static ngx_int_t
ngx_http_travel_claim_header_told(ngx_http_request_t *r,
    const ngx_table_elt_t *h)
{
    u_char                 *p;
    ngx_http_travel_ctx_t  *ctx;

    ctx = ngx_http_travel_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, ctx->claims.len + h->key.len + h->value.len + 3);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->claims.len = ngx_sprintf(p, "%V%V: %V\n", &ctx->claims, &h->key,
                                  &h->value)
                      - p;
    ctx->claims.data = p;

    return NGX_OK;
}


/* CGI-like upstreams know no difference between "-" and "_". */
static ngx_uint_t
ngx_http_travel_claim_header_ours(const ngx_array_t *headers,
    const ngx_table_elt_t *header)
{
    u_char                           c;
    size_t                           k;
    ngx_uint_t                       i;
    ngx_http_travel_claim_header_t  *h;

    h = headers->elts;

    for (i = 0; i < headers->nelts; i++) {

        if (h[i].name.len != header->key.len) {
            continue;
        }

        for (k = 0; k < header->key.len; k++) {
            c = ngx_tolower(header->key.data[k]);

            if ((c == '_' ? '-' : c) != h[i].lower[k]) {
                break;
            }
        }

        if (k == header->key.len) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_travel_claim_header_named(const ngx_array_t *headers,
    ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_travel_claim_header_ours(headers,
                                     &((ngx_table_elt_t *) part->elts)[i]))
            {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_travel_claim_header_strip(ngx_http_request_t *r,
    const ngx_array_t *headers)
{
    ngx_list_t        list;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *copy;

    if (ngx_list_init(&list, r->pool, 20, sizeof(ngx_table_elt_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_travel_claim_header_ours(headers, &h[i])) {
                continue;
            }

            copy = ngx_list_push(&list);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = h[i];
        }
    }

    /* a list's last part may be the list itself, which is about to move */
    r->headers_in.headers = list;

    if (list.last == &list.part) {
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    return NGX_OK;
}
